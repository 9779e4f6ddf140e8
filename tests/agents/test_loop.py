"""From the request to the end, against the real SDK and a server that refuses what Anthropic refuses."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from bot.domain.effects import Proposal, Stop
from bot.domain.values import Json
from bot.errors import LeaseLost
from bot.standin.model.server import ModelServer
from tests.agents.rig import Rig, call, say, turn

READ = call("read_file", path="calc.py")
EDIT = call("edit_file", path="calc.py", old="return 0", new="return a / b")
PROPOSE = call("propose_change", title="Divide for real", body="It returned 0.")
FINISH = call("finish", summary="Fixed.")
FIX = [turn(READ, call("search_code", pattern="divide")), turn(EDIT), turn(PROPOSE, FINISH)]


def play(server: ModelServer, *turns: Json, faults: Sequence[Json] = (), **script: Any) -> None:
    server.play({"scripts": [{"name": "test", "turns": list(turns), **script}], "faults": list(faults)})


def without_marks(blocks: Any) -> Any:
    return json.loads(
        json.dumps(blocks), object_hook=lambda d: {k: v for k, v in d.items() if k != "cache_control"}
    )


async def test_a_fix_ends_with_a_proposal_and_a_changed_file(rig: Rig, server: ModelServer) -> None:
    play(server, *FIX)
    result = await rig.run()
    assert (result.stop, result.steps, result.summary) == (Stop.FINISHED, 3, "Fixed.")
    assert result.proposal == Proposal("Divide for real", "It returned 0.")
    assert rig.tools.files["calc.py"] == "def divide(a, b):\n    return a / b\n"


async def test_an_analysis_is_a_result_too(rig: Rig, server: ModelServer) -> None:
    play(server, turn(call("post_analysis", text="Nothing is wrong."), call("finish", summary="No change.")))
    result = await rig.run()
    assert (result.stop, result.analysis, result.proposal) == (Stop.FINISHED, "Nothing is wrong.", None)


async def test_giving_up_keeps_the_reason(rig: Rig, server: ModelServer) -> None:
    play(server, turn(call("give_up", reason="The file is missing.")))
    result = await rig.run()
    assert (result.stop, result.summary) == (Stop.GAVE_UP, "The file is missing.")


async def test_the_transcript_has_every_turn_and_every_answer_in_order(rig: Rig, server: ModelServer) -> None:
    play(server, *FIX)
    await rig.run()
    steps = [(kind, number) for number in (1, 2, 3) for kind in ("turn", "tools")]
    assert rig.record.kinds == [("prompt", 0), *steps]


async def test_a_turn_is_recorded_before_its_tools_run(rig: Rig, server: ModelServer) -> None:
    play(server, *FIX)
    seen: list[tuple[str, int]] = []

    async def look() -> None:
        seen.append(rig.record.kinds[-1])

    rig.tools.on_call = look
    await rig.run()
    assert seen == [("turn", 1), ("turn", 1), ("turn", 2)]


async def test_step_0_holds_all_that_the_model_is_told(rig: Rig, server: ModelServer) -> None:
    play(server, *FIX)
    await rig.run()
    prompt, sent = rig.record.content("prompt", 0), server.requests[0]["body"]
    assert (prompt["system"], prompt["tools"], prompt["model"]) == (
        sent["system"],
        sent["tools"],
        sent["model"],
    )
    assert prompt["message"] == sent["messages"][0]["content"][0]["text"]


async def test_parallel_calls_are_answered_in_one_message_in_their_order(
    rig: Rig, server: ModelServer
) -> None:
    play(server, *FIX)
    await rig.run()
    *_, reply, answer = server.requests[1]["body"]["messages"]
    asked = [block["id"] for block in reply["content"]]
    assert [block["tool_use_id"] for block in answer["content"]] == asked
    assert [name for name, _ in rig.tools.calls] == ["read_file", "search_code", "edit_file"]


async def test_consecutive_requests_share_their_prefix_byte_for_byte(rig: Rig, server: ModelServer) -> None:
    play(server, *FIX)
    await rig.run()
    bodies = [without_marks(record["body"]) for record in server.requests]
    for before, after in pairwise(bodies):
        assert json.dumps([before["tools"], before["system"]]) == json.dumps(
            [after["tools"], after["system"]]
        )
        assert json.dumps(before["messages"]) == json.dumps(after["messages"][: len(before["messages"])])


async def test_every_request_after_the_first_reads_the_cache(rig: Rig, server: ModelServer) -> None:
    many = turn(*[call("read_file", path="calc.py", offset_line=line) for line in range(1, 30)])
    play(server, turn(READ), many, turn(EDIT), *FIX[2:])
    await rig.run()
    usages = rig.record.usages
    assert [usage.cache_read_tokens > 0 for usage in usages] == [False, True, True, True]


async def test_thinking_goes_back_unchanged(rig: Rig, server: ModelServer) -> None:
    play(server, turn({"type": "thinking", "thinking": "Hm.\n"}, READ), *FIX[1:])
    assert (await rig.run()).stop is Stop.FINISHED
    assert server.requests[1]["body"]["messages"][1]["content"][0]["thinking"] == "Hm.\n"


async def test_blank_text_is_not_sent_back_because_the_api_refuses_it(rig: Rig, server: ModelServer) -> None:
    play(server, turn(say(" \n"), READ), *FIX[1:])
    assert (await rig.run()).stop is Stop.FINISHED


async def test_an_error_of_a_tool_goes_back_to_the_model(rig: Rig, server: ModelServer) -> None:
    play(server, turn(call("read_file", path="gone.py")), *FIX)
    assert (await rig.run()).stop is Stop.FINISHED
    assert rig.record.results(1)[0] == {
        "type": "tool_result",
        "tool_use_id": rig.record.results(1)[0]["tool_use_id"],
        "content": "gone.py does not exist.",
        "is_error": True,
    }


async def test_a_refused_attempt_is_told_to_the_observer_with_short_arguments(
    rig: Rig, server: ModelServer
) -> None:
    play(server, turn(call("read_file", path=".git/config" + "x" * 500)), *FIX)
    await rig.run()
    refusal = next(event for event in rig.record.events if event.kind == "refusal")
    assert (refusal.name, refusal.step) == ("read_file", 1)
    assert len(refusal.detail["arguments"]["path"]) == 80
    assert refusal.detail["words"].startswith("Refused")


async def test_the_observer_sees_turns_and_tools(rig: Rig, server: ModelServer) -> None:
    play(server, *FIX)
    await rig.run()
    assert rig.shown("turn") == ["tool_use"] * 3
    assert rig.shown("tool") == ["read_file", "search_code", "edit_file", "propose_change", "finish"]


async def test_a_long_tool_result_is_cut_in_the_middle(rig: Rig, server: ModelServer) -> None:
    rig.tools.files["calc.py"] = "a" * 100_000
    play(server, turn(READ), turn(call("give_up", reason="Too long.")))
    await rig.run()
    content = rig.record.results(1)[0]["content"]
    assert len(content) < 60_200 and "[40,000 characters left out; read them with offset_line" in content


async def test_what_is_no_unicode_text_reaches_the_model_as_a_question_mark(
    rig: Rig, server: ModelServer
) -> None:
    rig.tools.files["calc.py"] = "caf\udce9"
    play(server, turn(READ), turn(call("give_up", reason="Odd bytes.")))
    assert (await rig.run()).stop is Stop.GAVE_UP
    assert rig.record.results(1)[0]["content"] == "caf?"


async def test_an_empty_tool_result_says_so(rig: Rig, server: ModelServer) -> None:
    rig.tools.files["calc.py"] = ""
    play(server, turn(READ), turn(call("give_up", reason="Empty.")))
    await rig.run()
    assert rig.record.results(1)[0]["content"] == "(no output)"


async def test_a_lost_lease_stops_the_loop_at_once(rig: Rig, server: ModelServer) -> None:
    def lose(name: str) -> None:
        if name == "before turn":
            raise LeaseLost("another worker owns the job")

    rig.record.cut = lose
    play(server, *FIX)
    with pytest.raises(LeaseLost):
        await rig.run()
    assert rig.tools.calls == []


async def test_a_proposal_without_a_change_is_sent_back(rig: Rig, server: ModelServer) -> None:
    play(server, turn(PROPOSE, FINISH), *FIX[1:])
    result = await rig.run()
    assert (result.stop, result.steps) == (Stop.FINISHED, 3)
    assert "No file has changed" in rig.record.results(1)[0]["content"]
    assert "There is no result yet" in rig.record.results(1)[1]["content"]


async def test_the_last_of_several_proposals_counts(rig: Rig, server: ModelServer) -> None:
    better = call("propose_change", title="Divide properly", body="It returned 0.")
    play(server, turn(EDIT, PROPOSE), turn(better, FINISH))
    result = await rig.run()
    assert result.proposal is not None and result.proposal.title == "Divide properly"
