"""What a run came to, decided from facts alone: the loop's end, the changes, the records."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bot.domain.agent_kinds import answers
from bot.domain.effects import Duplicate, LoopResult, Proposal, Review, Stop
from bot.domain.enums import Cause, When
from bot.domain.values import CommandRecord, FileChange
from bot.runner import weakened
from bot.runner.failures import fails, hides_failures, same_failures

COMMAND: Final = "{command}"
"""In a `next_step`: the command that asks for the same work again; freezing puts it there."""
_AGAIN: Final = f"`{COMMAND}` tries again from the start."
_MORE: Final = f"Say more about the problem and use `{COMMAND}` again."
_TESTS_ARE_WRONG: Final = f"If it is the tests that are wrong, say so and use `{COMMAND}` again."
_REPLY: Final = "Answer in a reply here, or with `/agent continue <answer>`; the work goes on from there."
_PREPARED: Final = "These files were prepared and are kept with the job; nothing of them was applied."
MAX_FILES: Final = 15
MAX_CHANGED_LINES: Final = 400

_STOP_CAUSES: Final = {
    Stop.GAVE_UP: Cause.REFUSED,
    Stop.STEPS: Cause.BUDGET,
    Stop.COST: Cause.BUDGET,
    Stop.DEADLINE: Cause.DEADLINE,
    Stop.REFUSED: Cause.REFUSED,
    Stop.NONSENSE: Cause.MODEL_ERROR,
    Stop.STUCK: Cause.MODEL_ERROR,
}


@dataclass(frozen=True, slots=True)
class Record:
    """One verification with the moment at which it ran."""

    when: When
    command: CommandRecord


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a run before anything of it is published.

    `sentence` is ours and says why; `summary` and `analysis` are the model's own words, unsanitized.
    `agent_type` is who worked in the end; empty where nobody came to work. `question` ends the job until a
    person answers it.
    `has_kept_change`: an earlier end of the same job has stored a change that is not published now.
    `is_quiet`: people know already, so a thread that was told nothing of the job hears nothing now.
    `is_unconfirmed`: GitHub could not say whether the person may still ask, so it is asked before publishing.
    """

    cause: Cause
    sentence: str = ""
    next_step: str = ""
    summary: str = ""
    analysis: str | None = None
    proposal: Proposal | None = None
    changes: tuple[FileChange, ...] = ()
    records: tuple[Record, ...] = ()
    base_sha: str = ""
    steps: int = 0
    cost_usd: float = 0.0
    has_old_failures: bool = field(default=False)
    agent_type: str = ""
    question: str | None = None
    review: Review | None = None
    labels: tuple[str, ...] = ()
    duplicate: Duplicate | None = None
    has_kept_change: bool = field(default=False)
    is_quiet: bool = field(default=False)
    is_unconfirmed: bool = field(default=False)

    @property
    def diff(self) -> str | None:
        """The whole change as one patch, or None where there is none."""
        return "".join(change.patch for change in self.changes) or None

    @property
    def changed_tests(self) -> tuple[str, ...]:
        """The tests that were there before and that the change edits or deletes; people are told which."""
        return weakened.changed(self.changes)


def sentence(words: str) -> str:
    """*words* of an error as people read them: a capital in front, one full stop behind."""
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."


def decide(
    result: LoopResult,
    changes: Sequence[FileChange],
    before: Sequence[CommandRecord],
    after: Sequence[CommandRecord],
    base_sha: str,
    *,
    agent_type: str,
    objection: str | None = None,
) -> Outcome:
    """The one outcome of a run.

    An agent of kind `meta` answers: what it wrote is kept as configuration and never becomes a pull request.
    A change of the others becomes one only when the loop ended by itself, proposed it, kept to the size
    limits, and the verification passes after it, or fails as it did before, or could not run. *objection*:
    why it does not, although no failure is new.
    """
    if answers(agent_type):
        before, after = (), ()
        judged = _judge_answer(result, changes, agent_type)
    else:
        judged = _judge(result, changes, before, after, objection)
    cause, sentence, next_step = _without_result(result) or judged
    return Outcome(
        cause=cause,
        sentence=sentence,
        next_step=next_step,
        summary=result.summary,
        analysis=result.analysis,
        proposal=result.proposal,
        changes=tuple(changes),
        records=_records(before, after),
        base_sha=base_sha,
        steps=result.steps,
        cost_usd=result.cost_usd,
        has_old_failures=fails(after),
        agent_type=agent_type,
        question=result.question if cause is Cause.QUESTION_ASKED else None,
        review=result.review,
        labels=result.labels,
        duplicate=result.duplicate,
    )


def _records(before: Sequence[CommandRecord], after: Sequence[CommandRecord]) -> tuple[Record, ...]:
    pairs = ((When.BEFORE, before), (When.AFTER, after))
    return tuple(Record(when, record) for when, records in pairs for record in records)


def not_ready(question: str, missing: Sequence[str], *, agent_type: str) -> Outcome:
    """The end of a job that was asked a question before any work: what is *missing*, in the model's words."""
    words = "Missing so far:\n\n" + "\n".join(f"- {each}" for each in missing) if missing else None
    return Outcome(
        Cause.QUESTION_ASKED, next_step=_REPLY, analysis=words, question=question, agent_type=agent_type
    )


def changed_lines(changes: Sequence[FileChange]) -> int:
    """How many lines are added and removed, in all files together."""
    return sum(change.added_lines + change.removed_lines for change in changes)


def is_too_large(changes: Sequence[FileChange]) -> bool:
    """Whether a pull request must not hold so many files or lines."""
    return len(changes) > MAX_FILES or changed_lines(changes) > MAX_CHANGED_LINES


def needs_verification(result: LoopResult, changes: Sequence[FileChange]) -> bool:
    """Whether the change is going to be proposed, so that it must be tried after it was made."""
    return bool(changes) and result.stop is Stop.FINISHED and result.proposal is not None


def _without_result(result: LoopResult) -> tuple[Cause, str, str] | None:
    """The end of a loop that did not come to its own end, or that waits for an answer."""
    if result.stop is not Stop.FINISHED:
        return _STOP_CAUSES[result.stop], result.summary, _AGAIN
    return None if result.question is None else (Cause.QUESTION_ASKED, "", _REPLY)


def _judge(
    result: LoopResult,
    changes: Sequence[FileChange],
    before: Sequence[CommandRecord],
    after: Sequence[CommandRecord],
    objection: str | None,
) -> tuple[Cause, str, str]:
    if not changes:
        return Cause.NO_CHANGE_NEEDED, "", ""
    if result.proposal is None:
        sentence = "Files were changed, but no change was proposed; here is the diff."
        return Cause.ANSWERED, sentence, f"`{COMMAND}` asks for a change."
    if is_too_large(changes):
        most = f"{MAX_FILES} files and {MAX_CHANGED_LINES} lines"
        sentence = (
            f"The change touches {len(changes)} files and {changed_lines(changes)} lines; pull requests stay "
            f"within {most}, so here is the diff instead."
        )
        return Cause.ANSWERED, sentence, "Split the request into smaller ones."
    if fails(after) and not same_failures(before, after):
        sentence = "The verification fails with this change, so no pull request was opened; the diff is kept."
        return Cause.VERIFY_FAILED, sentence, _TESTS_ARE_WRONG if hides_failures(after) else _MORE
    if objection is not None:
        sentence = f"No pull request was opened, for {objection}; the diff is kept."
        return Cause.VERIFY_FAILED, sentence, _MORE
    return Cause.PULL_REQUEST, "", "Review the draft; push to its branch or close it as you like."


def _judge_answer(
    result: LoopResult, changes: Sequence[FileChange], agent_type: str
) -> tuple[Cause, str, str]:
    """The same for an agent that only answers."""
    if result.review is not None:
        return Cause.REVIEW_POSTED, "", ""
    next_step = "`/agent fix` makes the change." if agent_type == "meta.plan" else ""
    return Cause.ANSWERED, _PREPARED if changes else "", next_step
