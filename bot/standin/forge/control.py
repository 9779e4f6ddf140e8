"""The forge's levers over HTTP, for a demo in another process: everything under `/_forge/`."""

import inspect
import ipaddress
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from bot.standin.forge import refusals
from bot.standin.forge.faults import Action, Delay, Drop, Hang, Reply
from bot.standin.forge.plumbing import Bare
from bot.standin.forge.refusals import Refusal
from bot.standin.forge.shapes import accounts, repositories, threads
from bot.standin.forge.state import Repository, Thread

if TYPE_CHECKING:
    from bot.standin.forge.forge import Forge

PREFIX = "/_forge"
PEOPLE_ACTIONS = frozenset(
    {
        "add_label",
        "change_repositories",
        "close_issue",
        "comment",
        "commit",
        "create_repository",
        "create_user",
        "delete_comment",
        "delete_issue",
        "edit_comment",
        "edit_issue",
        "install",
        "lock_issue",
        "merge_pull",
        "open_issue",
        "person_token",
        "react",
        "remove_label",
        "reopen_issue",
        "set_permission",
        "suspend",
        "uninstall",
        "unsuspend",
    }
)
_ACTIONS: dict[str, type[Action]] = {"reply": Reply, "hang": Hang, "drop": Drop, "delay": Delay}


def add_routes(app: web.Application, forge: "Forge") -> None:
    """Put the control interface into the server."""
    control = Control(forge)
    router = app.router
    router.add_get(PREFIX + "/state", control.guarded(control.state))
    router.add_get(PREFIX + "/requests", control.guarded(control.requests))
    router.add_get(PREFIX + "/deliveries", control.guarded(control.deliveries))
    router.add_post(PREFIX + "/people/{action}", control.guarded(control.people))
    router.add_post(PREFIX + "/webhook", control.guarded(control.webhook))
    router.add_post(PREFIX + "/redeliver", control.guarded(control.redeliver))
    router.add_post(PREFIX + "/faults", control.guarded(control.add_fault))
    router.add_delete(PREFIX + "/faults", control.guarded(control.clear_faults))
    router.add_post(PREFIX + "/clock", control.guarded(control.advance))


class Control:
    """The handlers; each takes JSON and returns JSON."""

    def __init__(self, forge: "Forge") -> None:
        self._forge = forge

    def guarded(
        self, handler: Callable[[web.Request], Awaitable[Any]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """The handler for neighbours on this machine only, its result and refusals as JSON."""

        async def handle(request: web.Request) -> web.Response:
            if not ipaddress.ip_address(request.remote or "0.0.0.0").is_loopback:  # noqa: S104 - no binding
                return web.json_response({"error": "loopback only"}, status=403)
            try:
                return web.json_response(await handler(request))
            except Refusal as refusal:
                return web.json_response(refusal.body(), status=refusal.status)
            except (TypeError, ValueError) as error:
                return web.json_response({"error": str(error)}, status=400)

        return handle

    async def state(self, _: web.Request) -> dict[str, Any]:
        """Everything but tokens."""
        forge, world = self._forge, self._forge.world
        return {
            "api_url": forge.api_url,
            "now": world.clock.now(),
            "app": accounts.integration(world, world.app),
            "users": [accounts.user(world, one) for one in world.users.values()],
            "installations": [accounts.installation(world, one) for one in world.installations.values()],
            "repositories": [await self._repository(one) for one in world.repositories.values()],
        }

    async def _repository(self, found: Repository) -> dict[str, Any]:
        return {
            **repositories.repository(self._forge.world, found),
            "path": str(found.path),
            "levels": dict(found.levels),
            "branches": await Bare(found.path).branches(),
            "threads": [self._thread(found, one) for one in found.threads.values()],
        }

    def _thread(self, found: Repository, thread: Thread) -> dict[str, Any]:
        world = self._forge.world
        shape = threads.full_issue(world, found, thread)
        shape["is_deleted"] = thread.is_deleted
        shape["comment_list"] = [threads.comment(world, found, one) for one in thread.comments]
        shape["reaction_list"] = [threads.reaction(world, one) for one in thread.reactions]
        if thread.pull is not None:
            pull = thread.pull
            shape["pull_request"].update(head=pull.head, base=pull.base, head_sha=pull.head_sha)
        return shape

    async def requests(self, request: web.Request) -> list[dict[str, Any]]:
        """The record, from the exchange after number `since` on."""
        since = int(request.query.get("since", "0"))
        return [one.to_json() for one in self._forge.requests if one.number > since]

    async def deliveries(self, _: web.Request) -> list[dict[str, Any]]:
        """All attempts, oldest first."""
        return [
            {
                "id": one.id,
                "guid": one.guid,
                "event": one.event,
                "action": one.action,
                "status_code": one.status_code,
                "redelivery": one.is_redelivery,
                "payload": json.loads(one.payload),
            }
            for one in self._forge.deliveries
        ]

    async def people(self, request: web.Request) -> dict[str, Any]:
        """Do one of PEOPLE_ACTIONS with the body's members as arguments."""
        action = request.match_info["action"]
        if action not in PEOPLE_ACTIONS:
            raise refusals.not_found(f"actions: {', '.join(sorted(PEOPLE_ACTIONS))}")
        result = getattr(self._forge, action)(**await _body(request))
        return {"result": await result if inspect.isawaitable(result) else result}

    async def webhook(self, request: web.Request) -> dict[str, Any]:
        """Set `url` and `secret`; with `ping` true say hello."""
        body = await _body(request)
        self._forge.set_webhook(body.get("url"), body.get("secret", ""))
        if body.get("ping"):
            self._forge.ping()
        return {}

    async def redeliver(self, request: web.Request) -> dict[str, Any]:
        """Send one delivery (`id`) again, or all that failed."""
        delivery_id = (await _body(request)).get("id")
        if delivery_id is None:
            return {"redelivered": self._forge.redeliver_failed()}
        return {"id": self._forge.stage.deliveries.redeliver(delivery_id)}

    async def add_fault(self, request: web.Request) -> dict[str, Any]:
        """Add a rule: `method`, `path`, `action` (reply, hang, drop, delay) with its fields, `times`."""
        body = await _body(request)
        kind = _ACTIONS.get(body.pop("action", ""))
        if kind is None:
            raise refusals.unprocessable(f"action must be one of {', '.join(_ACTIONS)}")
        method, path, times = body.pop("method", "*"), body.pop("path", ""), body.pop("times", 1)
        self._forge.faults.add(method, path, kind(**body), times)
        return {}

    async def clear_faults(self, _: web.Request) -> dict[str, Any]:
        """Forget all rules."""
        self._forge.faults.clear()
        return {}

    async def advance(self, request: web.Request) -> dict[str, Any]:
        """Move the clock by `seconds`."""
        self._forge.world.clock.advance(float((await _body(request)).get("seconds", 0)))
        return {"now": self._forge.world.clock.now()}


async def _body(request: web.Request) -> dict[str, Any]:
    raw = await request.read()
    found = json.loads(raw) if raw else {}
    if not isinstance(found, dict):
        raise TypeError("the body must be a JSON object")
    return found
