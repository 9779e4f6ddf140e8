"""`issuewright jobs`: what is told of each job, and stepping in."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from bot.db import figures, jobs, operations, pauses, submit
from bot.db.database import Database
from bot.db.operations import Frozen
from bot.db.tables import agent_issues, agent_jobs, job_origins, job_runs
from bot.db.tenants import Tenant
from bot.domain.branches import branch_name
from bot.domain.enums import Cause, JobStatus, OperationKind, PauseKind
from bot.domain.values import Scope, Snapshot
from bot.runner.freezing import branch_of
from tests.cli.conftest import Operate
from tests.db import money
from tests.db.rows import SYSTEM, claim, make_job, make_tenant, origin, states, submission
from tests.db.runs import end_job

HOSTILE = "\x1b[2J\x1b]0;owned\x07\u202etxet[red]\nJOB  ✔ completed"


async def a_job(database: Database, tenant: Tenant, number: int = 1, **changes: object) -> str:
    """A job that was asked for a minute ago; *changes* are columns of its run."""
    made = await make_job(database, tenant, number, now=datetime.now(UTC) - timedelta(minutes=1))
    if changes:
        async with database.write() as connection:
            await connection.execute(
                update(job_runs).where(job_runs.c.job_id == made.job_id).values(**changes)
            )
    return made.job_id


async def test_jobs_are_listed_newest_first_with_what_they_wait_for(
    operate: Operate, database: Database
) -> None:
    tenant = await make_tenant(database)
    first = await a_job(database, tenant, 1, wake_at=datetime.now(UTC) + timedelta(hours=30))
    second = await a_job(database, tenant, 2)
    said = await operate("jobs", "list")
    heading, *rows = said.out.splitlines()
    assert (said.code, said.err) == (0, "")
    assert heading.split()[:3] == ["JOB", "STATE", "REQUEST"]
    assert [row.split()[0] for row in rows] == [second, first]
    assert "no worker is running" in rows[0] and "octo-1/r100#2 fix" in rows[0]
    assert " until 20" in rows[1]


async def test_a_list_is_one_document_of_camel_case_objects(operate: Operate, database: Database) -> None:
    job_id = await a_job(database, await make_tenant(database))
    (job,) = (await operate("jobs", "list", "--json")).document
    assert (job["id"], job["status"], job["repository"], job["number"]) == (
        job_id,
        "PENDING",
        "octo-1/r100",
        1,
    )
    assert job["costUsd"] == 0 and job["createdAt"].endswith("Z") and job["startedAt"] is None


async def test_no_job_is_no_error(operate: Operate) -> None:
    said = await operate("jobs", "list")
    assert (said.code, said.out, said.err) == (0, "", "No job was found.\n")
    assert (await operate("jobs", "list", "--json")).document == []


NARROWED: list[tuple[str, list[int]]] = [
    ("--state pending", [2, 3]),
    ("--state failed --state PENDING", [1, 2, 3]),
    ("--cause bug", [1]),
    ("--open", [2, 3]),
    ("--quarantined", [3]),
    ("--repository OCTO-1/R100", [1, 2, 3]),
    ("--repository octo-1/other", []),
    ("--organization octo-1", [1, 2, 3]),
    ("--organization octo-2", []),
    ("--since 30s", []),
    ("--since 2h", [1, 2, 3]),
    ("--since 2020-01-01", [1, 2, 3]),
    ("--limit 1", [3]),
]


async def test_a_list_can_be_narrowed(operate: Operate, database: Database) -> None:
    tenant = await make_tenant(database)
    await end_job(database, await a_job(database, tenant, 1), Cause.BUG)
    await a_job(database, tenant, 2)
    await a_job(database, tenant, 3, quarantined_at=datetime.now(UTC))
    for words, found in NARROWED:
        listed = (await operate("jobs", "list", "--json", *words.split())).document
        assert (words, sorted(job["number"] for job in listed)) == (words, found)


async def test_a_list_goes_on_behind_another(operate: Operate, database: Database) -> None:
    tenant = await make_tenant(database)
    ids = [await a_job(database, tenant, number) for number in range(1, 4)]
    first = await operate("jobs", "list", "--limit", "2")
    assert f"--after {ids[1]}" in first.err
    rest = await operate("jobs", "list", "--limit", "2", "--after", ids[1])
    assert [line.split()[0] for line in rest.out.splitlines()[1:]] == [ids[0]]
    assert rest.err == ""


@pytest.mark.parametrize(
    ("kind", "target"),
    [(PauseKind.EVERYTHING, ""), (PauseKind.REPOSITORY, "100"), (PauseKind.ORGANIZATION, None)],
)
async def test_a_pause_is_told(
    operate: Operate, database: Database, kind: PauseKind, target: str | None
) -> None:
    tenant = await make_tenant(database)
    job_id = await a_job(database, tenant)
    async with database.write() as connection:
        place = tenant.organization_id if target is None else target
        await pauses.pause(SYSTEM, connection, kind, place, reason="release day", now=datetime.now(UTC))
    (job,) = (await operate("jobs", "list", "--json")).document
    assert job["waiting"] == f"paused: {kind} (release day)"
    assert "issuewright unpause" in (await operate("jobs", "show", job_id)).out


@pytest.mark.parametrize("kind", PauseKind)
async def test_the_filter_paused_means_what_the_metric_counts(
    operate: Operate, database: Database, kind: PauseKind
) -> None:
    one, other = await make_tenant(database, 1, 100), await make_tenant(database, 2, 200)
    held = await a_job(database, one, 1)
    runs = await claim(database, await a_job(database, one, 2), now=datetime.now(UTC))
    foreign, elsewhere = await a_job(database, one, 3), await a_job(database, other, 4)
    target = {PauseKind.REPOSITORY: "100", PauseKind.ORGANIZATION: one.organization_id}.get(kind, "")
    now = datetime.now(UTC)
    async with database.write() as connection:
        for table in (job_runs, job_origins):
            await connection.execute(table.delete().where(table.c.job_id == foreign))
        await pauses.pause(SYSTEM, connection, kind, target, reason="", now=now)
        counted = (await figures.collect(SYSTEM, connection, now=now, silent_before=now)).job_states
    paused, pending, running = [
        {job["id"] for job in (await operate("jobs", "list", "--json", "--state", word)).document}
        for word in ("paused", "pending", "running")
    ]
    assert (held in paused, paused & pending, running) == (True, set(), {runs.id})
    assert paused | pending == {held, foreign, elsewhere}
    assert len(paused) == counted["paused"] and len(pending) == counted.get("pending", 0)
    rows = (await operate("jobs", "list", "--state", "paused")).out.splitlines()[1:]
    assert all("‖ paused" in row for row in rows)


async def test_the_story_of_a_job_is_told_whole(operate: Operate, database: Database) -> None:
    tenant = await make_tenant(database)
    job = await claim(database, await a_job(database, tenant), now=datetime.now(UTC))
    now = datetime.now(UTC)
    await money.reserve(database, job, 250_000, now=now)
    await money.settle(database, job, await money.reserve(database, job, 500_000, now=now), 100_000)
    async with database.write() as connection:
        await operations.freeze(
            tenant.scope,
            connection,
            [Frozen("k", OperationKind.COMMENT, {"number": 1, "body": "the words"}, sequence=1)],
            job_id=job.id,
            fence=job.fence,
            installation_id=10,
            repository_id=100,
            now=now,
        )
    await end_job(database, job.id, Cause.MODEL_ERROR, job=job)

    said = await operate("jobs", "show", job.id)
    for piece in ("failed", "model_error", "octocat (7)", "label:agent", "job.submitted", "job.ended"):
        assert piece in said.out
    assert "/api/agents/health" in said.out and f"issuewright jobs retry {job.id}" in said.out

    told = (await operate("jobs", "show", "--json", job.id)).document
    assert told["spend"] == [{"model": "m1", "calls": 2, "settledUsd": 0.1, "reservedUsd": 0.25}]
    assert told["costUsd"] == 0.35
    assert [event["kind"] for event in told["events"]] == ["job.submitted", "job.started", "job.ended"]
    (write,) = told["operations"]
    assert (write["kind"], write["state"], "payload" in write) == ("comment", "intent", False)


@pytest.mark.parametrize("cut", [slice(None), slice(20), slice(-6, None)])
async def test_a_job_is_found_by_part_of_its_id(operate: Operate, database: Database, cut: slice) -> None:
    job_id = await a_job(database, await make_tenant(database))
    for part in (job_id[cut].lower(), f"…{job_id[cut]}"):
        assert (await operate("jobs", "show", "--json", part)).document["id"] == job_id


async def test_a_job_is_found_by_the_name_in_its_commit_and_shown_with_its_branch(
    operate: Operate, database: Database
) -> None:
    tenant = await make_tenant(database)
    await a_job(database, tenant, 2)
    job = await claim(database, await a_job(database, tenant, 7), now=datetime.now(UTC))
    assert job.request_name is not None
    for part in (job.request_name, job.request_name[:8], job.request_name[-8:]):
        told = (await operate("jobs", "show", "--json", part)).document
        assert (told["id"], told["name"], told["branch"]) == (job.id, job.request_name, branch_of(job))
    said = (await operate("jobs", "show", job.request_name)).out
    rows = dict(line.split(maxsplit=1) for line in said.splitlines() if len(line.split()) == 2)
    assert (rows["id"], rows["name"], rows["branch"]) == (job.id, job.request_name, branch_of(job))


async def test_a_job_of_an_earlier_version_is_named_by_its_id(operate: Operate, database: Database) -> None:
    job_id = await a_job(database, await make_tenant(database))
    async with database.write() as connection:
        await connection.execute(update(agent_jobs).values(config={}))
    told = (await operate("jobs", "show", "--json", job_id)).document
    assert (told["name"], told["branch"]) == (job_id, branch_name(1, job_id))


async def test_an_ambiguous_id_is_refused_with_its_meanings(operate: Operate, database: Database) -> None:
    tenant = await make_tenant(database)
    ids = [await a_job(database, tenant, number) for number in (1, 2)]
    said = await operate("jobs", "show", ids[0][:6])
    assert said.code == 1 and all(job_id in said.err for job_id in ids) and said.out == ""


@pytest.mark.parametrize("part", ["nothing-like-it", "ab", "%%%%", "____", "\x1b[2J\x1b[2J"])
async def test_an_unknown_id_is_refused_in_words(operate: Operate, database: Database, part: str) -> None:
    await a_job(database, await make_tenant(database))
    said = await operate("jobs", "show", part)
    assert (said.code, said.out) == (1, "") and "id" in said.err and "\x1b" not in said.err
    failed = await operate("jobs", "show", "--json", part)
    assert failed.code == 1 and failed.err.startswith('{"error": ')


async def test_an_ended_job_is_tried_again_once(operate: Operate, database: Database) -> None:
    job_id = await a_job(database, await make_tenant(database))
    await end_job(database, job_id, Cause.BUG)
    (first,) = (await operate("jobs", "retry", "--json", job_id)).document
    (second,) = (await operate("jobs", "retry", "--json", job_id)).document
    assert first["isNew"] and not second["isNew"] and first["jobId"] == second["jobId"] != job_id
    async with database.read() as connection:
        authority = select(job_runs.c.authority).where(job_runs.c.job_id == first["jobId"])
        assert await connection.scalar(authority) == "operator:cli"
    assert (await states(database, first["jobId"]))[0] is JobStatus.PENDING


async def test_a_job_that_has_not_ended_is_not_tried_again(operate: Operate, database: Database) -> None:
    tenant = await make_tenant(database)
    ended, waits = await a_job(database, tenant, 1), await a_job(database, tenant, 2)
    await end_job(database, ended, Cause.BUG)
    said = await operate("jobs", "retry", ended, waits)
    assert said.code == 1 and "has not ended" in said.err
    assert len((await operate("jobs", "list", "--json")).document) == 2


async def test_only_a_quarantined_job_is_requeued(operate: Operate, database: Database) -> None:
    tenant = await make_tenant(database)
    sound, put_aside = await a_job(database, tenant, 1), await a_job(database, tenant, 2)
    for job_id in (sound, put_aside):
        await end_job(database, job_id, Cause.BUG)
    async with database.write() as connection:
        aside = update(job_runs).where(job_runs.c.job_id == put_aside)
        await connection.execute(aside.values(quarantined_at=datetime.now(UTC)))
    assert "was not quarantined" in (await operate("jobs", "requeue", sound)).err
    (first,) = (await operate("jobs", "requeue", "--json", put_aside)).document
    (second,) = (await operate("jobs", "requeue", "--json", put_aside)).document
    assert (first["isNew"], second["isNew"]) == (True, False)


async def test_a_waiting_job_is_cancelled_and_a_running_one_is_told(
    operate: Operate, database: Database
) -> None:
    tenant = await make_tenant(database)
    waits, runs = await a_job(database, tenant, 1), await a_job(database, tenant, 2)
    await claim(database, runs, now=datetime.now(UTC))
    said = await operate("jobs", "cancel", waits, runs, "--reason", "not\x1b[31m today")
    assert said.code == 0 and said.out.count("ends within seconds") == 2
    assert (await states(database, waits))[0] is JobStatus.CANCELLED
    async with database.read() as connection:
        reason = select(job_runs.c.cancel_reason).where(job_runs.c.job_id == runs)
        assert await connection.scalar(reason) == "not today"
    said = await operate("jobs", "cancel", waits)
    assert said.code == 0 and "has ended already" in said.out


async def test_what_has_ended_otherwise_cannot_be_cancelled_and_the_others_are(
    operate: Operate, database: Database
) -> None:
    tenant = await make_tenant(database)
    waits, ended, foreign = [await a_job(database, tenant, number) for number in (1, 2, 3)]
    await end_job(database, ended, Cause.ANSWERED)
    async with database.write() as connection:
        for table in (job_runs, job_origins):
            await connection.execute(table.delete().where(table.c.job_id == foreign))
    said = await operate("jobs", "cancel", waits, ended, foreign)
    assert said.code == 1 and said.err == ""
    assert [line.split("  ")[1] for line in said.out.splitlines()] == [
        "ends within seconds",
        "has ended already: it is completed",
        "was made by another program, which has to end it",
    ]
    told = await operate("jobs", "cancel", "--json", waits, ended)
    assert told.code == 1 and [each["isCancelled"] for each in told.document] == [True, False]
    assert json.loads(told.err) == {"error": f"{ended} has ended already: it is completed"}


async def test_a_hostile_title_stays_in_its_row(operate: Operate, database: Database) -> None:
    tenant = await make_tenant(database)
    source = replace(origin(1), snapshot=Snapshot(HOSTILE, "", "", (), "octocat"))
    async with database.write() as connection:
        await submit.submit(tenant.scope, connection, submission(source), now=datetime.now(UTC))
    said = await operate("jobs", "list")
    assert len(said.out.splitlines()) == 2
    assert said.out.splitlines()[1].endswith("txet[red] JOB ✔ completed")
    assert not {"\x1b", "\x07", "\u202e"} & set(said.out)
    assert (await operate("jobs", "list", "--json")).out.isascii()


async def test_a_row_that_another_program_inserted_is_listed(operate: Operate, database: Database) -> None:
    tenant = await make_tenant(database)
    job_id = await a_job(database, tenant)
    async with database.write() as connection:
        for table in (job_runs, job_origins):
            await connection.execute(table.delete().where(table.c.job_id == job_id))
        await connection.execute(update(agent_issues).values(title=""))
        await connection.execute(update(agent_jobs).values(agent_type="theirs"))
    assert job_id in (await operate("jobs", "list")).out
    assert "theirs" in (await operate("jobs", "show", job_id)).out


async def test_a_frozen_job_tells_its_phase(operate: Operate, database: Database) -> None:
    job = await claim(database, await a_job(database, await make_tenant(database)), now=datetime.now(UTC))
    async with database.write() as connection:
        scope = Scope(job.organization_id)
        await jobs.freeze(
            scope, connection, job, Cause.ANSWERED, error=None, result={}, now=datetime.now(UTC)
        )
    assert "frozen" in (await operate("jobs", "list")).out
