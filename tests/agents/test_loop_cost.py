"""What a session is billed: each token written once and read ever after."""

import json
from itertools import pairwise

import pytest

from bot.domain.effects import Stop
from bot.domain.values import Json
from bot.standin.model.server import ModelServer
from tests.agents.rig import Rig, call, say, turn
from tests.agents.test_loop import play, without_marks

WRITE, READ_RATE = 1.25, 0.1
STEPS = 30


def session(calls: int = 1) -> list[Json]:
    """Thirty steps of reading another part of a file, then the end."""

    def reads(step: int) -> list[Json]:
        return [call("read_file", path="calc.py", offset_line=step * 50 + k) for k in range(1, calls + 1)]

    return [
        *[turn(say(f"Part {step}."), *reads(step)) for step in range(STEPS)],
        turn(call("give_up", reason="Enough.")),
    ]


async def run(rig: Rig, server: ModelServer, turns: list[Json]) -> None:
    text = "def f(a):\n    return a\n" * 100

    async def differ() -> None:
        rig.tools.files["calc.py"] = f"{len(rig.tools.calls)}\n{text}"

    rig.tools.on_call = differ
    play(server, *turns)
    assert (await rig.run()).stop is Stop.GAVE_UP


async def test_thirty_steps_cost_at_most_a_twentieth_more_than_the_optimum(
    rig: Rig, server: ModelServer
) -> None:
    await run(rig, server, session())
    usages = rig.record.usages
    billed = sum(
        usage.input_tokens + WRITE * usage.cache_write_tokens + READ_RATE * usage.cache_read_tokens
        for usage in usages
    )
    whole = [usage.input_tokens + usage.cache_write_tokens + usage.cache_read_tokens for usage in usages]
    # w (P + (n-1) d) + r [(n-1) P + d (n-1)(n-2)/2], with a prefix P and d tokens a step
    n, prefix, d = len(whole), whole[0], (whole[-1] - whole[0]) / (len(whole) - 1)
    optimum = WRITE * (prefix + (n - 1) * d) + READ_RATE * ((n - 1) * prefix + d * (n - 1) * (n - 2) / 2)
    assert n == STEPS + 1
    assert billed <= 1.05 * optimum


@pytest.mark.parametrize("calls", [1, 25, 30])
async def test_no_request_after_the_first_reads_nothing_however_long_a_turn_is(
    rig: Rig, server: ModelServer, calls: int
) -> None:
    await run(rig, server, session(calls)[-8:])
    usages = rig.record.usages
    assert all(usage.cache_read_tokens > 0 for usage in usages[1:])
    for before, after in pairwise(usages):
        assert after.cache_read_tokens >= before.cache_read_tokens + before.cache_write_tokens


async def test_two_requests_in_a_row_share_their_prefix_byte_for_byte(rig: Rig, server: ModelServer) -> None:
    await run(rig, server, session(3))
    bodies = [without_marks(record["body"]) for record in server.requests]
    for before, after in pairwise(bodies):
        for name in ("system", "tools"):
            assert json.dumps(before[name]) == json.dumps(after[name])
        assert json.dumps(after["messages"]).startswith(json.dumps(before["messages"])[:-1])


async def test_at_most_four_breakpoints_are_set(rig: Rig, server: ModelServer) -> None:
    await run(rig, server, session(25)[-8:])
    assert max(json.dumps(record["body"]).count("cache_control") for record in server.requests) == 4


async def test_a_step_is_two_transactions(rig: Rig, server: ModelServer) -> None:
    await run(rig, server, session())
    # The prompt with the first reservation, then two for each turn.
    assert rig.record.transactions == 1 + 2 * (STEPS + 1)


async def test_the_change_is_asked_for_only_after_a_turn_that_may_have_made_it(
    rig: Rig, server: ModelServer
) -> None:
    asked: list[int] = []
    changes = rig.tools.changes

    async def watched() -> list[object]:
        asked.append(len(rig.tools.calls))
        return list(await changes())

    rig.tools.changes = watched  # type: ignore[assignment, method-assign]
    play(
        server,
        turn(call("read_file", path="calc.py")),
        turn(call("write_file", path="new.py", content="1")),
        turn(call("give_up", reason="Enough.")),
    )
    await rig.run()
    assert asked == [2]
    assert list(rig.record.changes) == [5]
