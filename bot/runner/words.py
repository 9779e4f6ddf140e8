"""The last word from the model and from GitHub, for the worker's row."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from bot.domain.clock import Clock
from bot.domain.ports import Model
from bot.domain.values import ModelReply, ModelRequest
from bot.errors import IssuewrightError
from bot.github.app import GitHubApp

OK: Final = "ok"
ASK_GITHUB_EVERY_SECONDS: Final = 300.0
MAX_WORD_CHARS: Final = 200


@dataclass(slots=True)
class LastWord:
    """The word is "ok" or what went wrong, and when; None before the first call."""

    text: str | None = None
    at: datetime | None = None

    def say(self, text: str, now: datetime) -> None:
        """Keep a newer word."""
        self.text, self.at = text[:MAX_WORD_CHARS], now


@dataclass(frozen=True, slots=True)
class WatchedModel:
    """A model whose last word is remembered."""

    model: Model
    clock: Clock
    word: LastWord = field(default_factory=LastWord)

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:
        """As the model itself."""
        try:
            reply = await self.model.complete(request, timeout_seconds=timeout_seconds)
        except IssuewrightError as error:
            self.word.say(str(error), self.clock.now())
            raise
        self.word.say(OK, self.clock.now())
        return reply


@dataclass(frozen=True, slots=True)
class GitHubWatch:
    """Asks GitHub now and then who we are: at once after trouble, else every few minutes.

    A key that GitHub has refused meanwhile is trouble.
    """

    app: GitHubApp
    clock: Clock
    word: LastWord = field(default_factory=LastWord)

    async def look(self) -> None:
        """Ask if it is time; never raises for what GitHub answers."""
        now = self.clock.now()
        is_fresh = (
            self.word.at is not None and (now - self.word.at).total_seconds() < ASK_GITHUB_EVERY_SECONDS
        )
        if is_fresh and self.word.text == OK and self.app.key_trouble is None:
            return
        try:
            await self.app.check()
        except IssuewrightError as error:
            self.word.say(str(error), self.clock.now())
        else:
            self.word.say(OK, self.clock.now())
