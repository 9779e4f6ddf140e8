"""What is read of an answer, and what is not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.enums import IssuePriority, IssueType
from bot.domain.values import Json, ModelReply, Usage
from bot.triage.look import MAX_ANSWER_CHARS, Look, objects, read, schema
from tests.triage.conftest import OPINION, opinion

IDS = ("code.fix", "meta.research")
LOOK = Look(
    IssueType.BUG,
    IssuePriority.HIGH,
    3,
    "till/money.py",
    "code.fix",
    "haiku",
    0.9,
    "split drops the rest.",
    is_ready=True,
)


def reply(text: str, *more: Json, stop: str | None = "end_turn") -> ModelReply:
    return ModelReply([{"type": "text", "text": text}, *more], stop, Usage(), "m")


def said(**changes: Any) -> Look | None:
    return read(reply(json.dumps(opinion(**changes))), IDS)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(OPINION),
        f"Here it is:\n```json\n{json.dumps(OPINION, indent=2)}\n```\nDone.",
        f'{{"note": 1}} {{broken {json.dumps(OPINION)} {json.dumps(opinion(type="TASK"))}',
        json.dumps(opinion(confidence=0.9000001)),
    ],
)
def test_the_first_whole_opinion_is_read_wherever_it_stands(text: str) -> None:
    assert read(reply(text), IDS) == LOOK


def test_thinking_beside_the_answer_is_passed_over() -> None:
    thinking = {"type": "thinking", "thinking": json.dumps(opinion(type="TASK")), "signature": "s"}
    assert read(reply(json.dumps(OPINION), thinking), IDS) == LOOK


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "bug"},
        {"type": "VIRUS"},
        {"type": ["BUG"]},
        {"priority": "P0"},
        {"priority": None},
        {"complexity": 0},
        {"complexity": 11},
        {"complexity": "3"},
        {"complexity": True},
        {"complexity": 3.0},
        {"confidence": 1.5},
        {"confidence": -0.1},
        {"confidence": "high"},
        {"confidence": True},
        {"agent": "code.feature"},
        {"agent": "../../etc"},
        {"agent": ["code.fix"]},
        {"model": "claude-fable-5-1"},
        {"model": None},
        {"ready": "yes"},
        {"ready": 1},
        {"missing": "all"},
        {"missing": [1]},
        {"question": None},
        {"module": 5},
        {"reasoning": {}},
        {"labels": ["urgent"]},
    ],
)
def test_one_wrong_field_makes_the_whole_opinion_worth_nothing(changes: Json) -> None:
    assert said(**changes) is None


@pytest.mark.parametrize("name", sorted(OPINION))
def test_a_missing_field_makes_it_worth_nothing(name: str) -> None:
    short = {key: value for key, value in OPINION.items() if key != name}
    assert read(reply(json.dumps(short)), IDS) is None


@pytest.mark.parametrize("stop", ["tool_use", "refusal", "max_tokens", "pause_turn", "new", None])
def test_an_answer_that_ended_otherwise_is_not_looked_at(stop: str | None) -> None:
    assert read(reply(json.dumps(OPINION), stop=stop), IDS) is None


def test_a_tool_call_beside_a_good_opinion_makes_it_worth_nothing() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "run_command", "input": {"command": "id"}}
    assert read(reply(json.dumps(OPINION), call), IDS) is None


@pytest.mark.parametrize(
    "text", ["", "BUG", "[]", "{}", "null", '{"type": NaN, "confidence": 1}', "{" * 5_000]
)
def test_no_opinion_is_none(text: str) -> None:
    assert read(reply(text), IDS) is None


def test_its_words_are_one_short_visible_line_each() -> None:
    found = said(
        ready=False,
        question="Which\n\u202eversion\u200b?<!-- hidden --> \0" + "x" * 5_000,
        missing=["a\nb", " ", *"cdefgh"],
        reasoning="\ud83d",
        module="m" * 900,
    )
    assert found is not None and found.question.startswith("Which version? xx")
    assert len(found.question) == 600 and len(found.module) == 200
    assert found.missing == ("a b", "c", "d", "e") and not found.is_ready
    assert found.reasoning.isprintable()


def test_the_schema_is_closed_and_names_the_agents_that_may_be_chosen() -> None:
    form = schema(IDS)
    assert form["additionalProperties"] is False and set(form["required"]) == set(OPINION)
    assert form["properties"]["agent"]["enum"] == list(IDS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(sorted(OPINION)), JSON))
def test_no_value_in_any_field_gets_past_its_check(changes: Json) -> None:
    found = said(**changes)
    if found is not None:
        assert 1 <= found.complexity <= 10 and 0 <= found.confidence <= 1 and found.agent in IDS


@given(st.text(alphabet='{}[]":,0aeE.-\\ntrue ', max_size=300), st.text(max_size=50))
def test_no_text_makes_the_reading_fall_over(text: str, more: str) -> None:
    assert all(isinstance(each, dict) for each in objects(text + more))
    assert read(reply(text + more), IDS) is None


@pytest.mark.parametrize("piece", ["{", '{"a":', "[", '{"a":{', "}"])
def test_a_long_answer_is_read_quickly(piece: str) -> None:
    assert list(objects(piece * MAX_ANSWER_CHARS)) == []
