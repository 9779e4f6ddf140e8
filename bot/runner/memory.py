"""The agent's `recall`: this repository's earlier requests, found by a few words."""

import asyncio
from dataclasses import dataclass, replace
from typing import Final

from bot.db import recall
from bot.db.database import Database
from bot.db.recall import Memory
from bot.domain import masks, ranking
from bot.domain.ports import Tools
from bot.domain.text import normalise
from bot.domain.values import ClaimedJob, FileChange, Json, Scope, ToolResult
from bot.workspace.toolhost.beneath import Hides

MAX_FOUND: Final = 5
_MAX_BODY_CHARS: Final = 400
_MAX_ANSWER_CHARS: Final = 1_200
_MAX_FILES: Final = 10
_NOTHING: Final = "Nothing in this repository's earlier requests speaks of that."


@dataclass(frozen=True, slots=True)
class JobTools:
    """The tools of one job: those of its tree, and its repository's memory."""

    host: Tools
    recall: "Recall"

    async def call(self, name: str, arguments: Json, *, timeout_seconds: float) -> ToolResult:
        """Run one tool; see `bot.domain.ports.Tools`."""
        if name == "recall":
            return await self.recall.answer(arguments["query"])
        return await self.host.call(name, arguments, timeout_seconds=timeout_seconds)

    async def changes(self) -> list[FileChange]:
        """What the tools changed; see `bot.domain.ports.Tools`."""
        return await self.host.changes()


@dataclass(frozen=True, slots=True)
class Recall:
    """Answers from the database for one job; sees no other repository, and no other organization.

    Names of files that *hides* covers neither come out nor count for what is found.
    """

    database: Database
    job: ClaimedJob
    hides: Hides

    async def answer(self, query: str) -> ToolResult:
        """The requests that *query* is about, best first, as text for the model."""
        scope = Scope(self.job.organization_id)
        async with self.database.read() as connection:
            found = await recall.memories(
                scope, connection, repository_id=self.job.repository.id, but_issue_id=self.job.issue_id
            )
        return ToolResult(await asyncio.to_thread(_told, query, [self._seen(one) for one in found]))

    def _seen(self, memory: Memory) -> Memory:
        files = tuple(path for path in memory.files if not self.hides(tuple(path.split("/"))))
        return replace(memory, files=files)


def _told(query: str, memories: list[Memory]) -> str:
    texts = [" ".join((one.title, one.title, one.body, one.answer, *one.files)) for one in memories]
    places = ranking.best(query, texts, limit=MAX_FOUND)
    return "\n\n".join(_shown(memories[place]) for place in places) or _NOTHING


def _shown(memory: Memory) -> str:
    """One request: its number and title, when, what became of it, and the words of both sides, clipped."""
    end = memory.cause.value if memory.cause else "unknown"
    lines = [f"#{memory.number} {_clean(memory.title, 200)} ({memory.asked_at:%Y-%m-%d}, ended: {end})"]
    if memory.files:
        more = "" if len(memory.files) <= _MAX_FILES else f" and {len(memory.files) - _MAX_FILES} more"
        lines.append(masks.mask(f"changed: {', '.join(memory.files[:_MAX_FILES])}{more}")[0])
    for name, text, limit in (
        ("asked", memory.body, _MAX_BODY_CHARS),
        ("answered", memory.answer, _MAX_ANSWER_CHARS),
    ):
        if clean := _clean(text, limit):
            lines.append(f"{name}: {clean}")
    return "\n".join(lines)


def _clean(text: str, max_chars: int) -> str:
    """*text* on one line, without hidden characters and without secrets of certain shape, clipped."""
    flat = " ".join(masks.mask(normalise(text).text)[0].split())
    return flat if len(flat) <= max_chars else f"{flat[:max_chars]} […]"
