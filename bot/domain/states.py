"""The one table of states: which edge exists, and who may cause it."""

from enum import StrEnum

from bot.domain.enums import Cause, IssueStatus, JobStatus
from bot.errors import IssuewrightError


class By(StrEnum):
    """Who causes an edge."""

    SUBMIT = "submit"
    DISPATCH = "dispatch"
    RUNNER = "runner"
    REAPER = "reaper"
    PERSON = "person"
    GITHUB = "github"


class WrongTransition(IssuewrightError):
    """An edge that the table does not have: a bug of ours, never written."""


_I = IssueStatus
_J = JobStatus
_END = frozenset({By.RUNNER, By.PERSON, By.GITHUB})
_AGAIN = frozenset({By.PERSON, By.GITHUB})
_START = frozenset({By.SUBMIT, By.DISPATCH})
_RUN = frozenset({By.RUNNER})
_LEASE = frozenset({By.RUNNER, By.REAPER})

OPEN_JOBS = frozenset({JobStatus.PENDING, JobStatus.RUNNING, JobStatus.PAUSED})
FINAL_JOBS = frozenset(JobStatus) - OPEN_JOBS
FINAL_ISSUES = frozenset({IssueStatus.COMPLETED, IssueStatus.FAILED, IssueStatus.CANCELLED})

ISSUE_EDGES: dict[tuple[IssueStatus, IssueStatus], frozenset[By]] = {
    (_I.PENDING, _I.QUEUED): _START,
    (_I.PENDING, _I.CANCELLED): _START | _AGAIN,
    (_I.PENDING, _I.FAILED): _START,
    (_I.QUEUED, _I.PROCESSING): _RUN,
    (_I.QUEUED, _I.CANCELLED): _END,
    (_I.QUEUED, _I.FAILED): _LEASE,
    (_I.PROCESSING, _I.REVIEW): _RUN,
    (_I.PROCESSING, _I.COMPLETED): _RUN,
    (_I.PROCESSING, _I.FAILED): _LEASE,
    (_I.PROCESSING, _I.CANCELLED): _END,
    (_I.PROCESSING, _I.QUEUED): _LEASE,
    (_I.REVIEW, _I.COMPLETED): frozenset({By.GITHUB}),
    (_I.REVIEW, _I.CANCELLED): frozenset({By.GITHUB}),
    (_I.REVIEW, _I.PROCESSING): _RUN,
    (_I.COMPLETED, _I.QUEUED): _AGAIN,
    (_I.FAILED, _I.QUEUED): _AGAIN,
    (_I.CANCELLED, _I.QUEUED): _AGAIN,
}

JOB_EDGES: dict[tuple[JobStatus, JobStatus], frozenset[By]] = {
    (_J.PENDING, _J.RUNNING): _RUN,
    (_J.PENDING, _J.PAUSED): frozenset({By.PERSON}),
    (_J.PENDING, _J.CANCELLED): _END,
    (_J.PENDING, _J.FAILED): _LEASE,
    (_J.RUNNING, _J.COMPLETED): _RUN,
    (_J.RUNNING, _J.FAILED): _LEASE,
    (_J.RUNNING, _J.CANCELLED): _RUN,
    (_J.RUNNING, _J.PAUSED): _RUN,
    (_J.RUNNING, _J.PENDING): _LEASE,
    (_J.PAUSED, _J.PENDING): frozenset({By.PERSON}),
    (_J.PAUSED, _J.CANCELLED): frozenset({By.PERSON}),
}

_DONE = {
    Cause.ANSWERED: IssueStatus.COMPLETED,
    Cause.PULL_REQUEST: IssueStatus.REVIEW,
    Cause.REVIEW_POSTED: IssueStatus.COMPLETED,
    Cause.NO_CHANGE_NEEDED: IssueStatus.COMPLETED,
    Cause.QUESTION_ASKED: IssueStatus.COMPLETED,
}
_STOPPED = frozenset({Cause.CANCELLED, Cause.SUPERSEDED})


def check_issue(old: IssueStatus, new: IssueStatus, by: By) -> None:
    """Raise WrongTransition unless *by* may take an issue from *old* to *new*."""
    if by not in ISSUE_EDGES.get((old, new), frozenset()):
        message = f"an issue cannot go from {old} to {new} by {by}"
        raise WrongTransition(message)


def check_job(old: JobStatus, new: JobStatus, by: By) -> None:
    """Raise WrongTransition unless *by* may take a job from *old* to *new*."""
    if by not in JOB_EDGES.get((old, new), frozenset()):
        message = f"a job cannot go from {old} to {new} by {by}"
        raise WrongTransition(message)


def end_of(cause: Cause) -> tuple[JobStatus, IssueStatus]:
    """The final state of a job that ended with *cause*, and the state of its issue."""
    if cause in _DONE:
        return JobStatus.COMPLETED, _DONE[cause]
    if cause in _STOPPED:
        return JobStatus.CANCELLED, IssueStatus.CANCELLED
    return JobStatus.FAILED, IssueStatus.FAILED


PRIORITY_NUMBERS = {"CRITICAL": 1, "HIGH": 2, "MEDIUM": 5, "LOW": 10}
