"""What the scheduler promises, as a model in memory: each event on plain values, nothing of our SQL."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.db.admission import ORGANIZATION_CAP
from bot.db.schedule import MAX_CRASHES_WITHOUT_PROGRESS
from bot.domain.enums import PauseKind
from tests.db.rows import LEASE, STALE

WAITS, RUNS, ENDED, CANCELLED = "waits", "runs", "ended", "cancelled"


@dataclass(slots=True)
class Job:
    """One job as it ought to stand; `fence` is the number of its last owner."""

    tenant: int
    write_key: str | None
    state: str = WAITS
    fence: int = 0
    crashes: int = 0
    granted_at: datetime | None = None
    lease_until: datetime | None = None
    wake_at: datetime | None = None
    is_cancelled: bool = False

    @property
    def is_busy(self) -> bool:
        return self.granted_at is not None or self.lease_until is not None

    def stands(self) -> tuple[object, ...]:
        """What the database has to say of it."""
        return self.state, self.fence, self.granted_at, self.lease_until, self.wake_at

    def end(self, state: str) -> None:
        self.state = state
        self.granted_at = self.lease_until = self.wake_at = None


@dataclass(slots=True)
class Rules:
    """All jobs, and what is paused: everything, or a tenant by its organization or its repository."""

    jobs: dict[str, Job] = field(default_factory=dict)
    paused: set[tuple[PauseKind, int]] = field(default_factory=set)

    # ── who may start ───────────────────────────────────────────────────────────────────────────
    def admitted(self, job_ids: Sequence[str], now: datetime, places: int) -> None:
        """The scheduler has given these jobs leave to start."""
        self._revoke(job for job in self.jobs.values() if job.granted_at and job.granted_at <= now - STALE)
        assert len(set(job_ids)) == len(job_ids) <= places
        for job_id in job_ids:
            job = self.jobs[job_id]
            assert self._may_start(job, now), f"{job} may not start"
            job.granted_at = now
        if len(job_ids) < places:
            left = [job for job in self.jobs.values() if self._may_start(job, now)]
            assert not left, f"{left} could start and was left"

    def _may_start(self, job: Job, now: datetime) -> bool:
        """Whether it waits, and nothing holds it back."""
        busy = [other for other in self.jobs.values() if other.is_busy]
        is_due = job.wake_at is None or job.wake_at <= now
        is_free = job.write_key is None or job.write_key not in {other.write_key for other in busy}
        is_below_cap = Counter(other.tenant for other in busy)[job.tenant] < ORGANIZATION_CAP
        is_paused = any(_covers(kind, tenant, job) for kind, tenant in self.paused)
        waits = job.state == WAITS and job.granted_at is None
        return waits and is_due and is_free and is_below_cap and not is_paused

    def pause(self, kind: PauseKind, tenant: int) -> None:
        self.paused.add((kind, tenant))
        self._revoke(job for job in self.jobs.values() if _covers(kind, tenant, job))

    def unpause(self, kind: PauseKind, tenant: int) -> None:
        self.paused.discard((kind, tenant))

    def unadmitted(self) -> None:
        self._revoke(self.jobs.values())

    @staticmethod
    def _revoke(jobs: Iterable[Job]) -> None:
        for job in jobs:
            job.granted_at = None

    # ── who owns ────────────────────────────────────────────────────────────────────────────────
    def claimed(self, job_id: str, fence: int | None, now: datetime) -> None:
        """Somebody with the job's id has tried to own it; *fence* None: in vain."""
        job = self.jobs[job_id]
        assert (fence is not None) == (job.granted_at is not None), f"claimed with {fence}: {job}"
        if fence is not None:
            assert fence == job.fence + 1, f"claimed with {fence}: {job}"
            job.state, job.fence, job.lease_until = RUNS, fence, now + LEASE
            job.granted_at = job.wake_at = None

    def owns(self, job_id: str, fence: int) -> bool:
        job = self.jobs[job_id]
        return job.lease_until is not None and job.fence == fence

    def renewed(self, job_id: str, now: datetime, reason: str | None) -> None:
        job = self.jobs[job_id]
        assert job.lease_until is not None
        job.lease_until = max(job.lease_until, now + LEASE)
        assert reason is not None or not job.is_cancelled, "its owner is not told of the cancel"

    def gave_back(self, job_id: str, wake_at: datetime) -> None:
        job = self.jobs[job_id]
        job.state, job.lease_until, job.wake_at = WAITS, None, wake_at

    def reaped(self, found: dict[str, bool], now: datetime) -> None:
        """These jobs were taken from their owners; True: put aside for their crashes."""
        lost = {
            job_id: job for job_id, job in self.jobs.items() if job.lease_until and job.lease_until <= now
        }
        for job in lost.values():
            job.state, job.fence, job.crashes, job.lease_until = WAITS, job.fence + 1, job.crashes + 1, None
        assert found == {job_id: job.crashes >= MAX_CRASHES_WITHOUT_PROGRESS for job_id, job in lost.items()}

    def cancel(self, job_id: str) -> bool:
        """Whether it was open: one that nobody has begun ends, another one is ended by its owner."""
        job = self.jobs[job_id]
        if job.state in {ENDED, CANCELLED}:
            return False
        job.is_cancelled, job.wake_at = True, None
        if job.fence == 0:
            job.end(CANCELLED)
        return True


def _covers(kind: PauseKind, tenant: int, job: Job) -> bool:
    return kind is PauseKind.EVERYTHING or tenant == job.tenant
