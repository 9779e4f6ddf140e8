"""What every kind of write has in common: a frozen draft, who writes it, and what GitHub calls it then."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from bot.domain import markers
from bot.domain.values import Json
from bot.errors import Permanent
from bot.github.repository import RepositoryApi
from bot.github.values import PostInfo
from bot.publish.sanitize import sanitize

# The second try of a text that GitHub calls too long: below 64 KiB whatever its characters are.
SHORT_CHARS: Final = 15_000


@dataclass(frozen=True, slots=True)
class Remote:
    """What GitHub calls the thing that was written."""

    id: int | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Hand:
    """Who writes: the marker key, our own numeric id and our App's, by which we know our writes again."""

    marker_key: bytes
    bot_user_id: int
    app_id: int

    def wrote(self, post: PostInfo, key: str) -> bool:
        """Whether *post* is our write of that operation key: a copied marker of another author is not."""
        is_ours = post.author_id == self.bot_user_id
        return is_ours and markers.has_marker(post.body, self.marker_key, key)


@dataclass(frozen=True, slots=True)
class Draft:
    """A frozen write with the remote ids of the writes that it refers to, by their keys.

    `asked_at`: when we first heard of the work. `is_short`: GitHub has called the whole text too long.
    `found`: the keys of those that stood there before we sent anything; the payload may have other words
    for that (`instead`).
    """

    key: str
    payload: Json
    remote_ids: Mapping[str, int]
    asked_at: datetime | None = None
    is_short: bool = False
    found: frozenset[str] = frozenset()

    def text(self, name: str) -> str:
        """A text of the payload with links and anchors as GitHub numbers them (`#12`, `#issuecomment-34`)."""
        instead = self.payload.get("instead", {})
        text = str((instead if instead.get("key") in self.found else self.payload)[name])
        for placeholder, key in self.payload.get("links", {}).items():
            text = text.replace(placeholder, f"#{self.remote_ids[key]}")
        for placeholder, key in self.payload.get("anchors", {}).items():
            text = text.replace(placeholder, f"#issuecomment-{self.remote_ids[key]}")
        return sanitize(text, max_chars=SHORT_CHARS).text if self.is_short else text


class Write(Protocol):
    """One kind of write. `is_idempotent`: doing it twice is doing it once, so nobody looks first."""

    is_idempotent: bool
    permissions: Mapping[str, str]

    async def look(self, api: RepositoryApi, draft: Draft, hand: Hand) -> Remote | None:
        """The thing, when it is there already."""

    async def send(self, api: RepositoryApi, draft: Draft, hand: Hand) -> Remote:
        """Make it."""


class Idempotent:
    """A kind of write that is sent again without a look."""

    is_idempotent = True

    async def look(self, _api: RepositoryApi, _draft: Draft, _hand: Hand) -> Remote | None:
        """Nothing to look for: sending twice is sending once."""
        return None


def is_too_long(error: Permanent) -> bool:
    """Whether a refusal says that a text is too long: GitHub has words alone for it."""
    return "too long" in str(error).lower()
