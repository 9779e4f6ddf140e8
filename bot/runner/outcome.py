"""What a run came to, decided from facts alone: the loop's end, the changes, the records."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bot.domain.effects import LoopResult, Proposal, Stop
from bot.domain.enums import Cause, When
from bot.domain.values import CommandRecord, FileChange
from bot.runner.failures import fails, same_failures

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
    `has_kept_change`: an earlier end of the same job has stored a change that is not published now.
    `is_quiet`: people know already, so a thread that was told nothing of the job hears nothing now.
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
    has_kept_change: bool = field(default=False)
    is_quiet: bool = field(default=False)

    @property
    def diff(self) -> str | None:
        """The whole change as one patch, or None where there is none."""
        return "".join(change.patch for change in self.changes) or None


def decide(
    result: LoopResult,
    changes: Sequence[FileChange],
    before: Sequence[CommandRecord],
    after: Sequence[CommandRecord],
    base_sha: str,
) -> Outcome:
    """The one outcome of a run.

    A change becomes a pull request only when the loop ended by itself, proposed it, kept to the size
    limits, and the verification passes after it, or fails as it did before, or could not run.
    """
    cause, sentence, next_step = _judge(result, changes, before, after)
    records = [Record(When.BEFORE, record) for record in before]
    records += [Record(When.AFTER, record) for record in after]
    return Outcome(
        cause=cause,
        sentence=sentence,
        next_step=next_step,
        summary=result.summary,
        analysis=result.analysis,
        proposal=result.proposal,
        changes=tuple(changes),
        records=tuple(records),
        base_sha=base_sha,
        steps=result.steps,
        cost_usd=result.cost_usd,
        has_old_failures=fails(after),
    )


def needs_verification(result: LoopResult, changes: Sequence[FileChange]) -> bool:
    """Whether the change is going to be proposed, so that it must be tried after it was made."""
    return bool(changes) and result.stop is Stop.FINISHED and result.proposal is not None


def _judge(
    result: LoopResult,
    changes: Sequence[FileChange],
    before: Sequence[CommandRecord],
    after: Sequence[CommandRecord],
) -> tuple[Cause, str, str]:
    if result.stop is not Stop.FINISHED:
        return _STOP_CAUSES[result.stop], result.summary, "`/agent fix` tries again from the start."
    if not changes:
        return Cause.NO_CHANGE_NEEDED, "", ""
    if result.proposal is None:
        sentence = "Files were changed, but no change was proposed; here is the diff."
        return Cause.ANSWERED, sentence, "`/agent fix` asks for a change."
    lines = sum(change.added_lines + change.removed_lines for change in changes)
    if len(changes) > MAX_FILES or lines > MAX_CHANGED_LINES:
        sentence = (
            f"The change touches {len(changes)} files and {lines} lines; pull requests stay within "
            f"{MAX_FILES} files and {MAX_CHANGED_LINES} lines, so here is the diff instead."
        )
        return Cause.ANSWERED, sentence, "Split the request into smaller ones."
    if fails(after) and not same_failures(before, after):
        sentence = "The verification fails with this change, so no pull request was opened; the diff is kept."
        return Cause.VERIFY_FAILED, sentence, "Say more about the problem and use `/agent fix` again."
    return Cause.PULL_REQUEST, "", "Review the draft; push to its branch or close it as you like."
