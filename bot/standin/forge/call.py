"""One API call as the handlers see it, and what they give back."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from bot.standin.forge import refusals
from bot.standin.forge.actions import Writer
from bot.standin.forge.permissions import allows
from bot.standin.forge.plumbing import Bare
from bot.standin.forge.stage import Stage
from bot.standin.forge.state import Repository, Thread, Token, User

Json: TypeAlias = dict[str, Any]
Thing = TypeVar("Thing")
_DEFAULT_PER_PAGE = 30
_MAX_PER_PAGE = 100  # https://docs.github.com/rest/using-the-rest-api/using-pagination-in-the-rest-api


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer; `body` is JSON, or bytes that are sent as they are, or None."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """A checked request: who calls, for what, with which body; `delay_seconds` hides what it makes."""

    stage: Stage
    path: str
    match: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    raw_body: bytes
    caller: Token | None = None
    found: Repository | None = None
    delay_seconds: float = 0.0

    @property
    def token(self) -> Token:
        """The installation token of the call; only for operations that need one."""
        return _there(self.caller)

    @property
    def repository(self) -> Repository:
        """The repository of the path; only for operations whose path names one."""
        return _there(self.found)

    @property
    def bare(self) -> Bare:
        """The git repository behind the repository."""
        return Bare(self.repository.path)

    @property
    def bot(self) -> User:
        """The account that writes for the App."""
        return self.stage.world.app.bot

    @property
    def writer(self) -> Writer:
        """The App as the author of what this call makes."""
        return Writer(self.bot, via_app=True, visible_at=self.visible_at)

    @property
    def visible_at(self) -> float:
        """When something made now is to be seen by reads."""
        return self.stage.world.clock.now() + self.delay_seconds if self.delay_seconds else 0.0

    def number(self, name: str) -> int:
        """A numeric part of the path; raises a 404 refusal."""
        text = self.match[name]
        if not re.fullmatch(r"[0-9]{1,18}", text):
            raise refusals.not_found()
        return int(text)

    def json(self) -> Json:
        """The body as a JSON object ({} when there is none); raises a 400 refusal."""
        if not self.raw_body.strip():
            return {}
        try:
            found = json.loads(self.raw_body)
        except ValueError:
            raise refusals.bad_request("Problems parsing JSON") from None
        if not isinstance(found, dict):
            raise refusals.bad_request("Body should be a JSON object")
        return found

    def thread(self, level: str) -> Thread:
        """The thread of the path; on plain issues only the issues permission counts."""
        thread = self.stage.world.thread(self.repository, self.number("number"))
        self.require_for(thread, level)
        return thread

    def require_for(self, thread: Thread, level: str) -> None:
        """Raise a 403 refusal when the token may not do this on a plain issue."""
        if thread.pull is None and not allows(self.token.permissions, "issues", level):
            raise refusals.forbidden(accepted=f"issues={level}")

    def page(self, items: list[Any]) -> tuple[list[Any], dict[str, str]]:
        """One page of a list and the `Link` header that goes with it."""
        per_page = min(_positive(self.query.get("per_page"), _DEFAULT_PER_PAGE), _MAX_PER_PAGE)
        page = _positive(self.query.get("page"), 1)
        last = max(1, -(-len(items) // per_page))
        near = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
        wanted = [name for name in ("prev", "first") if page > 1] + [
            name for name in ("next", "last") if page < last
        ]
        links = [f'<{self._page_url(near[name], per_page)}>; rel="{name}"' for name in wanted]
        shown = items[(page - 1) * per_page : page * per_page]
        return shown, {"Link": ", ".join(links)} if links else {}

    def _page_url(self, page: int, per_page: int) -> str:
        others = "".join(
            f"{key}={value}&" for key, value in self.query.items() if key not in {"page", "per_page"}
        )
        return f"{self.stage.world.url}{self.path}?{others}per_page={per_page}&page={page}"


def _there(thing: Thing | None) -> Thing:
    """What the route has promised; raises AssertionError where a route says too little."""
    assert thing is not None, "the route needs neither a token nor a repository"  # noqa: S101 - our mistake
    return thing


def _positive(text: str | None, default: int) -> int:
    """A positive number of a query; anything else is the default, as on GitHub."""
    return int(text) if text and re.fullmatch(r"[1-9][0-9]{0,8}", text) else default


Handler: TypeAlias = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `needs`: `app` (JWT), `token`, `anyone`, or permissions as GitHub writes them."""

    method: str
    path: str
    handler: Handler
    needs: str
