"""What is kept of an outcome as artifacts: the words in full, and each file, by who made them."""

from dataclasses import asdict
from typing import Final

from bot.db.transcript import Artifact
from bot.domain.agent_kinds import kind_of
from bot.domain.enums import ArtifactType
from bot.domain.values import FileChange, Json
from bot.runner.outcome import Outcome

_WORDS: Final = {
    "meta.plan": (ArtifactType.RECOMMENDATION, "plan.md"),
    "docs.write": (ArtifactType.DOCUMENTATION, "documentation.md"),
    "meta.review": (ArtifactType.ANALYSIS, "review.md"),
}


def words_of(outcome: Outcome) -> list[Artifact]:
    """The answer as the model gave it, and beside it, as data, what else it asked for."""
    review = outcome.review
    words = outcome.question or outcome.analysis or (review.summary if review else "") or outcome.summary
    meta: Json = {}
    if review is not None:
        meta["findings"] = [asdict(finding) for finding in review.findings]
    if outcome.labels:
        meta["labels"] = list(outcome.labels)
    if outcome.duplicate is not None:
        meta["duplicate"] = asdict(outcome.duplicate)
    type_, name = _WORDS.get(outcome.agent_type, (ArtifactType.ANALYSIS, "analysis.md"))
    return [Artifact(type_, name, words, meta=meta or None)] if words or meta else []


def file_of(change: FileChange, outcome: Outcome) -> Artifact:
    """A changed file: code, documentation, or configuration that nobody applies."""
    meta: Json = {
        "baseSha": outcome.base_sha,
        "isNew": change.is_new,
        "isDeleted": change.content is None,
    }
    return Artifact(
        _type_of_files(outcome.agent_type),
        change.path,
        change.content or "",
        file_path=change.path,
        diff_patch=change.patch,
        meta=meta,
    )


def _type_of_files(agent_type: str) -> ArtifactType:
    kinds = {"docs": ArtifactType.DOCUMENTATION, "meta": ArtifactType.CONFIG}
    return kinds.get(kind_of(agent_type), ArtifactType.CODE_CHANGE)
