"""What a run came to, by facts alone."""

from dataclasses import replace
from functools import partial

import pytest

from bot.domain.effects import Duplicate, LoopResult, Proposal, Review, Stop
from bot.domain.enums import Cause, Tier, When
from bot.domain.values import CommandRecord, FileChange
from bot.runner import outcome as outcomes
from bot.runner.failures import with_old_tests
from bot.runner.outcome import MAX_CHANGED_LINES, MAX_FILES, needs_verification, not_ready

PROPOSAL = Proposal("Let the dog bark", "It meowed.")
FINISHED = LoopResult(Stop.FINISHED, PROPOSAL, None, "The dog barks.", steps=3, cost_usd=0.25)
CHANGE = FileChange(
    "dog.py", "woof", is_new=False, is_executable=False, patch="+woof\n", added_lines=1, removed_lines=1
)


decide = partial(outcomes.decide, agent_type="code.fix")


def ran(exit_code: int | None, output: str = "", command: str = "test") -> CommandRecord:
    """A verification that ended so; None did not run."""
    return CommandRecord(command, exit_code, 5, output, Tier.NONE if exit_code is None else Tier.SANDBOX)


@pytest.mark.parametrize(
    ("before", "after", "cause"),
    [
        ([], [], Cause.PULL_REQUEST),
        ([ran(0)], [ran(0)], Cause.PULL_REQUEST),
        ([ran(1)], [ran(0)], Cause.PULL_REQUEST),
        ([ran(None)], [ran(None)], Cause.PULL_REQUEST),
        ([ran(0)], [ran(1)], Cause.VERIFY_FAILED),
        ([ran(1, "a")], [ran(1, "a")], Cause.PULL_REQUEST),
        ([ran(1, "a")], [ran(1, "b")], Cause.VERIFY_FAILED),
        ([ran(1, "a")], [ran(2, "a")], Cause.VERIFY_FAILED),
        ([ran(1), ran(0, command="b")], [ran(0), ran(0, command="b")], Cause.PULL_REQUEST),
        ([ran(1), ran(0, command="b")], [ran(1), ran(1, command="b")], Cause.VERIFY_FAILED),
        ([ran(1, "a"), ran(1, "b", "b")], [ran(0), ran(1, "b", "b")], Cause.PULL_REQUEST),
        ([ran(1, "a", "b"), ran(0)], [ran(0, command="b"), ran(1, "a")], Cause.VERIFY_FAILED),
        ([ran(None)], [ran(1)], Cause.VERIFY_FAILED),
        ([ran(-9)], [ran(-9)], Cause.PULL_REQUEST),
    ],
)
def test_a_change_is_proposed_when_it_makes_nothing_worse(
    before: list[CommandRecord], after: list[CommandRecord], cause: Cause
) -> None:
    assert decide(FINISHED, [CHANGE], before, after, "c0ffee").cause is cause


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Ran 5 tests in 0.012s", "Ran 5 tests in 1.2s"),
        ("took 3 seconds", "took 12 seconds"),
        ("<object at 0x7f00ab>", "<object at 0x7fffff>"),
        ("File '/tmp/a1/x.py'", "File '/tmp/b2/x.py'"),
        ("5 ms", "17ms"),
    ],
)
def test_times_addresses_and_temporary_names_make_no_difference(before: str, after: str) -> None:
    outcome = decide(FINISHED, [CHANGE], [ran(1, before)], [ran(1, after)], "c0ffee")
    assert (outcome.cause, outcome.has_old_failures) == (Cause.PULL_REQUEST, True)


@pytest.mark.parametrize(
    ("stop", "cause"),
    [
        (Stop.GAVE_UP, Cause.REFUSED),
        (Stop.STEPS, Cause.BUDGET),
        (Stop.COST, Cause.BUDGET),
        (Stop.DEADLINE, Cause.DEADLINE),
        (Stop.REFUSED, Cause.REFUSED),
        (Stop.NONSENSE, Cause.MODEL_ERROR),
        (Stop.STUCK, Cause.MODEL_ERROR),
    ],
)
@pytest.mark.parametrize("changes", [[], [CHANGE]])
def test_a_loop_that_did_not_finish_proposes_nothing(
    stop: Stop, cause: Cause, changes: list[FileChange]
) -> None:
    result = replace(FINISHED, stop=stop, summary="Why it stopped.")
    outcome = decide(result, changes, [ran(0)], [], "c0ffee")
    assert (outcome.cause, outcome.sentence) == (cause, "Why it stopped.")
    assert outcome.changes == tuple(changes)
    assert not needs_verification(result, changes)


def test_every_way_to_stop_has_its_end() -> None:
    assert {decide(replace(FINISHED, stop=stop), [CHANGE], [], [], "c").cause for stop in Stop} >= {
        Cause.PULL_REQUEST,
        Cause.REFUSED,
        Cause.BUDGET,
        Cause.DEADLINE,
        Cause.MODEL_ERROR,
    }


@pytest.mark.parametrize("proposal", [None, PROPOSAL])
def test_without_a_change_nothing_needs_to_change(proposal: Proposal | None) -> None:
    result = replace(FINISHED, proposal=proposal, analysis="All is well.")
    outcome = decide(result, [], [], [], "c0ffee")
    assert (outcome.cause, outcome.analysis, outcome.diff) == (Cause.NO_CHANGE_NEEDED, "All is well.", None)
    assert not needs_verification(result, [])


def test_a_change_that_nobody_proposed_is_shown_and_not_called_nothing() -> None:
    result = replace(FINISHED, proposal=None, analysis="Look at this.")
    outcome = decide(result, [CHANGE], [], [], "c0ffee")
    assert (outcome.cause, outcome.diff) == (Cause.ANSWERED, "+woof\n")
    assert not needs_verification(result, [CHANGE])


@pytest.mark.parametrize(
    ("files", "lines", "cause"),
    [
        (MAX_FILES, 0, Cause.PULL_REQUEST),
        (MAX_FILES + 1, 0, Cause.ANSWERED),
        (1, MAX_CHANGED_LINES, Cause.PULL_REQUEST),
        (1, MAX_CHANGED_LINES + 1, Cause.ANSWERED),
    ],
)
def test_a_change_keeps_to_the_size_of_a_pull_request(files: int, lines: int, cause: Cause) -> None:
    change = replace(CHANGE, added_lines=lines // 2, removed_lines=lines - lines // 2)
    outcome = decide(FINISHED, [change] * files, [], [], "c0ffee")
    assert outcome.cause is cause
    assert outcome.diff == "+woof\n" * files


def test_a_change_that_will_be_proposed_is_tried() -> None:
    assert needs_verification(FINISHED, [CHANGE])


def test_the_records_say_when_they_were_made() -> None:
    outcome = decide(FINISHED, [CHANGE], [ran(1)], [ran(0)], "c0ffee")
    assert [(record.when, record.command.exit_code) for record in outcome.records] == [
        (When.BEFORE, 1),
        (When.AFTER, 0),
    ]
    assert (outcome.base_sha, outcome.steps, outcome.cost_usd) == ("c0ffee", 3, 0.25)
    assert outcome.has_old_failures is False


def test_a_failure_that_the_old_tests_show_says_how_to_go_on_when_they_are_wrong() -> None:
    hidden = with_old_tests(ran(1, "b"), ["tests/test_a.py"])
    outcome = decide(FINISHED, [CHANGE], [ran(1, "b")], [hidden], "c0ffee")
    assert outcome.cause is Cause.VERIFY_FAILED
    assert outcome.next_step.startswith("If it is the tests that are wrong, say so")


def test_an_objection_fails_the_verification_and_keeps_the_diff() -> None:
    outcome = decide(FINISHED, [CHANGE], [ran(1)], [ran(1)], "c0ffee", objection="it does nothing")
    assert (outcome.cause, outcome.diff) == (Cause.VERIFY_FAILED, "+woof\n")
    assert "for it does nothing;" in outcome.sentence


def test_the_tests_that_a_change_edits_are_known() -> None:
    tests = replace(CHANGE, path="tests/test_dog.py"), replace(CHANGE, path="tests/test_new.py", is_new=True)
    assert decide(FINISHED, [CHANGE, *tests], [], [], "c").changed_tests == ("tests/test_dog.py",)


# ── agents that answer, and questions ────────────────────────────────────────────────────────────
ANSWER = LoopResult(Stop.FINISHED, None, "It is rounded in money.py:7.", "Found it.", 3, 0.1)


@pytest.mark.parametrize(
    ("agent", "result", "cause"),
    [
        ("meta.research", ANSWER, Cause.ANSWERED),
        ("meta.plan", ANSWER, Cause.ANSWERED),
        ("meta.deployment", ANSWER, Cause.ANSWERED),
        ("meta.review", replace(ANSWER, analysis=None, review=Review("All well.")), Cause.REVIEW_POSTED),
        ("meta.triage", replace(ANSWER, analysis=None, labels=("bug",)), Cause.ANSWERED),
        ("meta.research", replace(ANSWER, stop=Stop.COST), Cause.BUDGET),
        ("meta.research", replace(ANSWER, question="Which?"), Cause.QUESTION_ASKED),
        ("code.fix", replace(FINISHED, question="Which?"), Cause.QUESTION_ASKED),
        ("code.fix", replace(FINISHED, question="Which?", stop=Stop.DEADLINE), Cause.DEADLINE),
        ("docs.write", FINISHED, Cause.PULL_REQUEST),
    ],
)
def test_the_agent_decides_what_an_end_can_be(agent: str, result: LoopResult, cause: Cause) -> None:
    found = outcomes.decide(result, [CHANGE], [ran(0)], [ran(0)], "c0ffee", agent_type=agent)
    assert (found.cause, found.agent_type) == (cause, agent)
    assert (found.question is not None) is (cause is Cause.QUESTION_ASKED)
    assert bool(found.records) is not agent.startswith("meta.")


@pytest.mark.parametrize("stop", list(Stop))
def test_an_agent_that_answers_never_opens_a_pull_request(stop: Stop) -> None:
    hostile = replace(FINISHED, stop=stop)
    found = outcomes.decide(hostile, [CHANGE], [], [], "c0ffee", agent_type="meta.research")
    assert found.cause is not Cause.PULL_REQUEST


def test_all_that_was_given_is_in_the_outcome() -> None:
    result = replace(ANSWER, review=Review("r"), labels=("bug",), duplicate=Duplicate(3, "same"))
    found = outcomes.decide(result, [], [], [], "c0ffee", agent_type="meta.review")
    assert (found.review, found.labels, found.duplicate) == (Review("r"), ("bug",), Duplicate(3, "same"))


def test_a_job_that_cannot_begin_ends_with_its_question() -> None:
    found = not_ready("Which currency?", ["the currency", "the country"], agent_type="code.fix")
    assert (found.cause, found.question, found.changes) == (Cause.QUESTION_ASKED, "Which currency?", ())
    assert found.analysis == "Missing so far:\n\n- the currency\n- the country"
    assert "/agent continue" in found.next_step
    assert not_ready("Which?", [], agent_type="code.fix").analysis is None
