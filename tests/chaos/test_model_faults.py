"""R-21 to R-26: a model that is busy, breaks off, stalls, says nonsense or wants money, at a random turn.

Loop, client and SDK are the real ones; the server is the stand-in. Each play throws its own dice.
"""

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Final

import pytest

from bot.domain.backoff import backoff_seconds
from bot.domain.effects import LoopResult, Stop
from bot.domain.past import Past, Restore
from bot.domain.values import Json
from bot.errors import AccountRefused, RetryLater
from bot.llm.client import AnthropicModel
from bot.standin.model import sse
from bot.standin.model.server import ModelServer
from tests.agents.conftest import KEY
from tests.agents.rig import Rig, WatchedModel, call, say, turn
from tests.agents.test_loop import play

FIXED: Final = "def divide(a, b):\n    return a / b\n"
SESSION: Final = (
    turn(say("I look first."), call("read_file", path="calc.py"), call("search_code", pattern="divide")),
    turn(
        {"type": "thinking", "thinking": "Zero is returned whatever comes in. I divide for real."},
        say("It returns 0 whatever comes in, so I mend that and write down what changed."),
        call("edit_file", path="calc.py", old="return 0", new="return a / b"),
        call("write_file", path="CHANGES.md", content="- `divide` divides, also negative and ümläut.\n" * 8),
    ),
    turn(call("git_diff")),
    turn(
        call("propose_change", title="Divide for real", body="It returned 0."), call("finish", summary="Ok.")
    ),
)
CALLS: Final = [block["name"] for one in SESSION for block in one["content"] if block["type"] == "tool_use"][
    :-2
]
BURST_SECONDS: Final = 600.0
DEADLINE_SECONDS: Final = 1_800.0
MAX_ATTEMPTS: Final = 30
MAX_BACKOFF_SECONDS: Final = 300.0


@pytest.fixture
async def rig(server: ModelServer, dice: random.Random) -> AsyncIterator[Rig]:
    model = AnthropicModel(KEY, server.url, idle_timeout_seconds=0.05, max_ping_seconds=0.05)
    yield Rig(WatchedModel(model), jitter=dice.random)
    await model.close()


def is_done_once(rig: Rig, result: LoopResult) -> None:
    """The session came to its end, and each of its tools ran once, in order."""
    assert result.stop is Stop.FINISHED, result
    assert [name for name, _ in rig.tools.calls] == CALLS
    assert rig.tools.files["calc.py"] == FIXED
    numbers = range(1, len(SESSION) + 1)
    assert rig.record.kinds == [("prompt", 0), *((kind, n) for n in numbers for kind in ("turn", "tools"))]


async def attempts(rig: Rig, server: ModelServer, heal: Callable[[], bool]) -> LoopResult:
    """Run as the runner does: where the loop gives up for now, later again from what is recorded."""
    for attempt in range(1, MAX_ATTEMPTS):
        if heal():
            play(server, *SESSION)
        try:
            return await rig.run(seconds=DEADLINE_SECONDS)
        except RetryLater as error:
            wait = backoff_seconds(2.0, attempt, MAX_BACKOFF_SECONDS)
            rig.clock.advance(max(error.after_seconds or 0.0, wait) * (1 + rig.jitter() / 2))
            rig.past = Past((), rig.record.segment(), Restore("0" * 40, ()))
            rig.spent = rig.record.spent
    raise AssertionError("it never ended")


# ── R-21: it is away ─────────────────────────────────────────────────────────────────────────────
AWAY: Final[dict[str, Json]] = {
    "429": {"kind": "status", "status": 429, "type": "rate_limit_error", "retry_after": 7},
    "429 without a time": {"kind": "status", "status": 429, "type": "rate_limit_error"},
    "500": {"kind": "status", "status": 500, "type": "api_error"},
    "504": {"kind": "status", "status": 504, "type": "timeout_error"},
    "connection closed": {"kind": "drop"},
    "connection reset": {"kind": "reset"},
}


@pytest.mark.parametrize("name", AWAY)
async def test_a_model_that_is_away_is_asked_again_a_bounded_time(
    rig: Rig, server: ModelServer, dice: random.Random, name: str
) -> None:
    times, index = dice.randint(1, 3), dice.randrange(len(SESSION))
    play(server, *SESSION, faults=({**AWAY[name], "turn": index, "times": times},))
    is_done_once(rig, await rig.run(seconds=DEADLINE_SECONDS))
    asked = Counter(one["turn"] for one in server.requests)
    assert asked == Counter(range(len(SESSION))) + Counter({index: times})
    assert len(rig.clock.slept) == times
    assert sum(rig.clock.slept) < 60
    least = 7.0 if name == "429" else 2.0
    assert all(least <= seconds < least * 2 ** (n + 1) for n, seconds in enumerate(rig.clock.slept))


async def test_a_refused_connection_is_tried_four_times_and_handed_on(rig: Rig, server: ModelServer) -> None:
    play(server, *SESSION)
    await server.stop()
    with pytest.raises(RetryLater) as caught:
        await rig.run(seconds=DEADLINE_SECONDS)
    assert caught.value.is_away
    assert (len(rig.model.requests), len(rig.clock.slept), rig.tools.calls) == (4, 3, [])
    assert rig.record.open_rows == set()


async def test_a_burst_of_529_for_ten_minutes_is_outlasted_with_every_turn_recorded_once(
    rig: Rig, server: ModelServer, dice: random.Random
) -> None:
    index = dice.randrange(len(SESSION))
    play(server, *SESSION, faults=({"kind": "status", "status": 529, "turn": index, "times": 10_000},))
    result = await attempts(rig, server, lambda: rig.clock.monotonic() > BURST_SECONDS)
    is_done_once(rig, result)
    assert BURST_SECONDS < rig.clock.monotonic() < DEADLINE_SECONDS
    assert len(server.requests) < 60
    assert rig.record.open_rows == set()


# ── R-22: the stream is cut ──────────────────────────────────────────────────────────────────────
def _events(index: int) -> int:
    """How many events the answer of that turn has."""
    content = [{"id": "t", "signature": "s", **block} for block in SESSION[index]["content"]]
    message = {"content": content, "stop_reason": "x", "stop_sequence": None}
    return len(list(sse.events({"id": "m", "usage": {"input_tokens": 1, "output_tokens": 1}, **message})))


@pytest.mark.parametrize("is_clean", [True, False], ids=["ended", "broken"])
async def test_a_session_that_is_cut_after_any_event_runs_each_tool_once(
    server: ModelServer, is_clean: bool, record_property: Callable[[str, object], None]
) -> None:
    model = AnthropicModel(KEY, server.url, idle_timeout_seconds=5)
    cuts = [(index, count) for index in range(len(SESSION)) for count in range(_events(index))]
    for index, count in cuts:
        play(
            server,
            *SESSION,
            faults=({"kind": "cut", "turn": index, "after_event": count, "is_clean": is_clean},),
        )
        server.requests.clear()
        rig = Rig(WatchedModel(model))
        is_done_once(rig, await rig.run())
        asked = Counter(one["turn"] for one in server.requests)
        assert asked == Counter(range(len(SESSION))) + Counter([index]), (index, count)
        assert len(rig.record.open_rows) == 1, "a cut call counts at its maximum"
    record_property("cuts", len(cuts))
    assert len(cuts) >= 50
    await model.close()


# ── R-23: an error after 200, nothing but pings, silence ─────────────────────────────────────────
SILENT: Final[dict[str, Json]] = {
    "error event": {"kind": "error_event", "type": "overloaded_error", "message": "Overloaded"},
    "pings": {"kind": "pings", "every_seconds": 0.005, "seconds": 60},
    "stall": {"kind": "stall", "seconds": 120},
}


@pytest.mark.parametrize("name", SILENT)
async def test_a_stream_that_says_nothing_more_is_given_up_and_asked_again(
    rig: Rig, server: ModelServer, dice: random.Random, name: str
) -> None:
    index = dice.randrange(len(SESSION))
    fault = {**SILENT[name], "turn": index, "after_event": dice.randrange(1, _events(index) - 1)}
    play(server, *SESSION, faults=(fault,))
    is_done_once(rig, await rig.run())
    assert Counter(one["turn"] for one in server.requests) == Counter(range(len(SESSION))) + Counter([index])
    assert len(rig.record.open_rows) == 1


# ── R-24: stop reasons ───────────────────────────────────────────────────────────────────────────
HALF: Final = call("write_file", path="calc.py", content="half of")
UNUSUAL: Final[dict[str, tuple[list[Json], Stop]]] = {
    "cut in a call": ([turn(say("Now."), HALF, stop_reason="max_tokens")], Stop.FINISHED),
    "window": ([turn(HALF, stop_reason="model_context_window_exceeded")], Stop.STEPS),
    "five pauses": ([turn(say("Wait."), stop_reason="pause_turn")] * 5, Stop.NONSENSE),
    "nothing": ([], Stop.FINISHED),
    "unknown reason": ([turn(HALF, stop_reason="a_new_reason")], Stop.NONSENSE),
    "unknown block": ([turn({"type": "a_new_block", "x": 1}, call("git_diff"))], Stop.FINISHED),
}


@pytest.mark.parametrize("name", UNUSUAL)
async def test_whatever_a_turn_stops_for_nothing_of_a_cut_call_is_run_and_the_loop_ends(
    rig: Rig, server: ModelServer, dice: random.Random, name: str
) -> None:
    index = dice.randrange(len(SESSION))
    inserted, stop = UNUSUAL[name]
    faults: tuple[Json, ...] = ({"kind": "empty", "turn": index},) if name == "nothing" else ()
    play(server, *SESSION[:index], *inserted, *SESSION[index:], faults=faults)
    result = await rig.run()
    assert result.stop is stop
    assert ("write_file", HALF["input"]) not in rig.tools.calls
    assert len(server.requests) <= len(SESSION) + len(inserted) + 1
    if stop is Stop.FINISHED:
        assert rig.tools.files["calc.py"] == FIXED


# ── R-25: calls that do not fit ──────────────────────────────────────────────────────────────────
def _unfit(dice: random.Random) -> dict[str, list[Json]]:
    """Turns without a single call that can be run."""
    wrong: object = dice.choice([7, None, [], {}, True, 1.5])
    return {
        "no object": [
            {"type": "tool_use", "name": "read_file", "input": dice.choice(['{"path', [], 3, None])}
        ],
        "wrong type": [call("read_file", path=wrong)],
        "missing": [call(dice.choice(["read_file", "edit_file", "propose_change"]))],
        "unknown argument": [call("read_file", path="a", **{dice.choice(["mode", "shell", "cwd"]): "x"})],
        "unknown tool": [call(dice.choice(["bash", "git_push", "", "x" * 5_000, "READ_FILE"]))],
        "too long": [call("write_file", path="a", content="x" * 500_000)],
        "two hundred": [call("read_file", path=number) for number in range(200)],
    }


@pytest.mark.parametrize("name", _unfit(random.Random(0)))
async def test_calls_that_do_not_fit_are_explained_three_times_and_then_end_the_job(
    rig: Rig, server: ModelServer, dice: random.Random, name: str
) -> None:
    usage = {"input_tokens": 1_000, "output_tokens": 1_000}
    play(server, turn(*_unfit(dice)[name], usage=usage), repeat=True)
    result = await rig.run()
    assert (result.stop, result.steps, rig.tools.calls) == (Stop.NONSENSE, 3, [])
    assert all(block.get("is_error") for block in rig.record.results(1) if block["type"] == "tool_result")
    assert max(one["bytes"] for one in server.requests) < 2_000_000


# ── R-26: money ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 402, "type": "billing_error"},
        {"kind": "status", "status": 429, "code": "enforced_spend_limit_reached"},
        {"kind": "error_event", "type": "billing_error", "after_event": 1},
    ],
    ids=["402", "429 with its code", "in the stream"],
)
async def test_an_account_without_money_is_asked_once_and_runs_nothing(
    rig: Rig, server: ModelServer, dice: random.Random, fault: Json
) -> None:
    index = dice.randrange(len(SESSION))
    play(server, *SESSION, faults=({**fault, "turn": index, "times": 100},))
    with pytest.raises(AccountRefused):
        await rig.run()
    assert len(server.requests) == index + 1
    assert rig.clock.slept == []
    assert KEY not in str(rig.record.events)
