"""What an answer shows beside its prose: findings, labels, a duplicate, a question."""

import pytest

from bot.domain.effects import Duplicate, Finding, Review, Severity
from bot.domain.enums import Cause
from bot.publish import answers
from bot.publish.headlines import headline
from bot.publish.sanitize import sanitize

SECRET = "canary-secret-4711-never-to-be-seen"
HOSTILE = f"@octo/all fixes #3\n/merge {SECRET} <!-- h --> ![x](https://evil.example/p.png) ```"


def say(text: str) -> str:
    return sanitize(text, secrets=(SECRET,)).text


def finding(title: str = "It loses a cent", **more: object) -> Finding:
    given = {"evidence": "split(1000, 3) is 999", "end_line": 9, "suggestion": None, **more}
    return Finding("till/money.py", 7, Severity.HIGH, 80, title, **given)  # type: ignore[arg-type]


def test_a_finding_shows_place_severity_evidence_and_suggestion() -> None:
    text = answers.review(Review("Read all of it.", (finding(suggestion="    return @parts\n"),)), say)
    assert text == (
        "Read all of it.\n\n"
        "**1. It loses a cent** (high, 80 % sure)\n`till/money.py:7-9`\n\n"
        "split(1000, 3) is 999\n\n"
        "Suggested in place of it:\n\n```text\n    return @parts\n```"
    )


def test_a_review_without_findings_says_so() -> None:
    assert answers.review(Review("All is well."), say) == "All is well.\n\nNo findings."


def test_ten_findings_are_shown_and_the_rest_is_named() -> None:
    found = tuple(finding(f"Number {number}", end_line=None) for number in range(1, 13))
    text = answers.review(Review("s", found), say)
    assert "**10. Number 10**" in text and "**11." not in text
    assert text.endswith(
        "**2 more, of less weight**\n\n- `till/money.py:7` Number 11\n- `till/money.py:7` Number 12"
    )


@pytest.mark.parametrize(
    "text",
    [
        answers.review(Review(HOSTILE, (finding(HOSTILE, evidence=HOSTILE, suggestion=HOSTILE),)), say),
        answers.review(Review("s", tuple(finding(HOSTILE) for _ in range(12))), say),
        answers.labels((HOSTILE,), say),
        answers.duplicate(Duplicate(3, HOSTILE), say),
        answers.question(HOSTILE, say),
    ],
)
def test_nothing_that_a_model_says_can_act_or_leak(text: str) -> None:
    assert SECRET not in text and "<!-- h" not in text and "](https://evil" not in text
    assert not any(line.lstrip("> ").startswith("/merge") for line in text.splitlines())
    assert sanitize(text, secrets=(SECRET,)).text == text


@pytest.mark.parametrize("sign", ["*", "**", "*\n*"])
def test_stars_in_a_title_cannot_hide_what_acts(sign: str) -> None:
    token = "gh" + sign + "p_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC2"
    title = f"@{sign}octocat #{sign}77 ![x]{sign}(//evil.example/p.png) {token}"
    text = answers.review(Review("s", tuple(finding(title) for _ in range(12))), say)
    assert sanitize(text, secrets=(SECRET,)).text == text
    assert "@octocat" not in text and "#77" not in text and "](//evil" not in text
    assert "\n" in sign or "ghp_aB3" not in text


@pytest.mark.parametrize("end", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\r"])
def test_no_line_of_a_question_begins_after_it_was_made_safe(end: str) -> None:
    text = answers.question(f"Why?{end}/merge it", say)
    assert not any(line.lstrip("> ").startswith("/merge") for line in text.splitlines())


def test_a_question_is_set_apart_line_by_line() -> None:
    assert answers.question("Which one?\n\nA or B", say) == "> Which one?\n>\n> A or B"


def test_a_duplicate_leaves_no_trace_in_the_other_issue() -> None:
    assert (
        answers.duplicate(Duplicate(3, "Same crash."), say) == "This may be the same as issue 3: Same crash."
    )


@pytest.mark.parametrize(
    ("cause", "agent", "words"),
    [
        (Cause.QUESTION_ASKED, "code.fix", "@maria, I need one answer to go on"),
        (Cause.ANSWERED, "meta.research", "Here is what I found"),
        (Cause.ANSWERED, "meta.plan", "Here is the plan"),
        (Cause.ANSWERED, "meta.deployment", "The configuration is prepared; nothing is deployed"),
        (Cause.REVIEW_POSTED, "meta.review", "The review"),
        (Cause.REFUSED, "meta.research", "I could not answer this"),
        (Cause.REFUSED, "code.fix", "No change was made"),
        (Cause.PULL_REQUEST, "code.fix", "Draft pull request #12 is ready for review"),
    ],
)
def test_only_a_question_calls_the_person(cause: Cause, agent: str, words: str) -> None:
    assert headline(cause, agent=agent, login="maria", pull="#12") == words
