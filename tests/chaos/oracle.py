"""What must stand when all is over: each request once in the database, each effect once on the forge."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, select

from bot.db import tables
from bot.db.database import Database
from bot.db.operations import OPEN_STATES
from bot.domain.enums import Cause, DeliveryState, JobStatus, OperationKind, OperationState, Phase
from bot.domain.states import end_of
from bot.standin.forge.forge import Forge
from bot.standin.forge.plumbing import Bare
from bot.standin.forge.state import Repository, Thread

OURS: Final = "issuewright/"
_MARKER: Final = re.compile(r"<!-- issuewright:1:([0-9a-f]+) -->")
_FINAL: Final = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})


@dataclass(frozen=True, slots=True)
class Expected:
    """What one request comes to, whatever dies meanwhile."""

    causes: frozenset[Cause]
    jobs: int = 1
    comments: frozenset[int] = frozenset({1})
    branches: frozenset[int] = frozenset({0})
    pulls: frozenset[int] = frozenset({0})
    reactions: tuple[str, ...] = ("eyes",)
    may_fail: frozenset[OperationKind] = frozenset()


@dataclass(frozen=True, slots=True)
class Asked:
    """One thread in which somebody asked, and what it must come to."""

    repository: str
    number: int
    expected: Expected


@dataclass(frozen=True, slots=True)
class Found:
    """What is wrong, apart by kind."""

    lost: list[str]
    duplicates: list[str]
    stuck: list[str]

    @classmethod
    def nothing(cls) -> "Found":
        """A list of each kind, still empty."""
        return cls([], [], [])

    @property
    def all(self) -> list[str]:
        """Everything that is wrong."""
        return [*self.lost, *self.duplicates, *self.stuck]

    def add(self, other: "Found") -> None:
        """Keep what *other* found too."""
        self.lost.extend(other.lost)
        self.duplicates.extend(other.duplicates)
        self.stuck.extend(other.stuck)


async def unfinished(database: Database) -> list[str]:
    """What has not come to its end: deliveries that wait, jobs that are not final, writes that are open."""
    deliveries, jobs, operations = tables.deliveries, tables.agent_jobs, tables.operations
    async with database.read() as connection:
        waiting = await connection.execute(
            select(deliveries.c.guid, deliveries.c.error).where(deliveries.c.state == DeliveryState.RECEIVED)
        )
        found = [f"delivery {row.guid} waits: {row.error}" for row in waiting]
        moving = await connection.execute(
            select(jobs.c.id, jobs.c.status, jobs.c.error).where(jobs.c.status.not_in(_FINAL))
        )
        found += [f"job {row.id} is {row.status.value}: {row.error}" for row in moving]
        is_open = operations.c.state.in_(OPEN_STATES)
        begun = await connection.execute(
            select(operations.c.key, operations.c.state, operations.c.error).where(is_open)
        )
        found += [f"write {row.key} is {row.state.value}: {row.error}" for row in begun]
    return found


async def held(database: Database) -> int:
    """How many jobs somebody holds a lease on."""
    run = tables.job_runs
    async with database.read() as connection:
        statement = select(func.count()).select_from(run).where(run.c.lease_until.is_not(None))
        return await connection.scalar(statement) or 0


async def verdict(database: Database, forge: Forge, asked: Sequence[Asked]) -> Found:
    """Everything that is wrong with these requests, and with the database and the forge around them."""
    found = Found([], [], await unfinished(database))
    for one in asked:
        found.add(await _thread(database, forge, one))
    known = {(forge.world.repository(one.repository).id, one.number) for one in asked}
    async with database.read() as connection:
        origins = tables.job_origins
        rows = (await connection.execute(select(origins.c.repository_id, origins.c.number))).all()
        failed = tables.deliveries.c.state == DeliveryState.FAILED
        lost = await connection.execute(select(tables.deliveries).where(failed))
        found.lost.extend(f"delivery {row.guid} failed: {row.error}" for row in lost)
    found.duplicates.extend(
        f"a job nobody asked for, in {row.repository_id}#{row.number}"
        for row in rows
        if (row.repository_id, row.number) not in known
    )
    for repository in {one.repository for one in asked}:
        found.duplicates.extend(await _orphans(database, forge.world.repository(repository)))
    return found


async def verdict_of(database: Database, forge: Forge, one: Asked) -> Found:
    """The same for one request alone, when all of it must be over."""
    found = Found([], [], await unfinished(database))
    found.add(await _thread(database, forge, one))
    return found


async def _thread(database: Database, forge: Forge, one: Asked) -> Found:
    repository = forge.world.repository(one.repository)
    where = f"{one.repository}#{one.number}"
    jobs = await _jobs(database, repository.id, one.number)
    found = Found.nothing()
    if len(jobs) < one.expected.jobs:
        found.lost.append(f"{where}: {len(jobs)} jobs, {one.expected.jobs} expected")
    if len(jobs) > one.expected.jobs:
        found.duplicates.append(f"{where}: {len(jobs)} jobs, {one.expected.jobs} expected")
    for job in jobs:
        found.lost.extend(f"{where}: {line}" for line in _end_problems(job, one.expected))
    writes = await _writes(database, [job.id for job in jobs], repository.id, one.number)
    failed = [row for row in writes if row.state is OperationState.FAILED]
    found.lost.extend(
        f"{where}: {row.key} failed: {row.error}" for row in failed if row.kind not in one.expected.may_fail
    )
    found.add(await _effects(forge, repository, one, [row for row in writes if row not in failed], where))
    return found


def _end_problems(job: Any, expected: Expected) -> Iterable[str]:
    """How a job's rows differ from those of one that is over, with a cause in words."""
    if job.status not in _FINAL:
        return
    if job.cause is None:
        yield f"job {job.id} has no cause"
        return
    if job.cause not in expected.causes:
        yield f"job {job.id} ended as {job.cause.value} ({job.error})"
    status, issue_status = end_of(job.cause)
    if (job.status, job.issue_status) != (status, issue_status):
        yield f"job {job.id} is {job.status.value}, its issue {job.issue_status.value}, for {job.cause.value}"
    if job.phase is not Phase.SETTLED or job.lease_owner or job.lease_until or job.open_key:
        yield f"job {job.id} is over, {job.phase.value}, and held by {job.lease_owner}, {job.open_key}"
    if status is JobStatus.FAILED and not job.error:
        yield f"job {job.id} failed without words"


async def _jobs(database: Database, repository_id: int, number: int) -> Sequence[Any]:
    job, run, origin, issue = (
        tables.agent_jobs,
        tables.job_runs,
        tables.job_origins,
        tables.agent_issues,
    )
    columns = (run.c.cause, run.c.phase, run.c.lease_owner, run.c.lease_until, origin.c.open_key)
    statement = (
        select(job.c.id, job.c.status, job.c.error, issue.c.status.label("issue_status"), *columns)
        .join(run, run.c.job_id == job.c.id)
        .join(origin, origin.c.job_id == job.c.id)
        .join(issue, issue.c.id == job.c.issue_id)
        .where(origin.c.repository_id == repository_id, origin.c.number == number)
    )
    async with database.read() as connection:
        return (await connection.execute(statement)).all()


async def _writes(
    database: Database, job_ids: Sequence[str], repository_id: int, number: int
) -> Sequence[Any]:
    """The operations of these jobs, and those of the thread that belong to no job."""
    table = tables.operations
    async with database.read() as connection:
        rows = (await connection.execute(select(table).where(table.c.repository_id == repository_id))).all()
    return [
        row for row in rows if row.job_id in job_ids or (not row.job_id and row.payload["number"] == number)
    ]


async def _effects(
    forge: Forge, repository: Repository, one: Asked, done: Sequence[Any], where: str
) -> Found:
    """The forge's own state against the writes that are done."""
    found, bot = Found.nothing(), forge.world.app.bot
    thread = repository.threads[one.number]
    ours = [comment for comment in thread.comments if comment.author is bot]
    markers = [_MARKER.findall(comment.body) for comment in ours]
    kept = {row.remote_id for row in done if row.kind is OperationKind.COMMENT}
    heads = [row.payload["branch"] for row in done if row.kind is OperationKind.BRANCH]
    pulls = [each for each in _pulls(repository) if each.pull and each.pull.head in heads]
    places = [thread.reactions, *(comment.reactions for comment in thread.comments)]
    reactions = [each.content for place in places for each in place if each.user is bot]
    opened = {row.remote_id for row in done if row.kind is OperationKind.PULL_REQUEST}
    for comment, marks in zip(ours, markers, strict=True):
        if comment.id not in kept or len(marks) != 1:
            found.duplicates.append(f"{where}: comment {comment.id} is no write's ({marks})")
    twice = [mark for mark, times in Counter(map(tuple, markers)).items() if times > 1]
    found.duplicates.extend(f"{where}: marker {mark} stands twice" for mark in twice)
    found.lost.extend(
        f"{where}: comment {lost} is done and not there" for lost in kept - {each.id for each in ours}
    )
    if {pull.number for pull in pulls} != opened:
        found.duplicates.append(f"{where}: pull requests {[p.number for p in pulls]}, done {opened}")
    counts = {
        "comments": (len(ours), one.expected.comments),
        "branches": (len(heads), one.expected.branches),
        "pull requests": (len(pulls), one.expected.pulls),
    }
    for name, (count, allowed) in counts.items():
        kind = found.duplicates if count > max(allowed) else found.lost
        kind.extend([] if count in allowed else [f"{where}: {count} {name}, {sorted(allowed)} expected"])
    if sorted(reactions) != sorted(one.expected.reactions):
        found.lost.append(f"{where}: reactions {reactions}")
    return found


async def _orphans(database: Database, repository: Repository) -> list[str]:
    """Branches and pull requests of ours that no operation knows, and branches that are done and gone."""
    table = tables.operations
    of_here = table.c.repository_id == repository.id
    async with database.read() as connection:
        rows = (await connection.execute(select(table).where(of_here))).all()
    names = Counter(row.payload["branch"] for row in rows if row.kind is OperationKind.BRANCH)
    there = {name for name in await Bare(repository.path).branches() if name.startswith(OURS)}
    found = [f"{repository.full_name}: nobody knows the branch {name}" for name in there - set(names)]
    done = {
        row.payload["branch"]
        for row in rows
        if row.kind is OperationKind.BRANCH and row.state is OperationState.DONE
    }
    found += [f"{repository.full_name}: the branch {name} is done and not there" for name in done - there]
    heads = Counter(each.pull.head for each in _pulls(repository) if each.pull)
    found += [
        f"{repository.full_name}: {times} pull requests of {head}"
        for head, times in heads.items()
        if times > 1
    ]
    return found + [f"{repository.full_name}: a pull request of {head}" for head in set(heads) - set(names)]


def _pulls(repository: Repository) -> list[Thread]:
    return [thread for thread in repository.threads.values() if thread.pull is not None]


async def unpaid(database: Database, requests: int) -> list[str]:
    """Whether a model call went out that no row of the ledger counts."""
    async with database.read() as connection:
        rows = await connection.scalar(select(func.count()).select_from(tables.ledger)) or 0
    return [f"{requests} requests to the model, {rows} in the ledger"] if rows < requests else []
