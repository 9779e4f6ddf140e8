"""What a run leaves behind."""

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, NoResultFound

from bot.db import past, transcript
from bot.db.database import Database
from bot.db.tables import agent_logs, job_steps, verifications
from bot.db.transcript import Artifact, Step
from bot.domain.enums import ArtifactType, LogLevel, StepKind, Tier, When
from bot.domain.values import CommandRecord
from tests.db.rows import NOW, count, make_tenant, start_job
from tests.db.runs import add_step

TURN = Step(1, StepKind.TURN, {"content": []}, model="sonnet", cost_micro_usd=12)


async def test_a_step_keeps_turn_fence_and_cost(database: Database) -> None:
    tenant = await make_tenant(database)
    job = await start_job(database, tenant)
    async with database.write() as connection:
        await add_step(tenant.scope, connection, job, TURN, now=NOW)
        row = (await connection.execute(select(job_steps))).one()
    assert (row.number, row.kind, row.fence, row.cost_micro_usd) == (1, StepKind.TURN, 1, 12)
    assert (past.unpacked(row.content), row.checkpoint) == ({"content": []}, None)


async def test_the_same_step_is_never_recorded_twice(database: Database) -> None:
    tenant = await make_tenant(database)
    job = await start_job(database, tenant)
    for _ in range(2):
        last = None
        try:
            async with database.write() as connection:
                await add_step(tenant.scope, connection, job, TURN, now=NOW)
        except IntegrityError as error:
            last = error
    assert last is not None
    assert await count(database, job_steps) == 1


async def test_verifications_keep_their_order_and_what_really_happened(database: Database) -> None:
    tenant = await make_tenant(database)
    job = await start_job(database, tenant)
    records = [
        CommandRecord("make test", 1, 250, "F", Tier.SANDBOX),
        CommandRecord("make lint", None, 0, "", Tier.NONE, "no sandbox"),
    ]
    async with database.write() as connection:
        await transcript.add_verifications(
            tenant.scope, connection, job, When.BEFORE, "c0ffee", records, now=NOW
        )
        rows = (await connection.execute(select(verifications).order_by(verifications.c.position))).all()
    assert [(row.command, row.exit_code, row.tier, row.reason) for row in rows] == [
        ("make test", 1, Tier.SANDBOX, ""),
        ("make lint", None, Tier.NONE, "no sandbox"),
    ]
    assert {(row.when, row.sha) for row in rows} == {(When.BEFORE, "c0ffee")}


async def test_artifacts_come_back_in_the_order_in_which_they_were_made(database: Database) -> None:
    tenant = await make_tenant(database)
    job = await start_job(database, tenant)
    made = [Artifact(ArtifactType.ANALYSIS, f"{number}.md", "words", meta={}) for number in range(20)]
    made[3] = Artifact(ArtifactType.CODE_CHANGE, "a.py", "code", "a.py", "--- a", {"isNew": True})
    async with database.write() as connection:
        await transcript.add_artifacts(tenant.scope, connection, job, made, now=NOW)
        assert await transcript.artifacts_of(tenant.scope, connection, job.id) == made


async def test_the_artifacts_of_another_organization_are_not_seen(database: Database) -> None:
    tenant, other = await make_tenant(database), await make_tenant(database, 2, 200)
    job = await start_job(database, tenant)
    async with database.write() as connection:
        kept = [Artifact(ArtifactType.ANALYSIS, "a", "b")]
        await transcript.add_artifacts(tenant.scope, connection, job, kept, now=NOW)
        assert await transcript.artifacts_of(other.scope, connection, job.id) == []


async def test_a_log_line_keeps_level_and_data(database: Database) -> None:
    tenant = await make_tenant(database)
    job = await start_job(database, tenant)
    async with database.write() as connection:
        await transcript.add_log(
            tenant.scope, connection, job.id, LogLevel.WARN, "refused", now=NOW, data={"path": ".git"}
        )
        row = (await connection.execute(select(agent_logs))).one()
    assert (row.level, row.message, row.data, row.timestamp) == (
        LogLevel.WARN,
        "refused",
        {"path": ".git"},
        NOW,
    )


async def test_nobody_logs_into_the_job_of_another_organization(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    other = await make_tenant(database, 2, 200)
    with pytest.raises(NoResultFound):
        async with database.write() as connection:
            await transcript.add_log(other.scope, connection, job.id, LogLevel.INFO, "x", now=NOW)
