"""From an outcome to what will be published: every text sanitized, every key fixed, nothing sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bot.db.operations import Frozen
from bot.db.transcript import Artifact
from bot.domain import markers
from bot.domain.agent_kinds import answers
from bot.domain.branches import branch_name
from bot.domain.commands import command_for
from bot.domain.enums import Cause, OperationKind, ThreadKind
from bot.domain.secret_shapes import find_secrets
from bot.domain.text import strip_invisible
from bot.domain.values import ClaimedJob, Json
from bot.publish import answers as render_answers
from bot.publish import render
from bot.publish.render import Check
from bot.publish.sanitize import sanitize, sanitize_commit, sanitize_title
from bot.runner import kept, patch_lines
from bot.runner.outcome import COMMAND, Outcome

UNCONFIRMED: Final = "is_unconfirmed"
"""In a change's payload: whether the person may still ask for it is to be asked before it is sent."""
_FAILURES: Final = frozenset(
    {
        Cause.DENIED,
        Cause.MODEL_ERROR,
        Cause.GITHUB_ERROR,
        Cause.SANDBOX_ERROR,
        Cause.BUG,
        Cause.CANCELLED,
        Cause.SUPERSEDED,
    }
)


@dataclass(frozen=True, slots=True)
class Voice:
    """How we speak in one job's thread: what must never be said, where links may lead, what helps."""

    secrets: tuple[str, ...]
    repository_url: str
    sandbox_remedy: str
    marker_key: bytes

    def say(self, job: ClaimedJob, text: str) -> str:
        """Model text as Markdown that is safe in this job's thread."""
        return sanitize(
            text,
            secrets=self.secrets,
            allowed_links=(f"{self.repository_url}/",),
            thread_number=job.origin.number,
        ).text


def key_of(job: ClaimedJob, name: str) -> str:
    """The key of one of a job's operations; unique for ever, and the same after a restore."""
    return f"job:{job.name}:{name}"


def branch_of(job: ClaimedJob) -> str:
    """The job's own branch."""
    return branch_name(job.origin.number, job.name)


def living(job: ClaimedJob, step: str) -> Frozen:
    """The one comment that becomes the result."""
    body = render.living_comment(agent=job.agent_type, requester=job.origin.actor.login, step=step)
    payload = {"number": job.origin.number, "body": body}
    return Frozen(key_of(job, "living"), OperationKind.COMMENT, payload, sequence=0)


def living_says(job: ClaimedJob, step: str) -> Frozen:
    """The same comment with other words, while the job waits; the result takes their place."""
    payload: Json = {**living(job, step).payload, "comment_key": key_of(job, "living")}
    return Frozen(key_of(job, "waiting"), OperationKind.COMMENT_EDIT, payload, sequence=5)


def withheld(outcome: Outcome, voice: Voice) -> tuple[str, ...]:
    """The kinds of secrets in what the change would add, paths too; empty when it may be published."""
    added = "\n".join(
        words
        for change in outcome.changes
        for words in (change.path, *(line.text for line in patch_lines.added(change)))
    )
    shown, _ = strip_invisible(added)
    return tuple(sorted({*find_secrets(added, voice.secrets), *find_secrets(shown, voice.secrets)}))


def speaks_at_once(agent_type: str) -> bool:
    """Whether an agent's job makes its living comment at once: what changes files takes its time.

    The others post one new comment when they are ready, so that people are told once.
    """
    return not answers(agent_type)


def operations_of(job: ClaimedJob, outcome: Outcome, voice: Voice, *, has_living: bool) -> list[Frozen]:
    """Everything that this outcome publishes, in order.

    A living comment becomes the result; that of an agent which only answers becomes a pointer to it.
    """
    if outcome.cause is not Cause.PULL_REQUEST:
        text = _end_text(job, outcome, voice, pull=None)
        if has_living and not speaks_at_once(_agent(job, outcome)):
            return [_last_word(job, text, has_living=False), _pointer(job, voice)]
        return [_last_word(job, text, has_living=has_living)]
    pull_key = key_of(job, "pull")
    place = _place(voice, pull_key)
    text = _end_text(job, outcome, voice, pull=place)
    found = render.found_comment(pull=place, requester=job.origin.actor.login, job_id=job.id)
    more: Json = {"links": {place: pull_key}, "instead": {"key": pull_key, "body": found}}
    last = _last_word(job, text, has_living=has_living, more=more)
    return [_branch(job, outcome, voice), _pull(job, outcome, voice), _assign(job, pull_key), last]


def _place(voice: Voice, key: str) -> str:
    """A made-up word that no model can know; it stands for the number that GitHub will give."""
    return f"\u27e6{markers.marker(voice.marker_key, key)[5:-4].strip().rsplit(':', 1)[-1]}\u27e7"


def _pointer(job: ClaimedJob, voice: Voice) -> Frozen:
    """The living comment, when the result stands in a comment of its own."""
    final = key_of(job, "final")
    place = _place(voice, final)
    thread = "pull" if job.origin.kind is ThreadKind.PULL_REQUEST else "issues"
    body = render_answers.pointer(f"{voice.repository_url}/{thread}/{job.origin.number}{place}")
    payload: Json = {"number": job.origin.number, "body": body, "anchors": {place: final}}
    payload["comment_key"] = key_of(job, "living")
    return Frozen(key_of(job, "pointer"), OperationKind.COMMENT_EDIT, payload, sequence=95)


def _agent(job: ClaimedJob, outcome: Outcome) -> str:
    """Who worked; triage may have changed it since the job was claimed."""
    return outcome.agent_type or job.agent_type


def artifacts_of(outcome: Outcome) -> list[Artifact]:
    """What is kept: the words in full, and each changed file with its patch."""
    return kept.words_of(outcome) + [kept.file_of(change, outcome) for change in outcome.changes]


def _end_text(job: ClaimedJob, outcome: Outcome, voice: Voice, *, pull: str | None) -> str:
    if outcome.cause in _FAILURES:
        return render.failure_comment(
            cause=outcome.cause,
            sentence=voice.say(job, outcome.sentence),
            done=_done_so_far(outcome),
            next_step=_next_step(job, outcome),
            job_id=job.id,
        )
    diff = outcome.diff if outcome.cause is not Cause.PULL_REQUEST else None
    if diff is not None and find_secrets(diff, voice.secrets):
        diff = None
    return render.result_comment(
        outcome=outcome.cause,
        agent=_agent(job, outcome),
        requester=job.origin.actor.login,
        sentence=voice.say(job, outcome.sentence),
        summary=voice.say(job, _summary(outcome)),
        analysis=_answer(job, outcome, voice),
        pull=pull,
        checks=_checks(outcome),
        sandbox_remedy=voice.sandbox_remedy,
        diff=diff,
        job_id=job.id,
        next_step=_next_step(job, outcome),
    )


def _next_step(job: ClaimedJob, outcome: Outcome) -> str:
    """What to do now, with the command that asks for this job's work again."""
    command = command_for(job.origin.verb, _agent(job, outcome))
    return outcome.next_step.replace(COMMAND, f"/agent {command}")


def _answer(job: ClaimedJob, outcome: Outcome, voice: Voice) -> str | None:
    """Everything that was given as an answer, the question first."""

    def say(text: str) -> str:
        return voice.say(job, text)

    parts = [
        render_answers.question(outcome.question, say) if outcome.question else "",
        say(outcome.analysis) if outcome.analysis else "",
        render_answers.review(outcome.review, say) if outcome.review else "",
        render_answers.labels(outcome.labels, say),
        render_answers.duplicate(outcome.duplicate, say) if outcome.duplicate else "",
    ]
    return "\n\n".join(part for part in parts if part) or None


def _summary(outcome: Outcome) -> str:
    """The model's words on its change; where there is none, its last words."""
    if outcome.question is not None:
        return ""
    if outcome.proposal is not None and outcome.changes:
        return outcome.proposal.body
    return "" if outcome.sentence == outcome.summary else outcome.summary


def _done_so_far(outcome: Outcome) -> str:
    if outcome.changes or outcome.has_kept_change:
        return "The change is kept with the job and was not published."
    return "Nothing was changed."


def _last_word(job: ClaimedJob, body: str, *, has_living: bool, more: Json | None = None) -> Frozen:
    payload: Json = {"number": job.origin.number, "body": body, "links": {}, **(more or {})}
    if not has_living:
        return Frozen(key_of(job, "final"), OperationKind.COMMENT, payload, sequence=90)
    payload["comment_key"] = key_of(job, "living")
    return Frozen(key_of(job, "final"), OperationKind.COMMENT_EDIT, payload, sequence=90)


def _branch(job: ClaimedJob, outcome: Outcome, voice: Voice) -> Frozen:
    files = [
        {"path": change.path, "content": change.content, "is_executable": change.is_executable}
        for change in outcome.changes
    ]
    payload: Json = {
        "branch": branch_of(job),
        "base_sha": outcome.base_sha,
        "message": _commit_message(job, outcome, voice),
        "files": files,
        "job_id": job.name,
        UNCONFIRMED: outcome.is_unconfirmed,
    }
    return Frozen(key_of(job, "branch"), OperationKind.BRANCH, payload, sequence=10)


def _commit_message(job: ClaimedJob, outcome: Outcome, voice: Voice) -> str:
    assert outcome.proposal is not None  # noqa: S101 - operations_of asks for a proposal
    return render.commit_message(
        title=sanitize_commit(sanitize_title(outcome.proposal.title, secrets=voice.secrets)),
        number=job.origin.number,
        job_id=job.name,
        requester_login=job.origin.actor.login,
        requester_id=job.origin.actor.id,
    )


def _pull(job: ClaimedJob, outcome: Outcome, voice: Voice) -> Frozen:
    assert outcome.proposal is not None  # noqa: S101 - operations_of asks for a proposal
    body = render.pull_body(
        number=job.origin.number,
        summary=voice.say(job, outcome.proposal.body),
        checks=_checks(outcome),
        sandbox_remedy=voice.sandbox_remedy,
        files=len(outcome.changes),
        added=sum(change.added_lines for change in outcome.changes),
        removed=sum(change.removed_lines for change in outcome.changes),
        job_id=job.id,
        requester=job.origin.actor.login,
        pre_existing_failures=outcome.has_old_failures,
        changed_tests=outcome.changed_tests,
    )
    payload: Json = {
        "head": branch_of(job),
        "base": job.repository.default_branch,
        "title": sanitize_title(outcome.proposal.title, secrets=voice.secrets),
        "body": body,
    }
    return Frozen(key_of(job, "pull"), OperationKind.PULL_REQUEST, payload, sequence=20)


def _assign(job: ClaimedJob, pull_key: str) -> Frozen:
    payload: Json = {"pull_key": pull_key, "logins": [job.origin.actor.login]}
    return Frozen(key_of(job, "assign"), OperationKind.ASSIGN, payload, sequence=30)


def _checks(outcome: Outcome) -> Sequence[Check]:
    return [
        Check(
            command=record.command.command,
            when=record.when,
            exit_code=record.command.exit_code,
            duration_ms=record.command.duration_ms,
            tier=record.command.tier,
            reason=record.command.reason,
            sha=outcome.base_sha,
        )
        for record in outcome.records
    ]
