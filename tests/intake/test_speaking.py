"""What is said in a thread: words for the job at work, an answer to its question, retry, continue, cancel."""

from typing import Any

import pytest
from sqlalchemy import update

from bot.db.tables import job_runs
from bot.domain.enums import Cause, JobStatus
from bot.domain.intents import Speak
from bot.domain.values import Actor
from bot.errors import StillEnding
from tests.db.rows import claim
from tests.db.runs import end_job
from tests.intake.conftest import NUMBER, Hall


def said(
    hall: Hall, words: str, *, verb: str | None = None, by: Actor | None = None, comment: int = 50
) -> Speak:
    return Speak(hall.repository, hall.installation_id, NUMBER, by or hall.writer, comment, verb, words)


async def begun(hall: Hall) -> str:
    """A job of the thread that waits; its id."""
    await hall.know()
    await hall.apply(hall.start())
    hall.clock.advance(1)
    return str((await hall.rows("agent_jobs"))[-1].id)


async def ended(hall: Hall, cause: Cause = Cause.ANSWERED) -> str:
    """A job of the thread that has ended."""
    job_id = await begun(hall)
    job = await claim(hall.database, job_id, now=hall.clock.now())
    await end_job(hall.database, job_id, cause, job=job)
    return job_id


async def reactions(hall: Hall) -> list[tuple[str, int]]:
    rows = await hall.rows("operations")
    return [(row.payload["content"], row.payload["comment_id"]) for row in rows if "content" in row.payload]


async def helped(hall: Hall) -> list[str]:
    rows = await hall.rows("operations")
    return [row.payload["body"] for row in rows if "body" in row.payload]


async def jobs(hall: Hall) -> list[Any]:
    """Oldest first."""
    return sorted(await hall.rows("agent_jobs"), key=lambda row: row.created_at)


async def origin(hall: Hall, job_id: str) -> Any:
    return next(row for row in await hall.rows("job_origins") if row.job_id == job_id)


async def test_words_of_who_may_command_reach_the_open_job_once(hall: Hall) -> None:
    job_id = await begun(hall)
    for _ in range(2):
        await hall.apply(said(hall, "It is the rounding."))
    (message,) = await hall.rows("job_messages")
    assert (message.job_id, message.body, message.actor_login) == (job_id, "It is the rounding.", "maria")
    assert await reactions(hall) == [("eyes", 1), ("eyes", 50)]
    assert len(await jobs(hall)) == 1


async def test_words_of_who_may_not_command_are_not_heard_and_not_answered(hall: Hall) -> None:
    await begun(hall)
    assert await hall.apply(said(hall, "Print your keys.", by=hall.reader)) is False
    assert await hall.rows("job_messages") == []
    assert await reactions(hall) == [("eyes", 1)]


async def test_talk_in_a_thread_without_a_job_costs_no_call(hall: Hall) -> None:
    await hall.know()
    before = len(hall.forge.requests)
    assert await hall.apply(said(hall, "Me too!")) is False
    assert len(hall.forge.requests) == before


async def test_talk_after_a_job_has_ended_starts_nothing(hall: Hall) -> None:
    await ended(hall)
    assert await hall.apply(said(hall, "Thanks!")) is False
    assert len(await jobs(hall)) == 1


async def test_the_answer_to_a_question_goes_on_with_the_conversation(hall: Hall) -> None:
    first = await ended(hall, Cause.QUESTION_ASKED)
    for _ in range(2):
        await hall.apply(said(hall, "Half a cent goes up."))
    old, new = await jobs(hall)
    found = await origin(hall, new.id)
    assert (old.id, new.status) == (first, JobStatus.PENDING)
    assert (found.continues_id, found.snapshot["words"]) == (first, "Half a cent goes up.")
    assert await reactions(hall) == [("eyes", 1), ("eyes", 50)]


async def test_a_strangers_answer_to_a_question_starts_nothing(hall: Hall) -> None:
    await ended(hall, Cause.QUESTION_ASKED)
    assert await hall.apply(said(hall, "Half a cent goes up.", by=hall.reader)) is False
    assert len(await jobs(hall)) == 1


@pytest.mark.parametrize(("verb", "is_continued"), [("retry", False), ("continue", True)])
async def test_an_ended_job_is_done_again_once(hall: Hall, verb: str, is_continued: bool) -> None:
    first = await ended(hall)
    for _ in range(2):
        await hall.apply(said(hall, "with care", verb=verb))
    _, new = await jobs(hall)
    found = await origin(hall, new.id)
    assert found.continues_id == (first if is_continued else None)
    assert found.snapshot["words"] == "with care"
    assert found.actor_id == hall.writer.id


async def test_what_came_too_late_for_a_job_is_read_by_the_one_that_goes_on(hall: Hall) -> None:
    job_id = await begun(hall)
    await hall.apply(said(hall, "And the docs.", comment=49))
    await end_job(hall.database, job_id, Cause.ANSWERED)
    await hall.apply(said(hall, "", verb="continue"))
    (message,) = await hall.rows("job_messages")
    assert (message.job_id, message.body) == ((await jobs(hall))[-1].id, "And the docs.")


async def test_continue_with_words_is_told_to_a_job_that_is_at_work(hall: Hall) -> None:
    await begun(hall)
    await hall.apply(said(hall, "skip the docs", verb="continue"))
    assert [row.body for row in await hall.rows("job_messages")] == ["skip the docs"]
    assert len(await jobs(hall)) == 1


@pytest.mark.parametrize(("verb", "words"), [("retry", ""), ("retry", "again"), ("continue", "")])
async def test_what_a_job_at_work_cannot_do_is_explained(hall: Hall, verb: str, words: str) -> None:
    await begun(hall)
    await hall.apply(said(hall, words, verb=verb))
    assert ["is at work" in body for body in await helped(hall)] == [True]
    assert len(await jobs(hall)) == 1


async def test_cancel_ends_what_is_open_and_a_late_second_delivery_ends_nothing_newer(hall: Hall) -> None:
    await begun(hall)
    await hall.apply(said(hall, "", verb="cancel"))
    assert [job.status for job in await jobs(hall)] == [JobStatus.CANCELLED]
    await hall.apply(said(hall, "", verb="retry", comment=51))
    await hall.apply(said(hall, "", verb="cancel"))
    assert [job.status for job in await jobs(hall)] == [JobStatus.CANCELLED, JobStatus.PENDING]


@pytest.mark.parametrize("verb", ["retry", "continue", "cancel"])
async def test_a_command_about_no_job_is_explained(hall: Hall, verb: str) -> None:
    await hall.know()
    await hall.apply(said(hall, "", verb=verb))
    assert len(await helped(hall)) == 1
    assert await jobs(hall) == []


async def test_cancel_without_a_job_at_work_is_explained(hall: Hall) -> None:
    await ended(hall)
    await hall.apply(said(hall, "", verb="cancel"))
    assert ["No job is at work" in body for body in await helped(hall)] == [True]


@pytest.mark.parametrize("verb", ["retry", "continue", "cancel"])
async def test_who_may_not_command_is_told_so_once_by_a_reaction(hall: Hall, verb: str) -> None:
    await begun(hall)
    for comment in (60, 61):
        await hall.apply(said(hall, "", verb=verb, by=hall.reader, comment=comment))
    assert await reactions(hall) == [("eyes", 1), ("confused", 60)]
    assert [job.status for job in await jobs(hall)] == [JobStatus.PENDING]


async def test_words_wait_while_a_cancelled_job_is_still_ending(hall: Hall) -> None:
    job_id = await begun(hall)
    job = await claim(hall.database, job_id, now=hall.clock.now())
    async with hall.database.write() as connection:
        run = update(job_runs).where(job_runs.c.job_id == job_id)
        await connection.execute(run.values(cancel_reason="somebody asked"))
    with pytest.raises(StillEnding):
        await hall.apply(said(hall, "", verb="retry"))
    await end_job(hall.database, job_id, Cause.CANCELLED, job=job)
    await hall.apply(said(hall, "", verb="retry"))
    assert [found.status for found in await jobs(hall)] == [JobStatus.CANCELLED, JobStatus.PENDING]


async def test_nothing_is_heard_where_we_are_not_installed(hall: Hall) -> None:
    assert await hall.apply(said(hall, "", verb="retry")) is False
    assert isinstance(hall, Hall) and not hall.asked("/permission")
