"""`issuewright pause` and `unpause`: what an operator holds back, and what is told of it."""

from bot.db import schedule
from bot.db.database import Database
from bot.db.tables import repositories
from tests.cli.conftest import Operate
from tests.db.rows import NOW, STALE, SYSTEM, make_job, make_tenant


async def _admit(database: Database) -> list[str]:
    async with database.write() as connection:
        return await schedule.admit(SYSTEM, connection, now=NOW, readmit_after=STALE, places=9)


async def test_without_an_option_everything_is_paused_and_started_again(
    operate: Operate, database: Database
) -> None:
    made = await make_job(database, await make_tenant(database))
    said = await operate("pause", "--reason", "upgrade of the database")
    assert (said.code, said.err) == (0, "")
    assert "everything" in said.out and "upgrade of the database" in said.out
    assert await _admit(database) == []
    said = await operate("unpause")
    assert (said.code, said.out, said.err) == (0, "", "Nothing is paused.\n")
    assert await _admit(database) == [made.job_id]


async def test_one_organization_is_paused_by_its_name_or_id_and_others_go_on(
    operate: Operate, database: Database
) -> None:
    one, other = await make_tenant(database, 1, 100), await make_tenant(database, 2, 200)
    await make_job(database, one)
    goes_on = await make_job(database, other)
    (line,) = (await operate("pause", "--organization", "OCTO-1", "--json")).document
    assert (line["kind"], line["name"], line["waiting"]) == ("organization", "octo-1", 1)
    assert (line["target"], line["createdAt"][-1]) == (one.organization_id, "Z")
    assert await _admit(database) == [goes_on.job_id]
    assert (await operate("unpause", "--organization", one.organization_id, "--json")).document == []


async def test_one_repository_is_paused(operate: Operate, database: Database) -> None:
    await make_job(database, await make_tenant(database))
    (line,) = (await operate("pause", "--repository", "octo-1/r100", "--json")).document
    assert (line["kind"], line["target"], line["waiting"]) == ("repository", "100", 1)
    assert await _admit(database) == []


async def test_a_second_time_only_the_reason_changes(operate: Operate, database: Database) -> None:
    (first,) = (await operate("pause", "--json", "--reason", "one")).document
    (second,) = (await operate("pause", "--json", "--reason", "two")).document
    assert second == first | {"reason": "two"}


async def test_what_is_paused_can_be_asked_without_pausing_anything(
    operate: Operate, database: Database
) -> None:
    assert (await operate("pause", "--list", "--json")).document == []


async def test_what_was_not_paused_is_said_to_be_so(operate: Operate, database: Database) -> None:
    said = await operate("unpause")
    assert (said.code, said.err) == (0, "That was not paused.\nNothing is paused.\n")


async def test_a_name_that_nobody_has_is_answered_with_those_that_there_are(
    operate: Operate, database: Database
) -> None:
    said = await operate("pause", "--organization", "octo")
    assert (said.code, "there is none yet" in said.err) == (1, True)
    await make_tenant(database)
    said = await operate("pause", "--repository", "octo-1/r10\x1b[2J")
    assert said.code == 1
    assert "'octo-1/r100'" in said.err and "\x1b" not in said.err
    assert (await operate("pause", "--list", "--json")).document == []


async def test_a_pause_outlives_what_it_names(operate: Operate, database: Database) -> None:
    await make_tenant(database)
    await operate("pause", "--repository", "octo-1/r100")
    async with database.write() as connection:
        await connection.execute(repositories.delete())
    said = await operate("unpause", "--repository", "100")
    assert (said.code, said.err) == (0, "Nothing is paused.\n")
