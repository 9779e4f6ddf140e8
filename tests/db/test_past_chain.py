"""A conversation of several jobs, parts of which are gone: it is whole, or another one is begun."""

from dataclasses import replace

import pytest
from sqlalchemy import delete, insert

from bot.db import past, transcript
from bot.db.database import Database
from bot.db.tables import job_steps, ledger
from bot.db.transcript import Step
from bot.domain.past import ChangedFile, Past, Restore
from bot.domain.values import ClaimedJob, FileChange
from tests.db.rows import NOW, make_tenant, start_job
from tests.db.test_past import BASE, PROMPT, TOOLS, TURN, begin, continued, found, record, tree

B_ONLY = Past(restore=Restore("c0ffee", (ChangedFile("b.py", "x"),)))


@pytest.fixture
async def chain(database: Database) -> list[ClaimedJob]:
    """Three jobs, each the next one's past; the first two have begun."""
    tenant = await make_tenant(database)
    first, second, third = [await start_job(database, tenant, number) for number in (1, 2, 3)]
    second = await continued(database, second, first)
    third = await continued(database, third, second)
    await record(database, first, (1, 0, PROMPT, "one", tree("a.py")), (1, 1, TURN, "t", None))
    await begin(database, second, "two", tree("b.py"))
    return [first, second, third]


async def purge(database: Database, job: ClaimedJob, *numbers: int) -> None:
    """Drop steps of a job; all where none is named."""
    gone = delete(job_steps).where(job_steps.c.job_id == job.id)
    async with database.write() as connection:
        await connection.execute(gone.where(job_steps.c.number.in_(numbers)) if numbers else gone)


async def pay(database: Database, job: ClaimedJob) -> None:
    """A turn of a job was paid."""
    row = {"id": f"paid-{job.id}", "job_id": job.id, "organization_id": job.organization_id, "model": "m"}
    async with database.write() as connection:
        await connection.execute(
            insert(ledger).values(**row, reserved_micro_usd=1, is_settled=False, created_at=NOW)
        )


@pytest.mark.parametrize("numbers", [(), (1,)])
async def test_without_the_head_of_its_chain_a_job_begins_anew_on_the_newest_tree(
    database: Database, chain: list[ClaimedJob], numbers: tuple[int, ...]
) -> None:
    await purge(database, chain[0], *numbers)
    anew = await found(database, chain[2])
    assert (anew, anew.lost) == (B_ONLY, past.NOT_WHOLE)


async def test_a_job_whose_chain_loses_its_head_between_two_attempts_begins_anew(
    database: Database, chain: list[ClaimedJob]
) -> None:
    await begin(database, chain[2], "three", tree("b.py"))
    whole = await found(database, chain[2])
    assert [segment.prompt["text"] for segment in whole.earlier] == ["one", "two"]
    await purge(database, chain[0])
    anew = await found(database, chain[2])
    assert (anew, anew.lost) == (Past(), past.NOT_WHOLE)


async def test_the_tree_of_an_older_job_never_stands_for_that_of_a_newer_one(
    database: Database, chain: list[ClaimedJob]
) -> None:
    await record(database, chain[1], (1, 1, TURN, "t", None), (1, 1, TOOLS, "a", tree("c.py")))
    await purge(database, chain[1], 0)
    assert await found(database, chain[2]) == Past()
    await pay(database, chain[1])
    await purge(database, chain[1])
    assert await found(database, chain[2]) == Past()


async def test_a_job_with_a_gap_is_not_gone_on_from(database: Database, chain: list[ClaimedJob]) -> None:
    await record(database, chain[1], (1, 2, TURN, "behind a gap", None))
    anew = await found(database, chain[2])
    assert (anew, anew.lost) == (Past(), past.NOT_WHOLE)


async def test_a_job_that_never_began_is_passed_over(database: Database, chain: list[ClaimedJob]) -> None:
    await purge(database, chain[1])
    whole = await found(database, chain[2])
    assert [segment.prompt["text"] for segment in whole.earlier] == ["one"]
    assert whole.restore == Restore("c0ffee", (ChangedFile("a.py", "x"),))


async def test_a_job_behind_a_change_that_was_too_large_stays_with_its_own_beginning(
    database: Database, chain: list[ClaimedJob]
) -> None:
    large = FileChange("a.py", "x" * (past.MAX_CHECKPOINT_CHARS + 1), True, False, "", 1, 0)
    turn = (1, 1, TURN, "t", None)
    await record(database, chain[1], turn, (1, 1, TOOLS, "a", past.checkpoint("c0ffee", [large])))
    assert await found(database, chain[2]) == Past()
    await begin(database, chain[2], "three", BASE)
    mine = await found(database, chain[2])
    assert (mine.earlier, mine.restore) == ((), Restore("c0ffee"))
    assert mine.own is not None and mine.own.prompt["text"] == "three"


async def test_a_chain_that_has_grown_too_long_begins_anew_and_grows_again(
    database: Database, chain: list[ClaimedJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past, "MAX_CHAIN", 1)
    anew = await found(database, chain[2])
    assert (anew, anew.lost) == (B_ONLY, past.TOO_LONG)
    await begin(database, chain[2], "three", tree("b.py"))
    next_one = await continued(database, chain[0], chain[2])
    await purge(database, next_one)
    assert [segment.prompt["text"] for segment in (await found(database, next_one)).earlier] == ["three"]


async def test_rows_that_do_not_name_what_they_stand_behind_are_no_past(
    database: Database, chain: list[ClaimedJob]
) -> None:
    unnamed = replace(chain[1], fence=2)
    async with database.write() as connection:
        step = Step(0, PROMPT, {"text": "two"}, tree("b.py"))
        await transcript.insert_steps(connection, unnamed, [step], now=NOW)
    assert await found(database, chain[2]) == B_ONLY
