"""`issuewright jobs list|show|retry|requeue|cancel`: what is being worked on, and ways to step in."""

import argparse
from functools import partial
from typing import Final

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.cli import desk as desks
from bot.cli import jobs_page, times
from bot.cli.desk import AUTHORITY, SYSTEM, Desk
from bot.cli.document import as_document
from bot.cli.jobs_page import STATES, cost, ending, mark, where
from bot.cli.table import Cell, Column
from bot.cli.terminal import EXIT_OK
from bot.cli.visible import one_line
from bot.db import again, bell, cancel, job_log, job_story
from bot.db.job_log import JobFilter, JobLine
from bot.db.standing import standing
from bot.domain.enums import JobStatus
from bot.domain.values import Json
from bot.errors import UserError

_MAX_REASON_CHARS: Final = 200

_COLUMNS: Final = (
    Column("JOB", is_id=True, min_width=7),
    Column("STATE"),
    Column("REQUEST", min_width=14, is_end_kept=True),
    Column("AGE", is_right=True),
    Column("WAITED", rank=4, is_right=True),
    Column("TOOK", rank=3, is_right=True),
    Column("TRIES", rank=6, is_right=True),
    Column("COST", rank=2, is_right=True),
    Column("WHY", rank=1, min_width=12, good_width=14),
    Column("TITLE", rank=5, min_width=16),
)


def run(arguments: argparse.Namespace) -> int:
    """Do what the sub-command says; returns the exit code.

    Raises:
        ConfigError: The settings or the database cannot be used.
        UserError: There is no such job, several may be meant, or it cannot be done with this one.
    """
    works = {"list": _list, "show": _show, "retry": _again, "requeue": _again, "cancel": _cancel}
    return desks.run(arguments, partial(works[arguments.action], arguments))


async def _list(arguments: argparse.Namespace, desk: Desk) -> int:
    async with desk.database.read() as connection:
        before_id = None if arguments.after is None else await _the(connection, arguments.after)
        chosen = JobFilter(
            statuses=frozenset(arguments.state or ()),
            cause=arguments.cause,
            repository=arguments.repository,
            organization=arguments.organization,
            is_open=arguments.open,
            is_quarantined=arguments.quarantined,
            since=arguments.since,
            before_id=before_id,
            limit=arguments.limit + 1,
        )
        found = await job_log.recent(
            SYSTEM, connection, chosen, now=desk.now, silent_before=desk.silent_before
        )
    return desks.lists(desk, found, arguments.limit, columns=_COLUMNS, row=_row, command="jobs", one="job")


def _row(line: JobLine, desk: Desk) -> list[Cell]:
    verb = f" {line.verb}" if line.verb else ""
    return [
        (line.id, ""),
        mark(line),
        (where(line) + verb, ""),
        (times.age(line.created_at, now=desk.now), "dim"),
        (times.span(line.created_at, line.started_at), ""),
        (times.span(line.started_at, line.completed_at or desk.now), ""),
        (f"{line.attempts}/{line.max_attempts}", "yellow" if line.attempts > 1 else "dim"),
        (cost(line.cost_micro_usd), ""),
        (ending(line), STATES[line.status][1] if line.cause else "dim"),
        (one_line(line.title, max_chars=200), "dim"),
    ]


async def _show(arguments: argparse.Namespace, desk: Desk) -> int:
    async with desk.database.read() as connection:
        job_id = await _the(connection, arguments.id)
        story = await job_story.tell(
            SYSTEM, connection, job_id, now=desk.now, silent_before=desk.silent_before
        )
    if desk.is_json:
        document = as_document(story)
        desk.screen.document(document.pop("line") | document)
    else:
        jobs_page.show(story, desk)
    return EXIT_OK


async def _again(arguments: argparse.Namespace, desk: Desk) -> int:
    """Retry and requeue: all of the jobs or, where one cannot be, none."""
    try:
        outcomes = await _all_again(arguments, desk)
    except IntegrityError:  # somebody else did the same at this moment; now there is something to find
        outcomes = await _all_again(arguments, desk)
    return desks.outcomes(desk, outcomes, "jobId")


async def _all_again(arguments: argparse.Namespace, desk: Desk) -> list[Json]:
    outcomes: list[Json] = []
    async with desk.database.write() as connection:
        for job_id in [await _the(connection, part) for part in arguments.ids]:
            if arguments.action == "requeue":
                await _check_quarantined(connection, job_id)
            made = await again.again(
                SYSTEM,
                connection,
                job_id,
                authority=AUTHORITY,
                trigger_key=f"{arguments.action}:{job_id}",
                now=desk.now,
            )
            message = "works on the same request" if made.is_new else "was made by the first time already"
            outcomes.append(
                {
                    "id": job_id,
                    "jobId": made.job_id,
                    "isNew": made.is_new,
                    "message": f"job {made.job_id} {message}",
                }
            )
        await bell.ring(connection)
    return outcomes


async def _check_quarantined(connection: AsyncConnection, job_id: str) -> None:
    """Raise UserError unless the job was put aside for its crashes."""
    if not await job_log.is_quarantined(SYSTEM, connection, job_id):
        raise UserError(
            f"job {job_id} was not quarantined; to work on it again: issuewright jobs retry {job_id}"
        )


async def _cancel(arguments: argparse.Namespace, desk: Desk) -> int:
    reason = one_line(arguments.reason, max_chars=_MAX_REASON_CHARS) or "cancelled by an operator"
    outcomes: list[Json] = []
    async with desk.database.write() as connection:
        for job_id in [await _the(connection, part) for part in arguments.ids]:
            is_open = await cancel.cancel_job(SYSTEM, connection, job_id, reason=reason, now=desk.now)
            outcomes.append(await _cancelled(connection, job_id, is_open=is_open))
        await bell.ring(connection)
    return desks.outcomes(desk, outcomes, "isCancelled")


async def _cancelled(connection: AsyncConnection, job_id: str, *, is_open: bool) -> Json:
    """What became of a job that was to end: one that was cancelled before is no failure, else it is."""
    if is_open:
        return {"id": job_id, "isCancelled": True, "message": "ends within seconds"}
    stands = await standing(SYSTEM, connection, job_id)
    if stands is None or not stands.is_final:
        message = "was made by another program, which has to end it"
        return {"id": job_id, "isCancelled": False, "message": message}
    message = f"has ended already: it is {stands.status.value.lower()}"
    return {"id": job_id, "isCancelled": stands.status is JobStatus.CANCELLED, "message": message}


async def _the(connection: AsyncConnection, part: str) -> str:
    """The id of the one job that *part* means; raises UserError."""
    return desks.only(await job_log.find(SYSTEM, connection, part), part, "jobs")
