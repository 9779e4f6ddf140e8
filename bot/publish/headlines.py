"""The first words of every end of a job."""

from typing import Final

from bot.domain.agent_kinds import answers
from bot.domain.enums import Cause

HEADLINES: Final = {
    Cause.ANSWERED: "Here is what I found",
    Cause.PULL_REQUEST: "Draft pull request {pull} is ready for review",
    Cause.REVIEW_POSTED: "The review",
    Cause.NO_CHANGE_NEEDED: "Nothing needs to change",
    Cause.QUESTION_ASKED: "I need one answer to go on",
    Cause.DENIED: "Not allowed",
    Cause.BUDGET: "Stopped at the limit of this job",
    Cause.DEADLINE: "Stopped when the time was up",
    Cause.REFUSED: "No change was made",
    Cause.VERIFY_FAILED: "No pull request: the verification fails",
    Cause.MODEL_ERROR: "The model could not finish this",
    Cause.GITHUB_ERROR: "GitHub did not let this finish",
    Cause.SANDBOX_ERROR: "The workspace could not be used",
    Cause.SUPERSEDED: "Replaced by a newer request",
    Cause.CANCELLED: "Cancelled",
    Cause.BUG: "Something in Issuewright failed",
}
_ANSWERS: Final = {
    "meta.plan": "Here is the plan",
    "meta.deployment": "The configuration is prepared; nothing is deployed",
}


def headline(outcome: Cause, *, agent: str, login: str, pull: str) -> str:
    """The first words of a result; only a question calls the person who asked, since it waits for them.

    *login* holds nothing but the characters of one; *pull* is the pull request as it is written in text.
    """
    if outcome is Cause.QUESTION_ASKED:
        return f"@{login}, I need one answer to go on"
    if outcome is Cause.REFUSED and answers(agent):
        return "I could not answer this"
    if outcome is Cause.ANSWERED and agent in _ANSWERS:
        return _ANSWERS[agent]
    return HEADLINES[outcome].format(pull=pull)
