"""The scheduler against every order of events: several owners, crashes, time, cancels, pauses, retries.

Whatever happened: at most one owner's writes pass, no cap is exceeded, no two jobs hold one write key;
and from wherever it stands, everything ends once time passes.
"""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select, update

from bot.db import again, cancel, jobs, pauses, schedule, submit
from bot.db.admission import ORGANIZATION_CAP
from bot.db.database import Database
from bot.db.tables import agent_jobs, job_origins, job_runs
from bot.domain.enums import Cause, IssuePriority, JobStatus, PauseKind, Phase
from bot.domain.states import FINAL_JOBS, OPEN_JOBS
from bot.domain.values import ClaimedJob, Scope
from bot.errors import LeaseLost, UserError
from tests.db.crowd import admit, end, make_tenants, take
from tests.db.rows import LEASE, NOW, SYSTEM, origin, submission

Answer = TypeVar("Answer")
EXAMPLES = 20
STEPS = 30
ROUNDS = 200
NUMBERS = st.integers(1, 4)
PICKS = st.integers(0, 99)
RANKS = st.sampled_from(IssuePriority)


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
        self.jobs: list[str] = []
        self.held: list[ClaimedJob] = []
        self.words = 0

    def do(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return self.loop.run(work)

    @initialize()
    def begin(self) -> None:
        self.tenants = self.do(make_tenants(self.database, 2))
        for number in (1, 2, 3, 4):
            self.submit(0, number, "fix", IssuePriority.MEDIUM)
            self.submit(0, number, "plan", IssuePriority.LOW)

    # ── what happens ────────────────────────────────────────────────────────────────────────────
    @rule(
        pick=PICKS, number=NUMBERS, verb=st.sampled_from(["fix", "plan"]), rank=st.sampled_from(IssuePriority)
    )
    def submit(self, pick: int, number: int, verb: str, rank: IssuePriority) -> None:
        self.words += 1
        self.do(self._submit(self.tenants[pick % 2], number, verb, rank))

    @rule(places=st.integers(0, 6))
    def admit(self, places: int) -> None:
        assert len(self.do(admit(self.database, self.now, places=places))) <= places

    @rule(pick=PICKS, is_fresh=st.booleans())
    def claim(self, pick: int, is_fresh: bool) -> None:
        """Whoever has a ticket, however old, tries."""
        tickets = self.do(admit(self.database, self.now)) if is_fresh else []
        if self.jobs:
            tickets.append(self.jobs[pick % len(self.jobs)])
        for job_id in tickets:
            job = self.do(take(self.database, job_id, self.now))
            self.held += [] if job is None else [job]

    @rule(seconds=st.sampled_from([1, 20, 31, 90, 3_600, -3_600]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(is_late=st.booleans())
    def reap(self, is_late: bool) -> None:
        self.now += LEASE if is_late else timedelta(0)
        self.do(self._write(lambda connection: schedule.reap(SYSTEM, connection, now=self.now)))

    @rule(pick=PICKS, what=st.sampled_from(["renew", "step", "freeze", "end", "give back"]))
    def own(self, pick: int, what: str) -> None:
        """An owner, perhaps a late one, goes on."""
        if self.held:
            self.do(self._own(self.held[pick % len(self.held)], what))

    @rule(pick=PICKS)
    def cancel(self, pick: int) -> None:
        if self.jobs:
            self.do(self._cancel(self.jobs[pick % len(self.jobs)]))

    @rule(pick=PICKS, kind=st.sampled_from(PauseKind), is_begin=st.booleans())
    def pause(self, pick: int, kind: PauseKind, is_begin: bool) -> None:
        self.do(self._pause(pick, kind, is_begin=is_begin))

    @rule()
    def engine_fails(self) -> None:
        self.do(self._write(lambda connection: schedule.unadmit(SYSTEM, connection, self.jobs)))

    @rule(pick=PICKS)
    def again(self, pick: int) -> None:
        if self.jobs:
            self.do(self._again(self.jobs[pick % len(self.jobs)]))

    # ── what always holds ───────────────────────────────────────────────────────────────────────
    @invariant()
    def caps_hold(self) -> None:
        if hasattr(self, "tenants"):
            self.do(self._check())

    def teardown(self) -> None:
        """From here everything ends, once nobody holds it back."""
        try:
            if hasattr(self, "tenants"):
                self.do(self._finish())
        finally:
            self.do(self.database.close())
            self.loop.close()
            shutil.rmtree(self.folder)

    # ── how ─────────────────────────────────────────────────────────────────────────────────────
    async def _write(self, work: Any) -> Any:
        async with self.database.write() as connection:
            return await work(connection)

    async def _submit(self, tenant: Any, number: int, verb: str, rank: IssuePriority) -> None:
        source = origin(number, repository_id=tenant.repository.id, verb=verb, trigger=str(self.words))
        made = await self._write(
            lambda connection: submit.submit(
                tenant.scope, connection, submission(source, priority=rank), now=self.now
            )
        )
        if made.is_new:
            self.jobs.append(made.job_id)
            # Two threads share what they write to, as two pull requests from one branch would.
            key = f"{tenant.repository.id}:{number // 2}" if verb == "fix" else None
            this = update(job_origins).where(job_origins.c.job_id == made.job_id)
            await self._write(lambda connection: connection.execute(this.values(write_key=key)))

    async def _again(self, job_id: str) -> None:
        try:
            async with self.database.write() as connection:
                key = f"retry:{job_id}"
                made = await again.again(
                    SYSTEM, connection, job_id, authority="operator", trigger_key=key, now=self.now
                )
        except UserError:
            return
        self.jobs += [made.job_id] if made.is_new else []

    async def _cancel(self, job_id: str) -> None:
        async with self.database.write() as connection:
            await cancel.cancel_job(SYSTEM, connection, job_id, reason="closed", now=self.now)

    async def _pause(self, pick: int, kind: PauseKind, *, is_begin: bool) -> None:
        tenant = self.tenants[pick % 2]
        names = {
            PauseKind.ORGANIZATION: tenant.organization_id,
            PauseKind.REPOSITORY: str(tenant.repository.id),
        }
        target = names.get(kind, "")
        async with self.database.write() as connection:
            if is_begin:
                await pauses.pause(SYSTEM, connection, kind, target, reason="", now=self.now)
            else:
                await pauses.unpause(SYSTEM, connection, kind, target)

    async def _own(self, job: ClaimedJob, what: str) -> None:
        scope = Scope(job.organization_id)
        try:
            async with self.database.write() as connection:
                if what == "renew":
                    await schedule.renew(scope, connection, job, now=self.now, lease=LEASE)
                elif what == "step":
                    await jobs.set_phase(scope, connection, job, Phase.WORK)
                elif what == "freeze":
                    await jobs.freeze(
                        scope, connection, job, Cause.ANSWERED, error=None, result={}, now=self.now
                    )
                elif what == "give back":
                    later = self.now + LEASE
                    await jobs.retry_later(
                        scope, connection, job, wake_at=later, error="no", is_counted=True, now=self.now
                    )
            if what == "end":
                await end(self.database, job, self.now)
        except LeaseLost:
            self.held.remove(job)

    async def _check(self) -> None:
        statement = (
            select(agent_jobs.c.status, agent_jobs.c.organization_id, job_origins.c.write_key, job_runs)
            .join(job_runs, job_runs.c.job_id == agent_jobs.c.id)
            .join(job_origins, job_origins.c.job_id == agent_jobs.c.id)
        )
        async with self.database.read() as connection:
            rows = (await connection.execute(statement)).all()
        busy = [row for row in rows if row.status is JobStatus.RUNNING or row.admitted_at is not None]
        organizations = Counter(row[1] for row in busy)
        assert all(count <= ORGANIZATION_CAP for count in organizations.values())
        keys = Counter(row.write_key for row in busy if row.write_key is not None)
        assert all(count == 1 for count in keys.values())
        for row in rows:
            runs = row.status is JobStatus.RUNNING
            assert (row.lease_owner is not None) == (row.lease_until is not None) == runs
            assert (row.due_at is not None) == (row.status in OPEN_JOBS)
            assert row.admitted_at is None or row.status is JobStatus.PENDING
            owners = [job for job in self.held if (job.id, job.fence) == (row.job_id, row.fence)]
            assert len(owners) <= 1

    async def _finish(self) -> None:
        for kind in PauseKind:
            for pick in (0, 1):
                await self._pause(pick, kind, is_begin=False)
        self.now += timedelta(hours=3)  # past every jump
        for _ in range(ROUNDS):
            self.now += 2 * LEASE
            await self._write(lambda connection: schedule.reap(SYSTEM, connection, now=self.now))
            for job_id in await admit(self.database, self.now, places=99):
                job = await take(self.database, job_id, self.now)
                assert job is not None
                await end(self.database, job, self.now)
            async with self.database.read() as connection:
                left = set((await connection.execute(select(agent_jobs.c.status))).scalars())
            if left <= FINAL_JOBS:
                return
        pytest.fail(f"stuck: {left}")


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
