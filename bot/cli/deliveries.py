"""`issuewright deliveries list|show|replay`: what GitHub sent us, and what became of it."""

import argparse
import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.cli import desk as desks
from bot.cli import times
from bot.cli.desk import SYSTEM, Desk
from bot.cli.document import as_document
from bot.cli.table import Cell, Column
from bot.cli.terminal import EXIT_OK
from bot.cli.visible import one_line
from bot.db import deliveries, delivery_log
from bot.db.delivery_log import DeliveryFilter, DeliveryJob, DeliveryLine
from bot.domain.enums import DeliveryState

_STATES: Final[dict[DeliveryState, Cell]] = {
    DeliveryState.RECEIVED: ("○ received", "yellow"),
    DeliveryState.DISPATCHED: ("✔ dispatched", "green"),
    DeliveryState.IGNORED: ("- ignored", "dim"),
    DeliveryState.FAILED: ("✘ failed", "bold red"),
}
_COLUMNS: Final = (
    Column("DELIVERY", is_id=True, min_width=8),
    Column("STATE"),
    Column("EVENT", min_width=12, good_width=22),
    Column("AGE", is_right=True),
    Column("WHERE", rank=1, min_width=14, good_width=20, is_end_kept=True),
    Column("BY", rank=4, min_width=8),
    Column("JOBS", rank=3, is_right=True),
    Column("GUID", rank=5),
    Column("WHAT", rank=2, min_width=14, good_width=24),
)
_PLACE: Final = "on GitHub: Settings, Developer settings, GitHub Apps, your App, Advanced, Recent Deliveries"
_GONE: Final = f"its body is no longer kept; let GitHub send it again ({_PLACE})"


def run(arguments: argparse.Namespace) -> int:
    """Do what the sub-command says; returns the exit code.

    Raises:
        ConfigError: The settings or the database cannot be used.
        UserError: There is no such delivery, or several may be meant.
    """
    work = {"list": _list, "show": _show, "replay": _replay}[arguments.action]
    return desks.run(arguments, partial(work, arguments))


async def _list(arguments: argparse.Namespace, desk: Desk) -> int:
    async with desk.database.read() as connection:
        before_id = None
        if arguments.after is not None:
            before_id = desks.only(
                await delivery_log.find(SYSTEM, connection, arguments.after), arguments.after, "deliveries"
            )
        chosen = DeliveryFilter(
            states=frozenset(arguments.state or ()),
            event=arguments.event,
            repository=arguments.repository,
            since=arguments.since,
            before_id=before_id,
            limit=arguments.limit + 1,
        )
        found = await delivery_log.recent(SYSTEM, connection, chosen)
    return desks.lists(
        desk, found, arguments.limit, columns=_COLUMNS, row=_row, command="deliveries", one="delivery"
    )


def _row(line: DeliveryLine, desk: Desk) -> list[Cell]:
    jobs = str(line.jobs) if line.jobs else "-"
    return [
        (line.id, ""),
        _STATES[line.state],
        (_event(line), ""),
        (times.age(line.received_at, now=desk.now), "dim"),
        (_where(line), ""),
        (one_line(line.sender or "-", max_chars=40), ""),
        (jobs, "" if line.jobs else "dim"),
        (line.guid, "dim"),
        (one_line(line.error or _wait(line, desk), max_chars=120), "red" if line.error else "dim"),
    ]


def _event(line: DeliveryLine) -> str:
    return one_line(line.event if line.action is None else f"{line.event}.{line.action}", max_chars=60)


def _where(line: DeliveryLine) -> str:
    if line.repository is None:
        return "-"
    return one_line(line.repository if line.number is None else f"{line.repository}#{line.number}")


def _wait(line: DeliveryLine, desk: Desk) -> str:
    if line.wake_at is not None and line.wake_at > desk.now:
        return f"next try at {times.clock(line.wake_at)}"
    return ""


async def _show(arguments: argparse.Namespace, desk: Desk) -> int:
    async with desk.database.read() as connection:
        found = await delivery_log.find(SYSTEM, connection, arguments.id)
        delivery_id = desks.only(found, arguments.id, "deliveries")
        line = await delivery_log.line(SYSTEM, connection, delivery_id)
        jobs = await delivery_log.jobs_of(SYSTEM, connection, delivery_id)
        body = await deliveries.body(SYSTEM, connection, delivery_id) if arguments.payload else None
    if desk.is_json:
        document = as_document(line) | {"jobs": as_document(jobs)}
        desk.screen.document(document | ({"payload": _parsed(body)} if arguments.payload else {}))
        return EXIT_OK
    _page(line, jobs, desk)
    if arguments.payload:
        desk.screen.heading("Payload")
        if body is None:
            desk.screen.line(("  It is no longer kept, or never was: what nothing acts on is not.", "yellow"))
        else:
            desk.screen.pretty(_parsed(body))
    return EXIT_OK


def _page(line: DeliveryLine, jobs: Sequence[DeliveryJob], desk: Desk) -> None:
    screen, (word, style) = desk.screen, _STATES[line.state]
    about: list[tuple[Cell, ...]] = [((word, style), (f"  {_event(line)}  ", "bold"), (_where(line), ""))]
    if line.error:
        about.append(((one_line(line.error), "red"),))
    screen.panel(f"Delivery {line.id}", about, style.split()[-1])
    pairs: list[tuple[str, Cell]] = [
        ("id", (line.id, "")),
        ("X-GitHub-Delivery", (line.guid, "")),
        ("X-GitHub-Event", (one_line(line.event), "")),
        ("Target", (f"{line.target_type or '-'} {line.target_id}", "")),
        ("installation", (str(line.installation_id or "-"), "")),
        ("sender", (one_line(line.sender or "-"), "")),
        ("came by", (line.source.value, "")),
        ("received", (_moment(line.received_at, desk), "")),
        ("dispatched", (_moment(line.dispatched_at, desk), "")),
        ("attempts", (str(line.attempts), "")),
        ("SHA-256 of the body", (line.digest, "dim")),
        ("body", ("kept" if line.has_payload else "not kept", "")),
    ]
    if line.wake_at is not None:
        pairs.append(("next try", (times.clock(line.wake_at), "yellow")))
    screen.heading("What came")
    screen.pairs(pairs)
    screen.heading("Jobs that came of it")
    for job in jobs:
        ending = f" ({job.cause})" if job.cause else ""
        screen.line(("  ", ""), (job.id, "bold"), (f"  {job.verb} #{job.number}  {job.status}{ending}", ""))
    if not jobs:
        screen.line(("  none", "dim"))
    screen.hints(_hints(line, jobs))


def _hints(line: DeliveryLine, jobs: Sequence[DeliveryJob]) -> list[tuple[str, str]]:
    hints = []
    if jobs:
        hints.append(("see what became of it", f"issuewright jobs show {jobs[-1].id}"))
        hints.append(("work on the same request again", f"issuewright jobs retry {jobs[-1].id}"))
    if not line.has_payload:
        return [*hints, (f"to dispatch it again, {_GONE}", "")]
    return [
        *hints,
        ("dispatch it again", f"issuewright deliveries replay {line.id}"),
        ("read the body", f"issuewright deliveries show {line.id} --payload"),
    ]


async def _replay(arguments: argparse.Namespace, desk: Desk) -> int:
    """All that have a body; none of them where one is not to be found."""
    async with desk.database.write() as connection:
        found = [(await delivery_log.find(SYSTEM, connection, part), part) for part in arguments.ids]
        chosen = [desks.only(ids, part, "deliveries") for ids, part in found]
        outcomes = [await _put_back(connection, delivery_id) for delivery_id in chosen]
    return desks.outcomes(desk, outcomes, "isReplayed")


async def _put_back(connection: AsyncConnection, delivery_id: str) -> dict[str, Any]:
    """Put one delivery back; the words say what will come of it."""
    jobs = await delivery_log.jobs_of(SYSTEM, connection, delivery_id)
    is_replayed = await delivery_log.put_back(SYSTEM, connection, delivery_id)
    message = "waits for the dispatcher" if is_replayed else _GONE
    if is_replayed and jobs:
        message += (
            f"; its request made job {jobs[-1].id} already and finds that one"
            f" (to work on it again: issuewright jobs retry {jobs[-1].id})"
        )
    return {"id": delivery_id, "isReplayed": is_replayed, "message": message}


def _moment(moment: Any, desk: Desk) -> str:
    if moment is None:
        return "-"
    return f"{times.clock(moment)} ({times.age(moment, now=desk.now)} ago)"


def _parsed(body: bytes | None) -> Any:
    """The body as JSON, None where it is not kept; one that is no JSON (it cannot be stored) as text."""
    if body is None:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")
