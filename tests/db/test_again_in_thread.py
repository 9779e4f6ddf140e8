"""A person asks again in the thread, anew or where the talk stood; and which job a thread is about."""

import pytest
from sqlalchemy import select

from bot.db import again
from bot.db.again import Asked, ThreadJob
from bot.db.database import Database
from bot.db.submit import Submitted
from bot.db.tables import job_origins
from bot.domain.enums import Cause
from bot.domain.values import Actor, Scope
from tests.db.rows import SYSTEM, make_job, make_tenant
from tests.db.runs import end_job
from tests.db.test_again import LATER

BOB = Actor(77, "bob")


async def _ask(database: Database, job_id: str, *, is_continued: bool, words: str = "") -> Submitted:
    async with database.write() as connection:
        return await again.again(
            SYSTEM,
            connection,
            job_id,
            authority="github:77",
            trigger_key="100:1:retry:comment:9",
            now=LATER,
            asked=Asked(BOB, 9, words, is_continued),
        )


async def _origin(database: Database, job_id: str) -> dict[str, object]:
    async with database.read() as connection:
        rows = await connection.execute(select(job_origins).where(job_origins.c.job_id == job_id))
        row = rows.one()
    return {key: getattr(row, key) for key in job_origins.c.keys()}  # noqa: SIM118 (no mapping)


async def _newest(database: Database, scope: Scope = SYSTEM, number: int = 1) -> ThreadJob | None:
    async with database.read() as connection:
        return await again.newest_of_thread(scope, connection, repository_id=100, number=number)


async def test_who_asks_in_the_thread_is_whose_job_it_is(database: Database) -> None:
    first = await make_job(database, await make_tenant(database))
    await end_job(database, first.job_id, Cause.BUG)
    made = await _ask(database, first.job_id, is_continued=False)
    origin = await _origin(database, made.job_id)
    assert (origin["actor_id"], origin["actor_login"], origin["comment_id"]) == (77, "bob", 9)
    assert origin["trigger"] == "comment:9"


async def test_a_retry_begins_anew_with_the_first_words_unless_new_ones_are_given(database: Database) -> None:
    first = await make_job(database, await make_tenant(database))
    words = (await _origin(database, first.job_id))["snapshot"]["words"]  # type: ignore[index]
    await end_job(database, first.job_id, Cause.BUG)
    made = await _ask(database, first.job_id, is_continued=False)
    origin = await _origin(database, made.job_id)
    assert origin["continues_id"] is None
    assert origin["snapshot"]["words"] == words  # type: ignore[index]


@pytest.mark.parametrize("words", ["", "use the other parser"])
async def test_a_continued_job_names_the_one_before_and_has_only_the_new_words(
    database: Database, words: str
) -> None:
    first = await make_job(database, await make_tenant(database))
    await end_job(database, first.job_id, Cause.QUESTION_ASKED)
    made = await _ask(database, first.job_id, is_continued=True, words=words)
    origin = await _origin(database, made.job_id)
    assert origin["continues_id"] == first.job_id
    assert origin["snapshot"]["words"] == words  # type: ignore[index]


async def test_a_thread_without_a_job_is_about_none(database: Database) -> None:
    await make_job(database, await make_tenant(database))
    assert await _newest(database, number=2) is None
    assert await _newest(database, Scope("another")) is None


async def test_a_thread_is_about_its_open_job_else_about_the_newest(database: Database) -> None:
    first = await make_job(database, await make_tenant(database))
    assert await _newest(database) == ThreadJob(first.job_id, is_open=True, has_asked=False)
    await end_job(database, first.job_id, Cause.QUESTION_ASKED)
    assert await _newest(database) == ThreadJob(first.job_id, is_open=False, has_asked=True)
    second = await _ask(database, first.job_id, is_continued=True)
    assert await _newest(database) == ThreadJob(second.job_id, is_open=True, has_asked=False)
    await end_job(database, second.job_id, Cause.ANSWERED)
    assert await _newest(database) == ThreadJob(second.job_id, is_open=False, has_asked=False)
