"""Limits, money, and a model that is away: nothing is spent unreserved, nothing runs for ever."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from bot.agents.prompt import build
from bot.agents.registry import Limits
from bot.domain.budget import Spent
from bot.domain.effects import Stop
from bot.domain.enums import Cause
from bot.errors import OutcomeUnknown, Permanent, RateLimited, RetryLater
from bot.standin.model.server import ModelServer
from tests.agents.rig import DELIMITER, REQUEST, MemoryRecord, Rig, call, definition, say, turn
from tests.agents.test_loop import FIX, READ, play

BUSY = {"kind": "status", "status": 529}


def endless(server: ModelServer, **extra: Any) -> None:
    """A model that reads another line for ever."""
    turns = [
        turn(say(f"Line {n}."), call("read_file", path="calc.py", offset_line=n), **extra)
        for n in range(1, 99)
    ]
    play(server, *turns)


def test_the_defaults_are_three_dollars_thirty_minutes_and_fifty_steps() -> None:
    assert (Limits().cost_usd, Limits().seconds, Limits().steps) == (3.0, 1_800, 50)


async def test_the_step_limit_keeps_the_last_words(rig: Rig, server: ModelServer) -> None:
    endless(server)
    result = await rig.run(steps=4)
    assert (result.stop, result.steps, result.analysis) == (Stop.STEPS, 4, "Line 4.")


async def test_a_partial_result_stands_at_a_limit(rig: Rig, server: ModelServer) -> None:
    play(server, *FIX[:2], turn(FIX[2]["content"][0]), turn(READ), turn(READ))
    result = await rig.run(steps=4)
    assert result.stop is Stop.STEPS
    assert result.proposal is not None and result.analysis is None


async def test_the_cost_limit_is_checked_against_the_next_call(rig: Rig, server: ModelServer) -> None:
    endless(server, usage={"input_tokens": 100_000, "output_tokens": 4_000})
    result = await rig.run(cost_usd=1.0)
    assert result.stop is Stop.COST
    assert result.cost_usd <= 1.0
    assert result.cost_usd + max(rig.record.reserved.values()) / 1_000_000 > 1.0


async def test_a_job_that_cannot_pay_one_call_makes_none(rig: Rig, server: ModelServer) -> None:
    endless(server)
    result = await rig.run(cost_usd=0.01)
    assert (result.stop, result.steps, server.requests, rig.record.reserved) == (Stop.COST, 0, [], {})


async def test_what_earlier_attempts_spent_counts(rig: Rig, server: ModelServer) -> None:
    endless(server)
    rig.spent = Spent(2_999_999)
    assert (await rig.run()).stop is Stop.COST


async def test_a_limit_of_the_organization_ends_the_job(rig: Rig, server: ModelServer) -> None:
    endless(server)
    rig.record = MemoryRecord(limit_micro_usd=1_000)
    result = await rig.run()
    assert (result.stop, server.requests) == (Stop.COST, [])
    assert "this organization's day" in result.summary


async def test_each_call_is_reserved_and_settled_for_less(rig: Rig, server: ModelServer) -> None:
    play(server, *FIX)
    result = await rig.run()
    assert rig.record.open_rows == set()
    assert all(rig.record.settled[row] <= rig.record.reserved[row] for row in rig.record.reserved)
    assert result.cost_usd == pytest.approx(sum(rig.record.settled.values()) / 1_000_000)
    assert rig.record.costs_usd == [amount / 1_000_000 for amount in rig.record.settled.values()]


async def test_the_deadline_is_seen_before_the_next_call(rig: Rig, server: ModelServer) -> None:
    endless(server)
    rig.model.before = lambda: rig.clock.advance(700)
    result = await rig.run()
    assert (result.stop, result.steps) == (Stop.DEADLINE, 3)
    assert result.summary == "The limit of 30 minutes is reached."


async def test_the_deadline_is_seen_between_the_tools_of_one_turn(rig: Rig, server: ModelServer) -> None:
    async def take_long() -> None:
        rig.clock.advance(1_000)

    rig.tools.on_call = take_long
    play(server, turn(*[READ] * 5))
    result = await rig.run()
    assert (result.stop, len(rig.tools.calls)) == (Stop.DEADLINE, 2)


async def test_no_call_gets_more_time_than_the_job_has_left(rig: Rig, server: ModelServer) -> None:
    endless(server)
    rig.model.before = lambda: rig.clock.advance(700)
    await rig.run()
    assert rig.model.timeouts == [600.0, 600.0, 400.0]


async def test_a_call_that_the_deadline_cuts_ends_the_job_and_counts_in_full(
    rig: Rig, server: ModelServer
) -> None:
    play(server, *FIX, faults=[{"kind": "drop"}])
    rig.model.before = lambda: rig.clock.advance(2_000)
    result = await rig.run()
    assert (result.stop, rig.record.open_rows) == (Stop.DEADLINE, {"row0"})
    assert result.cost_usd == rig.record.reserved["row0"] / 1_000_000


async def test_a_conversation_that_outgrows_the_model_is_not_sent(rig: Rig, server: ModelServer) -> None:
    endless(server)
    rig.model_name = "claude-haiku-4-5"
    rig.prompt = replace(build(definition(), REQUEST, delimiter=DELIMITER), message="x" * 500_000)
    result = await rig.run(cost_usd=100)
    assert (result.stop, result.steps, server.requests) == (Stop.STEPS, 0, [])
    assert "outgrown" in result.summary


async def test_a_model_without_a_price_runs_under_a_token_cap(rig: Rig, server: ModelServer) -> None:
    endless(server, usage={"input_tokens": 10_000, "output_tokens": 100})
    rig.model_name = "claude-opus-4-8"
    result = await rig.run(tokens=60_000)
    assert (result.stop, result.cost_usd) == (Stop.COST, 0.0)
    assert "has no price" in result.summary


async def test_cut_answers_use_up_the_tokens_of_a_model_without_a_price(
    rig: Rig, server: ModelServer
) -> None:
    play(server, *FIX, faults=[{"kind": "drop", "times": 2}])
    rig.model_name = "claude-opus-4-8"
    result = await rig.run(tokens=50_000)
    assert (result.stop, result.steps, len(server.requests)) == (Stop.COST, 0, 2)


async def test_a_busy_model_is_asked_again_with_a_new_reservation_each_time(
    rig: Rig, server: ModelServer
) -> None:
    play(server, *FIX, faults=[{**BUSY, "times": 2}])
    result = await rig.run()
    assert (result.stop, result.steps, len(rig.record.reserved)) == (Stop.FINISHED, 3, 5)
    assert rig.clock.slept == [2.0, 4.0]
    assert rig.shown("retry") == ["RateLimited", "RateLimited"]


async def test_an_answer_that_said_busy_costs_nothing(rig: Rig, server: ModelServer) -> None:
    play(server, *FIX, faults=[BUSY])
    await rig.run()
    assert rig.record.settled["row0"] == 0


@pytest.mark.parametrize("kind", ["drop", "truncate", "nonsense"])
async def test_an_answer_that_was_cut_stays_reserved(rig: Rig, server: ModelServer, kind: str) -> None:
    play(server, *FIX, faults=[{"kind": kind}])
    result = await rig.run()
    assert (result.stop, rig.record.open_rows) == (Stop.FINISHED, {"row0"})
    everything = rig.record.reserved["row0"] + sum(rig.record.settled.values())
    assert result.cost_usd == pytest.approx(everything / 1_000_000)


async def test_cut_answers_use_up_the_budget(rig: Rig, server: ModelServer) -> None:
    play(server, *FIX, faults=[{"kind": "drop", "times": 9}])
    result = await rig.run(cost_usd=0.5)
    assert (result.stop, result.steps) == (Stop.COST, 0)
    assert result.cost_usd <= 0.5


async def test_the_servers_own_wait_is_obeyed(rig: Rig, server: ModelServer) -> None:
    play(server, *FIX, faults=[{**BUSY, "status": 429, "retry_after": 17}])
    await rig.run()
    assert rig.clock.slept == [17.0]


async def test_three_retries_are_the_most(rig: Rig, server: ModelServer) -> None:
    play(server, *FIX, faults=[{**BUSY, "times": 99}])
    with pytest.raises(RateLimited) as caught:
        await rig.run()
    assert caught.value.cause is Cause.MODEL_ERROR
    assert (len(server.requests), rig.clock.slept) == (4, [2.0, 4.0, 8.0])


async def test_a_wait_beyond_the_deadline_is_handed_on_at_once(rig: Rig, server: ModelServer) -> None:
    play(server, *FIX, faults=[{**BUSY, "retry_after": 200}])
    with pytest.raises(RetryLater):
        await rig.run(seconds=100)
    assert rig.clock.slept == []


async def test_a_refused_key_is_not_tried_twice_and_costs_nothing(rig: Rig, server: ModelServer) -> None:
    play(
        server,
        *FIX,
        faults=[{"kind": "status", "status": 401, "type": "authentication_error", "message": "invalid"}],
    )
    with pytest.raises(Permanent):
        await rig.run()
    assert (len(server.requests), rig.record.settled) == (1, {"row0": 0})


async def test_an_interrupted_call_stays_reserved(rig: Rig, server: ModelServer) -> None:
    play(server, *FIX, faults=[{"kind": "hang"}])
    asked = asyncio.Event()
    rig.model.before = asked.set
    task = asyncio.create_task(rig.run())
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert rig.record.open_rows == {"row0"}


async def test_an_endless_failure_to_answer_is_the_runners_to_judge(rig: Rig, server: ModelServer) -> None:
    play(server, *FIX, faults=[{"kind": "truncate", "times": 99}])
    with pytest.raises(OutcomeUnknown):
        await rig.run()
    assert len(server.requests) == 4
