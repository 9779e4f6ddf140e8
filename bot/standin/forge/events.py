"""Webhook payloads made from state, queued only where GitHub would send them."""

from typing import Any

from bot.standin.forge.clock import iso
from bot.standin.forge.deliveries import HOOK_ID
from bot.standin.forge.history import pull_facts
from bot.standin.forge.permissions import allows
from bot.standin.forge.plumbing import Bare
from bot.standin.forge.shapes import accounts, pulls, repositories, threads
from bot.standin.forge.stage import Stage
from bot.standin.forge.state import Comment, Installation, Repository, Thread, User


def _needed_permission(event: str, thread: Thread) -> str:
    return "pull_requests" if event == "pull_request" or thread.pull is not None else "issues"


def _put_repository_event(
    stage: Stage, event: str, repository: Repository, thread: Thread, payload: dict[str, Any], sender: User
) -> None:
    """Queue an event of a repository when the App is subscribed, installed there and may read it."""
    world = stage.world
    found = world.installation_for(repository)
    if found is None or found.suspended_at is not None or event not in world.app.events:
        return
    if not allows(found.permissions, _needed_permission(event, thread), "read"):
        return
    whole = {**payload, "repository": repositories.repository(world, repository)}
    if repository.owner.kind == "Organization":
        whole["organization"] = accounts.organization(world, repository.owner)
    whole["sender"] = accounts.user(world, sender)
    whole["installation"] = {"id": found.id, "node_id": accounts.node_id("I", found.id)}
    stage.deliveries.put(event, whole, installation_id=found.id, repository_id=repository.id)


async def thread_event(
    stage: Stage, repository: Repository, thread: Thread, action: str, sender: User, **extra: object
) -> None:
    """Tell of a change of a thread: `issues`, or `pull_request` when it is one."""
    world = stage.world
    payload: dict[str, Any] = {"action": action}
    if thread.pull is None:
        payload["issue"] = threads.issue(world, repository, thread)
    else:
        facts = await pull_facts(Bare(repository.path), thread, thread.pull)
        payload["number"] = thread.number
        payload["pull_request"] = pulls.pull_full(world, repository, thread, thread.pull, facts)
    event = "issues" if thread.pull is None else "pull_request"
    _put_repository_event(stage, event, repository, thread, {**payload, **extra}, sender)


def comment_event(
    stage: Stage, repository: Repository, one: Comment, action: str, sender: User, **extra: object
) -> None:
    """Tell of a change of a comment."""
    thread = repository.threads[one.number]
    payload = {
        "action": action,
        "issue": threads.issue(stage.world, repository, thread),
        "comment": threads.comment(stage.world, repository, one),
        **extra,
    }
    _put_repository_event(stage, "issue_comment", repository, thread, payload, sender)


def installation_event(stage: Stage, found: Installation, action: str, sender: User, **extra: object) -> None:
    """Tell of a change of an installation; Apps get these without a subscription."""
    world = stage.world
    payload = {"action": action, "installation": accounts.installation(world, found), **extra}
    if action in {"created", "deleted", "suspend", "unsuspend"}:
        payload["repositories"] = [repositories.short_repository(one) for one in world.covered(found)]
    payload["sender"] = accounts.user(world, sender)
    event = "installation_repositories" if action in {"added", "removed"} else "installation"
    stage.deliveries.put(event, payload, installation_id=found.id)


def ping(stage: Stage) -> None:
    """Say hello to the receiver, as GitHub does for a new hook."""
    world = stage.world
    hook = {
        "type": "App",
        "id": HOOK_ID,
        "name": "web",
        "active": True,
        "events": list(world.app.events),
        "config": {
            "content_type": "json",
            "insecure_ssl": "0",
            "url": stage.deliveries.url,
            "secret": "********",
        },
        "updated_at": iso(world.app.created_at),
        "created_at": iso(world.app.created_at),
        "app_id": world.app.id,
        "deliveries_url": f"{world.url}/app/hook/deliveries",
    }
    stage.deliveries.put("ping", {"zen": "Keep it logically awesome.", "hook_id": HOOK_ID, "hook": hook})
