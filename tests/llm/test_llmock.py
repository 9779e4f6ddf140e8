"""Somebody else's judge: our client and loop against llmock (PyPI, MIT), which breaks answers and grades us.

llmock is no dependency of ours (it brings a web framework and a plugin for pytest with it): the tests run
where its command is found, beside this Python or on the PATH, and are skipped elsewhere.
"""

import asyncio
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import aiohttp
import pytest
import pytest_asyncio

from bot.domain.clock import SystemClock
from bot.domain.effects import Stop
from bot.errors import AccountRefused, IssuewrightError, Permanent, RetryLater
from bot.llm.client import AnthropicModel
from tests.agents.rig import Rig, WatchedModel
from tests.fakes import ManualClock

COMMAND: Final = shutil.which("llmock", path=str(Path(sys.executable).parent)) or shutil.which("llmock")
KEY: Final = "llmock-key"
REQUESTS_A_MINUTE: Final = 120
# It grades what it sees: an answer that was sent to its end before we hung up counts as one that we took.
PACE: Final = ("--stream-chunk-delay-ms", "20", "--log-level", "error")
READY_SECONDS: Final = 60.0
IDLE_SECONDS: Final = 2.0
DONE: Final = {
    "type": "reply",
    "times": None,
    "tool_calls": [
        {"name": "post_analysis", "arguments": {"text": "All is well."}},
        {"name": "finish", "arguments": {"summary": "Nothing to do."}},
    ],
}

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(COMMAND is None, reason="llmock is not installed: pip install llmock==0.2.2"),
]


class HastyClock(SystemClock):
    """Waits as long as a server asks for, but only an eighth of our own longer waits.

    The judge is another process with a clock of its own, so these waits are real.
    """

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds if seconds <= 1 else seconds / 8)


@dataclass(frozen=True, slots=True)
class Judge:
    """A running llmock."""

    url: str
    session: aiohttp.ClientSession

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> None:
        async with self.session.post(f"{self.url}{path}", json=body or {}) as answer:
            assert answer.ok, await answer.text()

    async def get(self, path: str) -> Any:
        async with self.session.get(f"{self.url}{path}") as answer:
            return await answer.json()

    async def run(
        self, *behaviours: Mapping[str, Any], **limits: Any
    ) -> tuple[Stop | None, Exception | None]:
        """One agent against these behaviours; how it stopped, or what it raised."""
        await self.post("/_llmock/reset")
        return await self.go_on(*behaviours, **limits)

    async def go_on(
        self, *behaviours: Mapping[str, Any], **limits: Any
    ) -> tuple[Stop | None, Exception | None]:
        """The same on a server that remembers what it was asked before."""
        if behaviours:
            await self.post("/_llmock/scenario", {"behaviors": [dict(each) for each in behaviours]})
        model = AnthropicModel(KEY, f"{self.url}/anthropic", idle_timeout_seconds=IDLE_SECONDS)
        agent = Rig(WatchedModel(model), clock=cast("ManualClock", HastyClock()))
        try:
            return (await agent.run(**limits)).stop, None
        except IssuewrightError as error:
            return None, error
        finally:
            await model.close()

    async def findings(self) -> list[str]:
        """What it holds against us, warnings included."""
        verdict = await self.get("/_llmock/verdict")
        return [f"{each['code']}: {each['title']}" for each in verdict["findings"]]

    async def attempts(self) -> list[dict[str, Any]]:
        """Every request of the last run."""
        return list((await self.get("/_llmock/requests"))["requests"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def judge() -> AsyncIterator[Judge]:
    assert COMMAND is not None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(COMMAND, "serve", "--port", str(port), "--rpm", str(REQUESTS_A_MINUTE), *PACE),
        env={"PATH": str(Path(COMMAND).parent)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession() as session:
            judge = Judge(f"http://127.0.0.1:{port}", session)
            await _until_ready(judge)
            yield judge
    finally:
        process.terminate()
        await process.wait()


async def _until_ready(judge: Judge) -> None:
    async with asyncio.timeout(READY_SECONDS):
        while True:
            try:
                await judge.get("/health")
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
            else:
                return


def fail(status: int, **more: Any) -> dict[str, Any]:
    """An error answer."""
    return {"type": "fail", "status": status, **more}


def broken_stream(kind: str, **more: Any) -> dict[str, Any]:
    """A stream that breaks after some of its events."""
    return {"type": "stream_fault", "kind": kind, **more}


@dataclass(frozen=True, slots=True)
class Trouble:
    """What the server does, how often it is asked, and how the agent ends."""

    name: str
    behaviours: tuple[Mapping[str, Any], ...]
    attempts: int
    ends: Stop | type[IssuewrightError] = Stop.FINISHED
    limits: Mapping[str, Any] = field(default_factory=dict)


PASSING: Final = (408, 409, 500, 502)
TIMED: Final = (429, 503, 504, 529)
LASTING: Final = {400: Permanent, 401: AccountRefused, 403: AccountRefused, 404: Permanent, 422: Permanent}
TROUBLES: Final = (
    Trouble("nothing at all", (), 1),
    *(Trouble(f"{status} twice", (fail(status, times=2),), 3) for status in PASSING),
    *(Trouble(f"{status}", (fail(status),), 1, ends) for status, ends in LASTING.items()),
    *(Trouble(f"{status} with a time", (fail(status, retry_after=0.5),), 2) for status in TIMED),
    Trouble("an outage", (fail(503, retry_after=0.1, times=None),), 4, RetryLater),
    Trouble("an outage without a time", (fail(500, times=None),), 4, RetryLater),
    Trouble("a limit for good", (fail(429, retry_after=0.1, times=None),), 4, RetryLater),
    Trouble("a slow answer", ({"type": "delay", "seconds": 0.5},), 1),
    Trouble("a slow first token", ({"type": "slow_first_token", "seconds": 0.5},), 1),
)


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
async def test_the_verdict_on_our_client_is_clean(judge: Judge, trouble: Trouble) -> None:
    stop, error = await judge.run(DONE, *trouble.behaviours, **trouble.limits)

    assert await judge.findings() == []
    assert len(await judge.attempts()) == trouble.attempts
    if isinstance(trouble.ends, Stop):
        assert (stop, error) == (trouble.ends, None)
    else:
        assert isinstance(error, trouble.ends)


@pytest.mark.parametrize("after_chunks", [0, 1, 2, 5, 9])
@pytest.mark.parametrize("kind", ["disconnect", "truncate", "malformed"])
async def test_a_broken_stream_is_asked_for_again(judge: Judge, kind: str, after_chunks: int) -> None:
    stop, error = await judge.run(DONE, broken_stream(kind, after_chunks=after_chunks, times=2))

    assert (stop, error) == (Stop.FINISHED, None)
    assert await judge.findings() == []
    attempts = await judge.attempts()
    assert [bool(attempt["fault"]) for attempt in attempts] == [True, True, False]


async def test_a_stream_that_never_comes_whole_ends_after_a_few_tries(judge: Judge) -> None:
    _, error = await judge.run(DONE, broken_stream("truncate", after_chunks=3, times=None))
    assert isinstance(error, RetryLater)
    assert len(await judge.attempts()) == 4


async def test_a_stream_that_falls_silent_is_given_up_and_asked_for_again(judge: Judge) -> None:
    silence = broken_stream("stall", after_chunks=3, stall_seconds=20.0)
    stop, error = await judge.run(DONE, silence)
    assert (stop, error) == (Stop.FINISHED, None)
    assert await judge.findings() == []


async def test_a_used_up_quota_is_waited_out(judge: Judge) -> None:
    await judge.post("/_llmock/reset")
    body = {"model": "claude-sonnet-5-5", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}
    headers = {"authorization": f"Bearer {KEY}"}
    for _ in range(REQUESTS_A_MINUTE * 2):
        async with judge.session.post(
            f"{judge.url}/anthropic/v1/messages", json=body, headers=headers
        ) as answer:
            if answer.status == 429:
                break
    async with judge.session.delete(f"{judge.url}/_llmock/requests"):
        stop, error = await judge.go_on(DONE)
    assert (stop, error) == (Stop.FINISHED, None)
    assert await judge.findings() == []
    assert [attempt["status"] for attempt in await judge.attempts()] == [429, 200]


@pytest.mark.parametrize("kind", ["malformed_arguments", "unknown_tool"])
async def test_a_broken_tool_call_is_told_and_not_run(judge: Judge, kind: str) -> None:
    stop, error = await judge.run({"type": "tool_fault", "kind": kind}, DONE)
    assert (stop, error) == (Stop.FINISHED, None)
    assert await judge.findings() == []


async def test_an_agent_among_made_up_calls_comes_to_an_end(judge: Judge) -> None:
    stop, error = await judge.run(steps=10)
    assert stop is not None and error is None
    assert await judge.findings() == []
    assert len(await judge.attempts()) <= 10
