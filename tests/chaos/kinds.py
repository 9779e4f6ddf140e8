"""The kinds of requests that are cut at every boundary: how each is asked, and what it must come to."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from bot.domain.enums import Cause, OperationKind
from bot.standin.forge.faults import Reply
from tests.chaos.oracle import Asked, Expected
from tests.runner.conftest import PROPOSE, REPOSITORY, World
from tests.runner.shop import label_an_issue, store_last_delivery

_ONE: Final = frozenset({1})
ONE_COMMENT: Final = Expected(frozenset({Cause.NO_CHANGE_NEEDED}))
ONE_PULL: Final = Expected(frozenset({Cause.PULL_REQUEST}), branches=_ONE, pulls=_ONE)
_NO_JOB: Final = Expected(frozenset(), jobs=0, comments=frozenset({0}), reactions=())
_CALLS: Final[dict[str, list[dict[str, Any]]]] = {
    "answer": [
        {"type": "tool_use", "name": "read_file", "input": {"path": "dog.py"}},
    ],
    "end": [
        {"type": "tool_use", "name": "post_analysis", "input": {"text": "Dogs do bark."}},
        {"type": "tool_use", "name": "finish", "input": {"summary": "Nothing is wrong."}},
    ],
}
BOOK: Final[dict[str, Any]] = {
    "scripts": [
        {
            "name": "answer",
            "match": "Why does",
            "turns": [{"content": _CALLS["answer"]}, {"content": _CALLS["end"]}],
        },
        {"name": "change", "turns": [{"content": turn} for turn in PROPOSE]},
    ]
}

Rung = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request: `ask` makes a thread and stores what the forge says of it; its number."""

    name: str
    ask: Callable[[World], Awaitable[int]]
    expected: Expected
    prepare: Callable[[World, int, Rung], None] | None = None

    async def asked(self, world: World) -> Asked:
        """Somebody asks."""
        return Asked(REPOSITORY, await self.ask(world), self.expected)


async def _question(world: World) -> int:
    return await label_an_issue(world, "Why does the dog meow?")


async def _stranger(world: World) -> int:
    world.forge.create_user("stranger")
    return await label_an_issue(world, sender="stranger")


async def _command(world: World, words: str) -> int:
    world.forge.set_webhook("http://127.0.0.1:1/nobody", "secret")
    number = await world.forge.open_issue(REPOSITORY, "maria", "The dog meows", "It should bark.")
    await world.forge.comment(REPOSITORY, number, "maria", words)
    await store_last_delivery(world)
    return number


async def _help(world: World) -> int:
    return await _command(world, "/agent help")


async def _mistake(world: World) -> int:
    return await _command(world, "/agent make coffee")


async def _text(world: World) -> int:
    return await _command(world, "/agent fix please")


def _refuse_pulls(world: World, _number: int, _ring: Rung) -> None:
    world.forge.faults.clear()
    world.forge.faults.add("POST", r"/pulls$", Reply(403), None)


def _refuse_branches(world: World, _number: int, _ring: Rung) -> None:
    world.forge.faults.clear()
    world.forge.faults.add("POST", r"/git/refs$", Reply(403), None)


def _cancel_at_work(world: World, number: int, ring: Rung) -> None:
    """Take the label away as soon as somebody works, who then does nothing but wait for the end."""
    is_said = False

    async def on_checkout() -> None:
        nonlocal is_said
        if not is_said:
            is_said = True
            await world.forge.remove_label(REPOSITORY, number, "agent:fix", "maria")
            await store_last_delivery(world)
            ring()
        while True:
            await asyncio.sleep(0.02)
            world.clock.tick()

    world.space.on_checkout = on_checkout


_CHANGES = frozenset({OperationKind.BRANCH, OperationKind.PULL_REQUEST, OperationKind.ASSIGN})
_NOT_SENT = _CHANGES | {OperationKind.COMMENT_EDIT}
_REFUSED = Expected(frozenset({Cause.GITHUB_ERROR}), may_fail=_NOT_SENT)
KINDS: Final = (
    Kind("comment", _question, ONE_COMMENT),
    Kind("pull request", label_an_issue, ONE_PULL),
    Kind("command", _text, ONE_PULL),
    Kind("cancelled", label_an_issue, Expected(frozenset({Cause.CANCELLED})), _cancel_at_work),
    Kind("refused pull request", label_an_issue, replace(_REFUSED, branches=_ONE), _refuse_pulls),
    Kind("refused branch", label_an_issue, _REFUSED, _refuse_branches),
    Kind("denied", _stranger, replace(_NO_JOB, reactions=("confused",))),
    Kind("help", _help, replace(_NO_JOB, comments=_ONE)),
    Kind("wrong command", _mistake, replace(_NO_JOB, comments=_ONE)),
)
