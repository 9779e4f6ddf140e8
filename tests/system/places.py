"""A repository of one's own in a product that several tests share, and scripts for its model."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from bot.standin import sample
from tests.system.effects import ended, our_comments
from tests.system.rig import Rig

FOR_EVER = 1_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """One repository of the shared product."""

    product: Rig
    repository: str

    async def asks(self, book: Mapping[str, Any] = sample.BOOK) -> int:
        """A person labels an issue while the model plays *book*; the issue's number."""
        self.product.model.play(dict(book))
        self.product.model.requests.clear()
        number = await self.opens()
        await self.labels(number)
        return number

    async def opens(self, body: str = sample.BODY, author: str = sample.PERSON) -> int:
        """An issue without a label; its number."""
        return await self.product.forge.open_issue(self.repository, author, sample.TITLE, body)

    async def labels(self, number: int, label: str = sample.LABEL) -> None:
        """The person puts a label on."""
        await self.product.forge.add_label(self.repository, number, label, sample.PERSON)

    async def ending(self, number: int, timeout_seconds: float = 60.0) -> dict[str, Any]:
        """The only job of the thread, once it has ended and nothing is left to send."""
        jobs = await self.product.until(
            lambda: ended(self.product, number, self.repository), timeout_seconds=timeout_seconds
        )
        (job,) = jobs
        return dict(job)

    def comments(self, number: int) -> list[str]:
        """Our comments in the thread."""
        return our_comments(self.product, number, self.repository)

    def told_once(self, number: int, *words: str) -> str:
        """The only comment of ours: it holds *words* and is fit to be read."""
        (text,) = self.comments(number)
        assert all(word in text for word in words), text
        assert re.match(r"\*\*[A-Z][^*]+\.\*\*(\n| [A-Z])", text) and "written by a machine" in text, text
        assert not re.search(r"Traceback|\bNone\b|bot\.\w+\.|\{|Working on it", text.split("<details>")[0]), (
            text
        )
        return text

    async def until(self, is_so: Callable[[], Any]) -> None:
        """Wait until *is_so* gives something true."""

        async def look() -> Any:
            return is_so()

        await self.product.until(look)


async def new_place(house: Rig, repository: str, files: Mapping[str, str] = sample.FILES) -> Place:
    """A new repository in which the sample's person may write."""
    await house.forge.create_repository(repository, dict(files))
    house.forge.set_permission(repository, sample.PERSON, "write")
    return Place(house, repository)


def name_of(test: pytest.Item) -> str:
    """The repository of a test."""
    digest = hashlib.sha256(test.name.encode()).hexdigest()[:8]
    return f"{sample.OWNER}/{re.sub('[^a-z]+', '-', test.name)[:60]}-{digest}"


def script(*turns: list[dict[str, Any]], repeat: bool = False, **more: Any) -> dict[str, Any]:
    """A book with one script for every request: each turn is its blocks."""
    lines = [{"content": content} | more for content in turns]
    return {"scripts": [{"name": "only", "turns": lines, "repeat": repeat}]}


def call(name: str, **given: Any) -> dict[str, Any]:
    """A tool call."""
    return {"type": "tool_use", "name": name, "input": given}


def say(text: str) -> dict[str, Any]:
    """A text block."""
    return {"type": "text", "text": text}


def away(kind: str, **more: Any) -> dict[str, Any]:
    """A book whose model never gives a whole answer."""
    return {"scripts": sample.BOOK["scripts"], "faults": [{"kind": kind, "times": FOR_EVER, **more}]}
