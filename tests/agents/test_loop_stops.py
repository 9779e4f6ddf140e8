"""Every stop reason, and answers that nothing can be done with."""

from typing import Any

import pytest

from bot.domain.effects import Stop
from bot.domain.values import Json
from bot.standin.model.server import ModelServer
from tests.agents.rig import Rig, call, say, turn
from tests.agents.test_loop import EDIT, FINISH, FIX, PROPOSE, READ, play

GIVE_UP = turn(call("give_up", reason="Enough."))


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("refusal", Stop.REFUSED),
        ("model_context_window_exceeded", Stop.STEPS),
        ("compaction", Stop.NONSENSE),
        (None, Stop.NONSENSE),
    ],
)
async def test_a_stop_reason_that_ends_the_loop_runs_no_tool(
    rig: Rig, server: ModelServer, reason: str | None, stop: Stop
) -> None:
    play(server, turn(READ, stop_reason=reason))
    result = await rig.run()
    assert (result.stop, result.steps, rig.tools.calls) == (stop, 1, [])


@pytest.mark.parametrize("reason", ["tool_use", "end_turn", "stop_sequence", "pause_turn"])
async def test_whole_tool_calls_run_whatever_the_stop_reason(
    rig: Rig, server: ModelServer, reason: str
) -> None:
    play(server, turn(READ, stop_reason=reason), GIVE_UP)
    await rig.run()
    assert [name for name, _ in rig.tools.calls] == ["read_file"]


async def test_a_tool_call_that_was_cut_is_never_run(rig: Rig, server: ModelServer) -> None:
    cut = call("write_file", path="calc.py", content="half of")
    play(server, turn(say("Now."), cut, stop_reason="max_tokens"), GIVE_UP)
    result = await rig.run()
    assert (result.stop, rig.tools.calls) == (Stop.GAVE_UP, [])
    assert "was not run" in rig.record.results(1)[0]["content"]


async def test_text_that_was_cut_again_and_again_ends_the_loop(rig: Rig, server: ModelServer) -> None:
    play(server, turn(say("And so on"), stop_reason="max_tokens"), repeat=True)
    result = await rig.run()
    assert (result.stop, result.steps) == (Stop.NONSENSE, 3)


async def test_thinking_that_was_cut_is_not_sent_back(rig: Rig, server: ModelServer) -> None:
    server.play(
        {"scripts": [{"turns": [turn({"type": "thinking", "thinking": "Hm"}, stop_reason="max_tokens")]}]}
    )
    assert (await rig.run()).stop is Stop.NONSENSE
    assert {message["role"] for message in server.requests[-1]["body"]["messages"]} == {"user"}


async def test_words_after_a_result_are_the_end(rig: Rig, server: ModelServer) -> None:
    play(server, turn(EDIT, PROPOSE), turn(say("I fixed it.")))
    result = await rig.run()
    assert (result.stop, result.summary) == (Stop.FINISHED, "I fixed it.")


async def test_words_without_a_result_are_nudged_and_then_ended(rig: Rig, server: ModelServer) -> None:
    play(server, turn(say("It works on my machine.")), repeat=True)
    result = await rig.run()
    assert (result.stop, result.steps, result.analysis) == (Stop.NONSENSE, 3, None)
    assert "had no tool call" in rig.record.results(1)[0]["text"]


async def test_a_pause_is_continued_without_a_word_of_ours(rig: Rig, server: ModelServer) -> None:
    play(server, turn(say("Wait."), stop_reason="pause_turn"), *FIX)
    assert (await rig.run()).stop is Stop.FINISHED
    assert server.requests[1]["body"]["messages"][-1]["role"] == "assistant"


async def test_endless_pauses_end(rig: Rig, server: ModelServer) -> None:
    play(server, turn(say("Wait."), stop_reason="pause_turn"), repeat=True)
    assert (await rig.run()).stop is Stop.NONSENSE


async def test_an_empty_pause_is_answered(rig: Rig, server: ModelServer) -> None:
    play(server, turn(stop_reason="pause_turn"), repeat=True)
    assert (await rig.run()).stop is Stop.NONSENSE
    assert "had no tool call" in rig.record.results(1)[0]["text"]


async def test_one_empty_answer_is_survived(rig: Rig, server: ModelServer) -> None:
    server.play({"scripts": [{"turns": FIX}], "faults": [{"kind": "empty"}]})
    result = await rig.run()
    assert (result.stop, result.steps) == (Stop.FINISHED, 4)


async def test_a_model_that_answers_nothing_ends_in_nonsense(rig: Rig, server: ModelServer) -> None:
    server.play({"scripts": [{"turns": FIX}], "faults": [{"kind": "empty", "times": 9}]})
    result = await rig.run()
    assert (result.stop, result.steps) == (Stop.NONSENSE, 3)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (call("set_labels", labels=["x"]), "There is no tool 'set_labels'"),
        (call("x" * 5_000), "There is no tool"),
        (call("read_file"), "`path` is missing."),
        (call("read_file", path=7), "`path` must be a string."),
        (call("read_file", path="a", verbose=True), "`verbose` is not an argument"),
        (call("write_file", path="a", content="x" * 400_001), "at most 400,000"),
        (call("propose_change", title="x" * 70, body="b"), "at most 69"),
    ],
)
async def test_a_call_that_does_not_fit_is_explained_and_never_run(
    rig: Rig, server: ModelServer, bad: Json, words: str
) -> None:
    play(server, turn(bad), GIVE_UP)
    result = await rig.run()
    answer = rig.record.results(1)[0]
    assert (result.stop, rig.tools.calls) == (Stop.GAVE_UP, [])
    assert words in answer["content"] and answer["is_error"] and len(answer["content"]) < 500
    assert rig.shown("problem") == [bad["name"][:80]]


async def test_three_unfit_turns_in_a_row_end_the_loop(rig: Rig, server: ModelServer) -> None:
    play(server, turn(call("read_file")), repeat=True)
    result = await rig.run()
    assert (result.stop, result.steps) == (Stop.NONSENSE, 3)


async def test_a_useful_turn_forgives_the_unfit_ones(rig: Rig, server: ModelServer) -> None:
    bad = turn(call("read_file"))
    play(server, bad, bad, turn(READ), bad, bad, GIVE_UP)
    assert (await rig.run()).stop is Stop.GAVE_UP


async def test_two_hundred_parallel_calls_are_answered_and_thirty_are_run(
    rig: Rig, server: ModelServer
) -> None:
    play(server, turn(*[call("read_file", path="calc.py", offset_line=n) for n in range(1, 201)]), GIVE_UP)
    await rig.run()
    results = rig.record.results(1)
    assert (len(results), len(rig.tools.calls)) == (200, 30)
    assert "At most 30 calls" in results[30]["content"]


async def test_the_same_turn_four_times_is_nudged_once_and_then_stopped(
    rig: Rig, server: ModelServer
) -> None:
    play(server, turn(say("Looking."), READ), repeat=True)
    result = await rig.run()
    assert (result.stop, result.steps) == (Stop.STUCK, 5)
    assert "same calls" in rig.record.results(4)[-1]["text"]
    assert result.analysis == "Looking."


async def test_a_nudged_model_may_still_finish(rig: Rig, server: ModelServer) -> None:
    play(server, *[turn(READ)] * 4, *FIX)
    assert (await rig.run()).stop is Stop.FINISHED


async def test_a_call_with_another_result_is_no_repetition(rig: Rig, server: ModelServer) -> None:
    async def grow() -> None:
        rig.tools.files["calc.py"] += "#"

    rig.tools.on_call = grow
    play(server, *[turn(READ)] * 8, GIVE_UP)
    assert (await rig.run()).stop is Stop.GAVE_UP


@pytest.mark.parametrize(
    ("effect", "arguments"),
    [("post_analysis", {"text": "An answer."}), ("propose_change", {"title": "A title", "body": "A body"})],
)
async def test_a_fourth_effect_of_a_kind_is_not_taken(
    rig: Rig, server: ModelServer, effect: str, arguments: dict[str, Any]
) -> None:
    fourth = call(effect, **{name: f"{value} (4)" for name, value in arguments.items()})
    play(server, turn(EDIT), turn(*[call(effect, **arguments)] * 3, fourth), turn(FINISH))
    result = await rig.run()
    assert "(4)" not in f"{result.proposal} {result.analysis}"
    assert [block.get("is_error", False) for block in rig.record.results(2)] == [
        False,
        False,
        False,
        True,
    ]


async def test_nothing_is_taken_after_the_end_in_the_same_turn(rig: Rig, server: ModelServer) -> None:
    play(server, turn(EDIT, PROPOSE, FINISH, call("post_analysis", text="One more thing.")))
    result = await rig.run()
    assert (result.stop, result.analysis) == (Stop.FINISHED, None)
