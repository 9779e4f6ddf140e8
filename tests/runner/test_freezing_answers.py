"""What is frozen and kept for agents that answer, for questions, and which command each end names."""

import json
from dataclasses import replace
from typing import Any

import pytest

from bot.domain.effects import Duplicate, Finding, Review, Severity
from bot.domain.enums import ArtifactType, Cause, OperationKind
from bot.publish.drafts import Draft
from bot.publish.writes import referred_keys
from bot.runner.freezing import artifacts_of, key_of, operations_of, speaks_at_once
from bot.runner.outcome import COMMAND, Outcome
from tests.runner.test_freezing import CHANGE, HOSTILE, JOB, ORIGIN, SECRET, VOICE

ANSWER = Outcome(
    Cause.ANSWERED, summary="Found it.", analysis="It is in `a.py:7`.", agent_type="meta.research"
)
FINDING = Finding("a.py", 7, Severity.HIGH, 80, "It is wrong", "a.py:7 adds 1")


def text_of(outcome: Outcome, verb: str = "ask", *, has_living: bool = False) -> str:
    job = replace(JOB, origin=replace(ORIGIN, verb=verb))
    return str(operations_of(job, outcome, VOICE, has_living=has_living)[0].payload["body"])


def test_an_answer_is_one_new_comment() -> None:
    (last,) = operations_of(JOB, ANSWER, VOICE, has_living=False)
    assert (last.kind, last.key) == (OperationKind.COMMENT, key_of(JOB, "final"))
    assert last.payload["body"].startswith("**Here is what I found.**\n\nFound it.\n\nIt is in `a.py:7`.")
    assert "verified" not in last.payload["body"]


def test_a_living_comment_that_exists_becomes_a_pointer_to_the_answer() -> None:
    last, pointer = operations_of(JOB, ANSWER, VOICE, has_living=True)
    assert (last.kind, pointer.kind) == (OperationKind.COMMENT, OperationKind.COMMENT_EDIT)
    assert last.sequence < pointer.sequence and "comment_key" not in last.payload
    assert referred_keys(pointer.payload) == {last.key, key_of(JOB, "living")}
    text = Draft("k", pointer.payload, {last.key: 456, key_of(JOB, "living"): 5}).text("body")
    assert text.splitlines() == [text]
    assert "(https://github.com/octo/pets/issues/7#issuecomment-456)" in text


@pytest.mark.parametrize(
    ("agent", "expected"),
    [("code.fix", True), ("code.feature", True), ("docs.write", True), ("meta.research", False)],
)
def test_who_changes_files_speaks_at_once(agent: str, expected: bool) -> None:
    assert speaks_at_once(agent) is expected


@pytest.mark.parametrize("has_living", [False, True])
def test_a_question_of_a_fixer_takes_the_living_comments_place(has_living: bool) -> None:
    outcome = Outcome(
        Cause.QUESTION_ASKED,
        next_step="Answer with `/agent continue <answer>`.",
        summary="Which one?",
        question="Which one?",
        agent_type="code.fix",
    )
    (last,) = operations_of(JOB, outcome, VOICE, has_living=has_living)
    assert last.kind is (OperationKind.COMMENT_EDIT if has_living else OperationKind.COMMENT)
    assert last.payload["body"].startswith("**@maria, I need one answer to go on.**\n\n> Which one?\n\n")
    assert last.payload["body"].count("Which one?") == 1 and "/agent continue" in last.payload["body"]


@pytest.mark.parametrize(
    ("verb", "agent", "command"),
    [
        ("fix", "code.fix", "/agent fix"),
        ("ask", "meta.research", "/agent ask"),
        ("plan", "meta.plan", "/agent plan"),
        ("work", "code.feature", "/agent fix"),
        ("work", "meta.research", "/agent ask"),
    ],
)
@pytest.mark.parametrize("cause", [Cause.BUDGET, Cause.MODEL_ERROR])
def test_every_failure_names_the_command_of_its_own_verb(
    verb: str, agent: str, command: str, cause: Cause
) -> None:
    text = text_of(Outcome(cause, "Why.", f"`{COMMAND}` tries again.", agent_type=agent), verb)
    assert f"**Next:** `{command}` tries again." in text and "{" not in text


def test_before_anybody_worked_the_jobs_own_agent_counts() -> None:
    assert "/agent fix" in text_of(Outcome(Cause.BUG, "Why.", f"`{COMMAND}`"), "work")


@pytest.mark.parametrize(
    ("outcome", "type_", "name"),
    [
        (ANSWER, ArtifactType.ANALYSIS, "analysis.md"),
        (replace(ANSWER, agent_type="meta.plan"), ArtifactType.RECOMMENDATION, "plan.md"),
        (replace(ANSWER, agent_type="docs.write"), ArtifactType.DOCUMENTATION, "documentation.md"),
        (replace(ANSWER, agent_type="meta.review"), ArtifactType.ANALYSIS, "review.md"),
    ],
)
def test_words_are_kept_as_what_they_are(outcome: Outcome, type_: ArtifactType, name: str) -> None:
    (kept,) = artifacts_of(outcome)
    assert (kept.type, kept.name, kept.content, kept.meta) == (type_, name, "It is in `a.py:7`.", None)


@pytest.mark.parametrize(
    ("agent", "type_"),
    [
        ("code.feature", ArtifactType.CODE_CHANGE),
        ("docs.write", ArtifactType.DOCUMENTATION),
        ("meta.deployment", ArtifactType.CONFIG),
    ],
)
def test_files_are_kept_as_what_they_are(agent: str, type_: ArtifactType) -> None:
    (file,) = artifacts_of(Outcome(Cause.ANSWERED, changes=(CHANGE,), agent_type=agent))
    assert (file.type, file.file_path, file.content) == (type_, "dog.py", "woof\n")
    assert file.diff_patch == CHANGE.patch


def test_prepared_configuration_is_shown_and_never_published_as_a_change() -> None:
    outcome = replace(ANSWER, changes=(CHANGE,), agent_type="meta.deployment")
    assert [one.kind for one in operations_of(JOB, outcome, VOICE, has_living=False)] == [
        OperationKind.COMMENT
    ]
    assert "+woof" in text_of(outcome)


def test_a_review_labels_and_a_duplicate_are_shown_and_kept_as_data() -> None:
    outcome = replace(
        ANSWER,
        analysis=None,
        review=Review("Read it.", (FINDING,)),
        labels=("bug",),
        duplicate=Duplicate(3, "Same."),
    )
    text = text_of(outcome)
    for words in ("Read it.", "**1. It is wrong**", "Labels that would fit: `bug`.", "issue 3: Same."):
        assert words in text
    (kept,) = artifacts_of(outcome)
    assert kept.meta and kept.meta["labels"] == ["bug"]
    assert json.loads(json.dumps(kept.meta))["findings"][0]["severity"] == "high"


@pytest.mark.parametrize("has_living", [False, True])
@pytest.mark.parametrize("cause", [Cause.QUESTION_ASKED, Cause.ANSWERED, Cause.REVIEW_POSTED, Cause.BUDGET])
def test_no_words_of_the_model_act_in_an_answer(cause: Cause, has_living: bool) -> None:
    given: dict[str, Any] = {"question": HOSTILE} if cause is Cause.QUESTION_ASKED else {}
    hostile = replace(FINDING, title=HOSTILE, evidence=HOSTILE, suggestion=HOSTILE)
    outcome = Outcome(
        cause,
        HOSTILE,
        summary=HOSTILE,
        analysis=HOSTILE,
        review=Review(HOSTILE, (hostile,)),
        labels=(HOSTILE,),
        duplicate=Duplicate(1, HOSTILE),
        agent_type="meta.research",
        **given,
    )
    text = json.dumps([one.payload for one in operations_of(JOB, outcome, VOICE, has_living=has_living)])
    assert SECRET not in text and "<!-- hidden" not in text and "](https://evil.example" not in text
    assert text.count("@maria") == (1 if cause is Cause.QUESTION_ASKED else 0)
