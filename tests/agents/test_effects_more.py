"""Reviews, labels, duplicates and questions: what is taken, what is sent back, what counts as a result."""

from typing import Any

import pytest

from bot.agents.arguments import problems
from bot.agents.effects import MAX_REPEATS, Effects
from bot.agents.ending import Ended, result
from bot.agents.tools import CATALOG
from bot.domain.effects import Duplicate, Finding, Review, Severity, Stop
from bot.domain.values import Json

FINDING: Json = {
    "path": "src/total.py",
    "line": 7,
    "severity": "high",
    "confidence": 80,
    "title": "The sum starts at 1",
    "evidence": "total([]) is 1: src/total.py:7",
}


def give(effects: Effects, name: str, **arguments: Any) -> str:
    """Call an effect as the loop does: schema first."""
    wrong = problems(CATALOG[name].input_schema, arguments)
    return " ".join(wrong) or effects.apply(name, arguments, has_changes=False).text


def test_a_review_is_kept_with_the_most_severe_and_surest_findings_first() -> None:
    effects = Effects()
    low = {**FINDING, "severity": "low", "title": "low"}
    unsure = {**FINDING, "confidence": 20, "title": "unsure"}
    words = give(effects, "submit_review", summary=" Looked at all. ", findings=[low, unsure, FINDING])
    assert "3 findings is kept" in words and effects.has_result and effects.review
    assert [each.title for each in effects.review.findings] == ["The sum starts at 1", "unsure", "low"]
    assert effects.review.findings[0] == Finding(
        "src/total.py", 7, Severity.HIGH, 80, "The sum starts at 1", "total([]) is 1: src/total.py:7"
    )


def test_a_review_that_finds_nothing_is_a_result() -> None:
    effects = Effects()
    give(effects, "submit_review", summary="All is well.", findings=[])
    assert effects.review == Review("All is well.") and give(effects, "finish", summary="Done") == "Done."


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"path": "../x"}, "`findings[0]`: path must be a file's path"),
        ({"path": "/etc/passwd"}, "path must be a file's path"),
        ({"path": ".git/config"}, "path must be a file's path"),
        ({"path": "."}, "path must be a file's path"),
        ({"path": "a\nb"}, "path must be a file's path"),
        ({"line": 0}, "`findings[0].line` must lie between 1"),
        ({"line": "7"}, "`findings[0].line` must be an integer."),
        ({"end_line": 6}, "end_line must not come before line."),
        ({"severity": "huge"}, "`findings[0].severity` must be one of critical, high, medium, low."),
        ({"confidence": 101}, "`findings[0].confidence` must lie between 0 and 100."),
        ({"title": " "}, "title must not be blank."),
        ({"title": "a\u2028b"}, "title must be one line."),
        ({"evidence": "\n"}, "evidence must not be blank."),
        ({"approve": True}, "`findings[0].approve` is not an argument"),
    ],
)
def test_a_finding_that_cannot_be_shown_is_sent_back(change: Json, words: str) -> None:
    effects = Effects()
    assert words in give(effects, "submit_review", summary="s", findings=[{**FINDING, **change}])
    assert effects.review is None and not effects.has_result


def test_no_more_findings_are_taken_than_people_read() -> None:
    words = give(Effects(), "submit_review", summary="s", findings=[FINDING] * 26)
    assert words == "`findings` has 26 items; it may have 0 to 25."
    many = give(Effects(), "submit_review", summary="s", findings=[{}] * 25)
    assert len(many) < 1_000


def test_labels_are_those_that_the_repository_has() -> None:
    effects = Effects(frozenset({"bug", "docs"}))
    assert "no label 'urgent'. It has: bug, docs." in give(effects, "set_labels", labels=["bug", "urgent"])
    assert not effects.has_result
    give(effects, "set_labels", labels=["bug", " docs ", "bug"])
    assert effects.labels == ("bug", "docs")
    assert effects.has_result


@pytest.mark.parametrize("labels", [[], ["a"] * 4, [" "], ["a\nb"], ["x" * 51], [5]])
def test_unfit_labels_are_not_kept(labels: list[Any]) -> None:
    effects = Effects()
    give(effects, "set_labels", labels=labels)
    assert effects.labels == () and not effects.has_result


def test_a_duplicate_is_kept_with_its_reason() -> None:
    effects = Effects()
    assert "must not be blank" in give(effects, "suggest_duplicate", number=3, reason=" ")
    assert "must lie between" in give(effects, "suggest_duplicate", number=0, reason="same")
    give(effects, "suggest_duplicate", number=3, reason="Same crash.")
    assert effects.duplicate == Duplicate(3, "Same crash.") and effects.has_result


def test_a_question_ends_the_work() -> None:
    effects = Effects()
    assert "must not be blank" in give(effects, "ask_question", question=" ") and not effects.is_over
    give(effects, "ask_question", question="Which currency? ")
    assert (effects.is_over, effects.has_given_up, effects.question) == (True, False, "Which currency?")
    assert "nothing more is taken" in give(effects, "finish", summary="s")


def test_each_effect_counts() -> None:
    effects = Effects()
    for _ in range(MAX_REPEATS):
        give(effects, "set_labels", labels=["bug"])
    assert "was given 3 times already" in give(effects, "set_labels", labels=["docs"])
    assert effects.labels == ("bug",)


def test_all_that_was_taken_is_in_the_result() -> None:
    effects = Effects()
    give(effects, "submit_review", summary="s", findings=[FINDING])
    give(effects, "set_labels", labels=["bug"])
    give(effects, "suggest_duplicate", number=3, reason="same")
    give(effects, "ask_question", question="Which?")
    ended = result(Ended(Stop.FINISHED, "Which?"), effects, last_text="", steps=1, cost_usd=0.1)
    assert (ended.question, ended.labels, ended.duplicate) == ("Which?", ("bug",), Duplicate(3, "same"))
    assert ended.review is not None and len(ended.review.findings) == 1
