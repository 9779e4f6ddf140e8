"""The table of states: every edge, every edge that must not be, and every end."""

from itertools import product

import pytest

from bot.domain.enums import Cause, IssuePriority, IssueStatus, JobStatus
from bot.domain.states import (
    FINAL_ISSUES,
    FINAL_JOBS,
    ISSUE_EDGES,
    JOB_EDGES,
    OPEN_JOBS,
    PRIORITY_NUMBERS,
    By,
    WrongTransition,
    check_issue,
    check_job,
    end_of,
)

START = {By.SUBMIT, By.DISPATCH}
PEOPLE = {By.PERSON, By.GITHUB}

# Written out a second time, from the design's table: state, next state, who.
ISSUE_TABLE = {
    ("PENDING", "QUEUED"): START,
    ("PENDING", "CANCELLED"): START | PEOPLE,
    ("PENDING", "FAILED"): START,
    ("QUEUED", "PROCESSING"): {By.RUNNER},
    ("QUEUED", "CANCELLED"): PEOPLE | {By.RUNNER},
    ("QUEUED", "FAILED"): {By.RUNNER, By.REAPER},
    ("PROCESSING", "REVIEW"): {By.RUNNER},
    ("PROCESSING", "COMPLETED"): {By.RUNNER},
    ("PROCESSING", "FAILED"): {By.RUNNER, By.REAPER},
    ("PROCESSING", "CANCELLED"): PEOPLE | {By.RUNNER},
    ("PROCESSING", "QUEUED"): {By.RUNNER, By.REAPER},
    ("REVIEW", "COMPLETED"): {By.GITHUB},
    ("REVIEW", "CANCELLED"): {By.GITHUB},
    ("REVIEW", "PROCESSING"): {By.RUNNER},
    ("COMPLETED", "QUEUED"): PEOPLE,
    ("FAILED", "QUEUED"): PEOPLE,
    ("CANCELLED", "QUEUED"): PEOPLE,
}
JOB_TABLE = {
    ("PENDING", "RUNNING"): {By.RUNNER},
    ("PENDING", "PAUSED"): {By.PERSON},
    ("PENDING", "CANCELLED"): PEOPLE | {By.RUNNER},
    ("PENDING", "FAILED"): {By.RUNNER, By.REAPER},
    ("RUNNING", "COMPLETED"): {By.RUNNER},
    ("RUNNING", "FAILED"): {By.RUNNER, By.REAPER},
    ("RUNNING", "CANCELLED"): {By.RUNNER},
    ("RUNNING", "PAUSED"): {By.RUNNER},
    ("RUNNING", "PENDING"): {By.RUNNER, By.REAPER},
    ("PAUSED", "PENDING"): {By.PERSON},
    ("PAUSED", "CANCELLED"): {By.PERSON},
}
ENDS = {
    Cause.ANSWERED: (JobStatus.COMPLETED, IssueStatus.COMPLETED),
    Cause.PULL_REQUEST: (JobStatus.COMPLETED, IssueStatus.REVIEW),
    Cause.REVIEW_POSTED: (JobStatus.COMPLETED, IssueStatus.COMPLETED),
    Cause.NO_CHANGE_NEEDED: (JobStatus.COMPLETED, IssueStatus.COMPLETED),
    Cause.QUESTION_ASKED: (JobStatus.COMPLETED, IssueStatus.COMPLETED),
    Cause.DENIED: (JobStatus.FAILED, IssueStatus.FAILED),
    Cause.BUDGET: (JobStatus.FAILED, IssueStatus.FAILED),
    Cause.DEADLINE: (JobStatus.FAILED, IssueStatus.FAILED),
    Cause.REFUSED: (JobStatus.FAILED, IssueStatus.FAILED),
    Cause.VERIFY_FAILED: (JobStatus.FAILED, IssueStatus.FAILED),
    Cause.MODEL_ERROR: (JobStatus.FAILED, IssueStatus.FAILED),
    Cause.GITHUB_ERROR: (JobStatus.FAILED, IssueStatus.FAILED),
    Cause.SANDBOX_ERROR: (JobStatus.FAILED, IssueStatus.FAILED),
    Cause.SUPERSEDED: (JobStatus.CANCELLED, IssueStatus.CANCELLED),
    Cause.CANCELLED: (JobStatus.CANCELLED, IssueStatus.CANCELLED),
    Cause.BUG: (JobStatus.FAILED, IssueStatus.FAILED),
}


@pytest.mark.parametrize(("old", "new"), list(product(IssueStatus, repeat=2)))
def test_an_issue_takes_the_edges_of_the_table_and_no_other(old: IssueStatus, new: IssueStatus) -> None:
    allowed = {by for by in By if _is_issue_allowed(old, new, by)}
    assert allowed == ISSUE_TABLE.get((old.value, new.value), set())


@pytest.mark.parametrize(("old", "new"), list(product(JobStatus, repeat=2)))
def test_a_job_takes_the_edges_of_the_table_and_no_other(old: JobStatus, new: JobStatus) -> None:
    allowed = {by for by in By if _is_job_allowed(old, new, by)}
    assert allowed == JOB_TABLE.get((old.value, new.value), set())


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_its_end(cause: Cause) -> None:
    assert end_of(cause) == ENDS[cause]


@pytest.mark.parametrize("cause", Cause)
def test_the_runner_may_take_every_end(cause: Cause) -> None:
    job, issue = end_of(cause)
    check_job(JobStatus.RUNNING, job, By.RUNNER)
    check_issue(IssueStatus.PROCESSING, issue, By.RUNNER)


def test_a_job_is_open_or_final_and_never_both() -> None:
    assert set(JobStatus) == OPEN_JOBS | FINAL_JOBS
    assert not OPEN_JOBS & FINAL_JOBS


def test_nothing_leaves_the_final_state_of_a_job() -> None:
    assert not {old for old, _ in JOB_EDGES} & FINAL_JOBS


def test_a_final_issue_can_only_be_queued_again() -> None:
    assert {new for old, new in ISSUE_EDGES if old in FINAL_ISSUES} == {IssueStatus.QUEUED}


def test_every_priority_has_its_number_and_the_most_urgent_the_lowest() -> None:
    assert [PRIORITY_NUMBERS[priority.value] for priority in IssuePriority] == [1, 2, 5, 10]


def test_a_wrong_transition_names_both_states_and_the_culprit() -> None:
    with pytest.raises(WrongTransition, match="a job cannot go from COMPLETED to RUNNING by runner"):
        check_job(JobStatus.COMPLETED, JobStatus.RUNNING, By.RUNNER)


def _is_issue_allowed(old: IssueStatus, new: IssueStatus, by: By) -> bool:
    try:
        check_issue(old, new, by)
    except WrongTransition:
        return False
    return True


def _is_job_allowed(old: JobStatus, new: JobStatus, by: By) -> bool:
    try:
        check_job(old, new, by)
    except WrongTransition:
        return False
    return True
