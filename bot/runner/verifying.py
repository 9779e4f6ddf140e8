"""What the harness tries of a change, and what it sends back to the agent before it lets the end stand.

A verification runs once for each candidate change, whoever asks; what ran last is what the outcome goes by.
"""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bot.db import transcript
from bot.db.database import Database
from bot.domain.agent_kinds import kind_of
from bot.domain.clock import Clock
from bot.domain.effects import LoopResult
from bot.domain.enums import When
from bot.domain.past import Past
from bot.domain.ports import ToolHost
from bot.domain.values import ClaimedJob, CommandRecord, FileChange, RepositoryConfig, Scope
from bot.runner import last_look, weakened
from bot.runner.failures import fails, got_better, same_failures
from bot.runner.outcome import needs_verification
from bot.runner.trying import Trials

HEAD_CHARS: Final = 2_000
TAIL_CHARS: Final = 6_000

_LOOK_AGAIN: Final = "Before the change is proposed, look at these places once more:"
_MAY_STAY: Final = (
    "Mend what you did not mean to leave. What is right as it is may stay; then propose the change again."
)
_NEW_FAILURE: Final = (
    "The change is not proposed yet: with it the repository's verification fails in a way in which it did "
    "not fail before. Find out why, mend it, and propose the change again."
)
_OLD_FAILURE: Final = (
    "The verification fails as it did before your change: nothing that failed then passes now. If these "
    "failures are what the request is about, it is not done; go on. If they have nothing to do with it, "
    "propose the change again as it is."
)
_WITHOUT: Final = "Run once more without the files that this repository keeps from you, it says:"
_NOT_SHOWN: Final = (
    "(It fails only beside files that this repository keeps from you, so its output is not shown.)"
)
_OBJECTION: Final = "The change is not proposed yet, for {objection}. Mend that, and propose it again."
INLINE: Final = (
    "what failed before passes after a change of what the tests beside the code expect ({places}), which the "
    "request does not ask for"
)
MAX_PLACES: Final = 5
HOLLOW: Final = "nothing but comments and white space is changed, and the verification fails as before"


@dataclass(frozen=True, slots=True)
class Desk:
    """Where the records of one job are written down, under its fence; every write may raise LeaseLost."""

    database: Database
    job: ClaimedJob
    clock: Clock
    base_sha: str

    async def write(self, when: When, records: Sequence[CommandRecord], position: int) -> None:
        """Add *records* after the *position* that were written of that moment before."""
        async with self.database.write() as connection:
            await transcript.add_verifications(
                Scope(self.job.organization_id),
                connection,
                self.job,
                when,
                self.base_sha,
                records,
                now=self.clock.now(),
                position=position,
            )


@dataclass(slots=True)
class Verifier:
    """The loop's judge (`bot.agents.ports.Judge`) and the keeper of the harness's own records for one job.

    `before`, then the loop with `judge`, then `after` of the change that is left, then `objection`.
    *request* are the words of the person who commands: they alone may say that tests are wrong, for anybody
    may write an issue. *told* what earlier attempts of the job have told the agent
    (`told_before`), *agent_type* who works: of `docs.*` a change of comments may be all that was asked for,
    and `code.fix` has to mend what fails in the files that it changes.
    """

    host: ToolHost
    config: RepositoryConfig
    desk: Desk
    timeout_seconds: float
    request: str = ""
    told: str = ""
    agent_type: str = ""
    _before: list[CommandRecord] | None = None
    _after: dict[str, list[CommandRecord]] = field(default_factory=dict)
    _written: int = 0
    _trials: Trials = field(init=False)
    _has_looked: bool = field(init=False)
    _has_asked: bool = field(init=False)

    def __post_init__(self) -> None:
        """What an earlier attempt was asked once is not asked again."""
        self._trials = Trials(
            self.host,
            self.config.verify,
            self.timeout_seconds,
            may_change_tests=weakened.is_asked_for(self.request),
            must_mend=self.agent_type == "code.fix",
        )
        self._has_looked, self._has_asked = _LOOK_AGAIN in self.told, _OLD_FAILURE in self.told

    async def before(self) -> list[CommandRecord]:
        """Prepare the base, and try it as it is; the second time what was found the first time.

        A `prepare` that fails is written down before the commands that then could not run.

        Raises:
            Permanent: The tool host is gone (cause `sandbox_error`).
            LeaseLost: Another worker owns the job.
        """
        if self._before is None:
            prepared = await self._prepare() if self.config.prepare else []
            self._before = await self._trials.base()
            failed = [record for record in prepared if not record.passed]
            await self.desk.write(When.BEFORE, [*failed, *self._before], 0)
        return self._before

    async def after(self, changes: Sequence[FileChange]) -> list[CommandRecord]:
        """Try the change that the tools have made, *changes*; once for each change, whoever asks.

        Raises: as `before`.
        """
        digest = await asyncio.to_thread(_digest, changes)
        if digest not in self._after:
            old = await self.before()
            records = await self._trials.change(old, changes)
            await self.desk.write(When.AFTER, records, self._written)
            self._written += len(records)
            self._after[digest] = records
        return self._after[digest]

    async def judge(self, result: LoopResult) -> str | None:
        """None where *result* may stand; else words for the agent, who then goes on with its work.

        A change that is proposed is looked at once by rules, and tried. A failure that was not there before
        goes back whenever the loop asks, which counts the rounds over all attempts; what stands in the end
        has failed its verification.
        """
        changes = await self.host.changes()
        if not needs_verification(result, changes):
            return None
        before, after = await self.before(), await self.after(changes)
        # What a model wrote, or its commands put out, is read beside the event loop, not in it.
        words = await self._shame(changes)
        if fails(after) and not await asyncio.to_thread(same_failures, before, after):
            new = await asyncio.to_thread(_new_failures, before, after)
            words += [_NEW_FAILURE, *[await self._told(record) for record in new]]
        else:
            words += await self._without_new_failure(changes, before, after)
        return "\n\n".join(words) or None

    async def objection(self, changes: Sequence[FileChange]) -> str | None:
        """Why a change must not be proposed although its records show no new failure; None: nothing."""
        before, after = await self.before(), await self.after(changes)
        return await self._objection(changes, after, is_better=await _is_better(before, after))

    async def _without_new_failure(
        self, changes: Sequence[FileChange], before: Sequence[CommandRecord], after: Sequence[CommandRecord]
    ) -> list[str]:
        """What the agent is told of a change that fails in no way in which it did not fail before."""
        is_better = await _is_better(before, after)
        if (objection := await self._objection(changes, after, is_better=is_better)) is not None:
            return [_OBJECTION.format(objection=objection)]
        if self._has_asked or is_better or not fails(after):
            return []
        self._has_asked = True
        return [_OLD_FAILURE, *[await self._told(record) for record in after if fails([record])]]

    async def _objection(
        self, changes: Sequence[FileChange], after: Sequence[CommandRecord], *, is_better: bool
    ) -> str | None:
        is_about_words = kind_of(self.agent_type) == "docs"
        if fails(after) and not is_better and not is_about_words:
            return HOLLOW if await asyncio.to_thread(last_look.is_hollow, changes) else None
        if not is_better or self._trials.may_change_tests:
            return None
        places = await asyncio.to_thread(weakened.inline, changes)
        return INLINE.format(places=", ".join(places[:MAX_PLACES])) if places else None

    async def _told(self, record: CommandRecord) -> str:
        """A failed command in words, with its output without the files that are kept from the agent."""
        if not self.config.exclude:
            return _told(record, record.output)
        shown = await self.host.verify(record.command, timeout_seconds=self.timeout_seconds, as_shown=True)
        return _told(record, f"{_WITHOUT}\n{shown.output}" if fails([shown]) else _NOT_SHOWN)

    async def _prepare(self) -> list[CommandRecord]:
        return await self.host.prepare(self.config.prepare, timeout_seconds=self.timeout_seconds)

    async def _shame(self, changes: Sequence[FileChange]) -> list[str]:
        found = [] if self._has_looked else await asyncio.to_thread(last_look.look, changes)
        self._has_looked = True
        if not found:
            return []
        lines = "\n".join(f"- {where}: {what}" for where, what in found)
        return [f"{_LOOK_AGAIN}\n{lines}\n{_MAY_STAY}"]


def verifier_of(
    job: ClaimedJob, past: Past, host: ToolHost, config: RepositoryConfig, desk: Desk, timeout_seconds: float
) -> Verifier:
    """The verifier of *job*, which knows what was asked for, and what *past* attempts have told the agent."""
    return Verifier(
        host,
        config,
        desk,
        timeout_seconds,
        request=job.origin.snapshot.words,
        told=told_before(past),
        agent_type=job.agent_type,
    )


async def _is_better(before: Sequence[CommandRecord], after: Sequence[CommandRecord]) -> bool:
    return await asyncio.to_thread(got_better, before, after)


def told_before(past: Past) -> str:
    """Our own words in the answers of a job's earlier attempts; what tools gave back is not among them."""
    steps = past.own.steps if past.own else ()
    blocks = [block for step in steps if step.answer for block in step.answer["content"]]
    return "\n".join(str(block.get("text", "")) for block in blocks if block.get("type") == "text")


def _new_failures(before: Sequence[CommandRecord], after: Sequence[CommandRecord]) -> list[CommandRecord]:
    return [record for record in after if fails([record]) and not same_failures(before, [record])]


def _told(record: CommandRecord, output: str) -> str:
    """One failing command with the head and the tail of *output*."""
    how = f"ended with exit code {record.exit_code} after {record.duration_ms / 1000:.1f} s"
    why = f" ({record.reason})" if record.reason else ""
    output = output.strip("\n")
    if len(output) > HEAD_CHARS + TAIL_CHARS:
        hidden = len(output) - HEAD_CHARS - TAIL_CHARS
        output = f"{output[:HEAD_CHARS]}\n[… {hidden} characters left out …]\n{output[-TAIL_CHARS:]}"
    return f"$ {record.command}\n{how}{why}\n{output}"


def _digest(changes: Sequence[FileChange]) -> str:
    """What tells one change from another."""
    facts = [[change.path, change.content, change.is_executable] for change in changes]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
