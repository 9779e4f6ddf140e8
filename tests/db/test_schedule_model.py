"""The scheduler against every order of events: several owners, crashes, time, cancels, pauses, retries.

After each event the database stands exactly as a model in memory (`tests.db.schedule_rules`) says: at most
one owner's writes pass, no cap is exceeded, no two jobs hold one write key, and nothing is left waiting
that could start; and from wherever it stands, everything ends once time passes.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select, update

from bot.db import again, cancel, jobs, pauses, schedule, submit
from bot.db.database import Database
from bot.db.tables import agent_jobs, job_origins, job_runs
from bot.domain.enums import Cause, IssuePriority, JobStatus, PauseKind, Phase
from bot.domain.states import OPEN_JOBS
from bot.domain.values import ClaimedJob, Scope
from bot.errors import LeaseLost, StillEnding, UserError
from tests.db.crowd import admit, end, make_tenants, take
from tests.db.rows import LEASE, NOW, SYSTEM, origin, submission
from tests.db.schedule_rules import CANCELLED, ENDED, RUNS, WAITS, Job, Rules

Answer = TypeVar("Answer")
EXAMPLES = 20
STEPS = 30
ROUNDS = 200
ALL = 99
NUMBERS = st.integers(1, 4)
PICKS = st.integers(0, 99)
DEEDS = ["renew", "step", "freeze", "end", "give back"]
STATES = {JobStatus.PENDING: WAITS, JobStatus.RUNNING: RUNS, JobStatus.CANCELLED: CANCELLED}


class Scheduler(RuleBasedStateMachine):
    """Two organizations, jobs of theirs, and owners who forget nothing that they ever held."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.folder = Path(tempfile.mkdtemp())
        file = shutil.copy(self.template, self.folder / "issuewright.db")
        self.database = Database(f"sqlite+aiosqlite:///{file}")
        self.now = NOW
        self.ought = Rules()
        self.held: list[ClaimedJob] = []
        self.words = 0

    def do(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return self.loop.run(work)

    @property
    def jobs(self) -> list[str]:
        return list(self.ought.jobs)

    def owners(self) -> list[ClaimedJob]:
        return [job for job in self.held if self.ought.owns(job.id, job.fence)]

    @initialize()
    def begin(self) -> None:
        self.tenants = self.do(make_tenants(self.database, 2))
        for number in (1, 2, 3, 4):
            self.submit(0, number, "fix", IssuePriority.MEDIUM)
        for number in (1, 2):
            self.submit(0, number, "plan", IssuePriority.LOW)
            self.submit(1, number, "fix", IssuePriority.HIGH)

    # ── what happens ────────────────────────────────────────────────────────────────────────────
    @rule(
        pick=PICKS, number=NUMBERS, verb=st.sampled_from(["fix", "plan"]), rank=st.sampled_from(IssuePriority)
    )
    def submit(self, pick: int, number: int, verb: str, rank: IssuePriority) -> None:
        self.words += 1
        self.do(self._submit(pick % 2, number, verb, rank))

    @rule(places=st.sampled_from([0, 1, 2, 5, ALL]))
    def admit(self, places: int) -> None:
        self.do(self._admit(places))

    @rule(pick=PICKS)
    def claim_any(self, pick: int) -> None:
        """Whoever has the id of a job, however old, tries."""
        self.do(self._claim(self.jobs[pick % len(self.jobs)]))

    @rule()
    def claim_admitted(self) -> None:
        """What an engine does with what it was given."""
        for job_id, job in self.ought.jobs.items():
            if job.granted_at is not None:
                self.do(self._claim(job_id))

    @rule(seconds=st.sampled_from([1, 20, 31, 90, 3_600, -3_600]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(is_late=st.booleans())
    def reap(self, is_late: bool) -> None:
        self.now += LEASE if is_late else timedelta(0)
        self.do(self._reap())

    @precondition(lambda self: self.owners())
    @rule(pick=PICKS, what=st.sampled_from(["renew", "step", "freeze"]))
    def work(self, pick: int, what: str) -> None:
        """An owner goes on."""
        self.do(self._own(self.owners()[pick % len(self.owners())], what))

    @precondition(lambda self: self.owners())
    @rule(pick=PICKS, what=st.sampled_from(["end", "give back"]))
    def leave(self, pick: int, what: str) -> None:
        """An owner has done what it could."""
        self.do(self._own(self.owners()[pick % len(self.owners())], what))

    @precondition(lambda self: len(self.owners()) < len(self.held))
    @rule(pick=PICKS)
    def come_late(self, pick: int) -> None:
        """One who lost the job goes on as if nothing had happened."""
        late = [job for job in self.held if not self.ought.owns(job.id, job.fence)]
        for what in DEEDS:
            self.do(self._own(late[pick % len(late)], what))

    @precondition(lambda self: self.owners())
    @rule()
    def crash(self) -> None:
        """All owners freeze, and others take over."""
        self.now += LEASE
        self.do(self._reap())
        self.do(self._admit(ALL))
        self.claim_admitted()

    @rule(pick=PICKS)
    def cancel(self, pick: int) -> None:
        self.do(self._cancel(self.jobs[pick % len(self.jobs)]))

    @rule(tenant=st.integers(0, 1), kind=st.sampled_from(PauseKind))
    def pause(self, tenant: int, kind: PauseKind) -> None:
        self.do(self._pause(kind, tenant))

    @precondition(lambda self: self.ought.paused)
    @rule(pick=PICKS)
    def unpause(self, pick: int) -> None:
        paused = sorted(self.ought.paused)
        self.do(self._unpause(*paused[pick % len(paused)]))

    @rule()
    def engine_fails(self) -> None:
        self.do(self._write(lambda connection: schedule.unadmit(SYSTEM, connection, self.jobs)))
        self.ought.unadmitted()

    @rule(pick=PICKS)
    def again(self, pick: int) -> None:
        self.do(self._again(self.jobs[pick % len(self.jobs)]))

    # ── what always holds ───────────────────────────────────────────────────────────────────────
    @invariant()
    def it_stands_as_it_ought_to(self) -> None:
        self.do(self._check())

    def teardown(self) -> None:
        """From here everything ends, once nobody holds it back."""
        try:
            if self.ought.jobs:
                self.do(self._finish())
        finally:
            self.do(self.database.close())
            self.loop.close()
            shutil.rmtree(self.folder)

    # ── how ─────────────────────────────────────────────────────────────────────────────────────
    async def _write(self, work: Any) -> Any:
        async with self.database.write() as connection:
            return await work(connection)

    async def _submit(self, number_of_tenant: int, number: int, verb: str, rank: IssuePriority) -> None:
        tenant = self.tenants[number_of_tenant]
        source = origin(number, repository_id=tenant.repository.id, verb=verb, trigger=str(self.words))
        # Two threads share what they write to, as two pull requests from one branch would.
        key = f"{tenant.repository.id}:{number // 2}" if verb == "fix" else None
        async with self.database.write() as connection:
            request = submission(source, priority=rank)
            try:
                made = await submit.submit(tenant.scope, connection, request, now=self.now)
            except StillEnding:
                open_jobs = [job for job in self.ought.jobs.values() if job.state in {WAITS, RUNS}]
                assert any(job.is_cancelled and job.tenant == number_of_tenant for job in open_jobs)
                return
            if made.is_new:
                this = update(job_origins).where(job_origins.c.job_id == made.job_id)
                await connection.execute(this.values(write_key=key))
        assert made.is_new == (made.job_id not in self.ought.jobs)
        job = self.ought.jobs.setdefault(made.job_id, Job(number_of_tenant, key))
        assert not job.is_cancelled, "a request is served by a job that is to end"

    async def _again(self, job_id: str) -> None:
        before = self.ought.jobs[job_id]
        try:
            async with self.database.write() as connection:
                key = f"retry:{job_id}"
                made = await again.again(
                    SYSTEM, connection, job_id, authority="operator", trigger_key=key, now=self.now
                )
        except UserError:
            return
        assert before.state in {ENDED, CANCELLED}, "a job is open and was begun again"
        self.ought.jobs.setdefault(made.job_id, Job(before.tenant, before.write_key))

    async def _admit(self, places: int) -> list[str]:
        job_ids = await admit(self.database, self.now, places=places)
        self.ought.admitted(job_ids, self.now, places)
        return job_ids

    async def _claim(self, job_id: str) -> None:
        job = await take(self.database, job_id, self.now)
        self.ought.claimed(job_id, None if job is None else job.fence, self.now)
        self.held += [] if job is None else [job]

    async def _reap(self) -> None:
        found = await self._write(lambda connection: schedule.reap(SYSTEM, connection, now=self.now))
        self.ought.reaped({each.job_id: each.is_quarantined for each in found}, self.now)

    async def _cancel(self, job_id: str) -> None:
        async with self.database.write() as connection:
            is_open = await cancel.cancel_job(SYSTEM, connection, job_id, reason="closed", now=self.now)
        assert is_open == self.ought.cancel(job_id)

    def _target(self, kind: PauseKind, tenant: int) -> str:
        found = self.tenants[tenant]
        names = {
            PauseKind.ORGANIZATION: found.organization_id,
            PauseKind.REPOSITORY: str(found.repository.id),
        }
        return names.get(kind, "")

    async def _pause(self, kind: PauseKind, tenant: int) -> None:
        async with self.database.write() as connection:
            target = self._target(kind, tenant)
            await pauses.pause(SYSTEM, connection, kind, target, reason="", now=self.now)
        self.ought.pause(kind, 0 if kind is PauseKind.EVERYTHING else tenant)

    async def _unpause(self, kind: PauseKind, tenant: int) -> None:
        async with self.database.write() as connection:
            assert await pauses.unpause(SYSTEM, connection, kind, self._target(kind, tenant))
        self.ought.unpause(kind, tenant)

    async def _own(self, job: ClaimedJob, what: str) -> None:
        is_owner = self.ought.owns(job.id, job.fence)
        try:
            await self._do_as_owner(job, what)
        except LeaseLost:
            assert not is_owner, f"{what} of the owner was refused"
        else:
            assert is_owner, f"{what} of somebody who is not the owner passed"

    async def _do_as_owner(self, job: ClaimedJob, what: str) -> None:
        scope, later = Scope(job.organization_id), self.now + LEASE
        if what == "end":
            await end(self.database, job, self.now)
            self.ought.jobs[job.id].end(ENDED)
            return
        async with self.database.write() as connection:
            if what == "renew":
                reason = await schedule.renew(scope, connection, job, now=self.now, lease=LEASE)
                self.ought.renewed(job.id, self.now, reason)
            elif what == "step":
                await jobs.set_phase(scope, connection, job, Phase.WORK)
            elif what == "freeze":
                await jobs.freeze(scope, connection, job, Cause.ANSWERED, error=None, result={}, now=self.now)
                self.ought.jobs[job.id].crashes = 0
            else:
                await jobs.retry_later(
                    scope, connection, job, wake_at=later, error="no", is_counted=True, now=self.now
                )
                self.ought.gave_back(job.id, later)

    async def _check(self) -> None:
        columns = (job_runs.c.fence, job_runs.c.admitted_at, job_runs.c.lease_until, job_runs.c.wake_at)
        statement = select(
            job_runs.c.job_id, agent_jobs.c.status, *columns, job_runs.c.lease_owner, job_runs.c.due_at
        ).join(agent_jobs, agent_jobs.c.id == job_runs.c.job_id)
        async with self.database.read() as connection:
            rows = (await connection.execute(statement)).all()
        stand = {row.job_id: (STATES.get(row.status, ENDED), *row[2:6]) for row in rows}
        assert stand == {job_id: job.stands() for job_id, job in self.ought.jobs.items()}
        for row in rows:
            assert (row.lease_owner is not None) == (row.lease_until is not None)
            assert (row.due_at is not None) == (row.status in OPEN_JOBS)

    async def _finish(self) -> None:
        for kind, tenant in tuple(self.ought.paused):
            await self._unpause(kind, tenant)
        self.now += timedelta(hours=3)  # past every jump
        for _ in range(ROUNDS):
            self.now += 2 * LEASE
            await self._reap()
            for job_id in await self._admit(ALL):
                await self._claim(job_id)
                await self._own(self.held[-1], "end")
            await self._check()
            if all(job.state in {ENDED, CANCELLED} for job in self.ought.jobs.values()):
                return
        pytest.fail(f"stuck: {self.ought.jobs}")


def test_whatever_happens_one_owner_writes_the_caps_hold_and_everything_ends(migrated_file: Path) -> None:
    machine = type("Machine", (Scheduler,), {"template": migrated_file})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
