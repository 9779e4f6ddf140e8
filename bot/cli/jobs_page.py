"""The page of one job for people: what it is, what happened, what it cost, what to do next."""

import shlex
from collections.abc import Callable
from datetime import datetime
from typing import Final

from bot.cli import times
from bot.cli.desk import Desk
from bot.cli.table import Cell, Column, Row
from bot.cli.visible import one_line
from bot.db.job_log import JobLine
from bot.db.job_story import JobStory
from bot.db.waiting import NO_WORKER, PAUSED
from bot.domain.enums import Cause, JobStatus, PauseKind
from bot.domain.states import FINAL_JOBS
from bot.domain.values import Json

STATES: Final[dict[JobStatus, Cell]] = {
    JobStatus.PENDING: ("○ pending", "yellow"),
    JobStatus.RUNNING: ("● running", "cyan"),
    JobStatus.PAUSED: ("‖ paused", "magenta"),
    JobStatus.COMPLETED: ("✔ completed", "green"),
    JobStatus.FAILED: ("✘ failed", "red"),
    JobStatus.CANCELLED: ("- cancelled", "dim"),
}
_QUARANTINED: Final[Cell] = ("▲ quarantined", "red")
_ADVICE: Final = {
    Cause.DENIED: "whoever asked may not; somebody with write access has to ask",
    Cause.BUDGET: "a budget does not cover it (`issuewright budget`); raise it, or ask for less at a time",
    Cause.DEADLINE: "it reached its limit of time; ask for less at a time",
    Cause.VERIFY_FAILED: "the repository's own tests failed after the change; the diff is kept",
    Cause.MODEL_ERROR: "look at `GET /api/agents/health`: is the model there, is its key valid?",
    Cause.GITHUB_ERROR: "look at the words above: a permission, a limit or GitHub itself",
    Cause.SANDBOX_ERROR: "look at the log of the worker, by the id of the job",
    Cause.BUG: "a defect of ours: look for the id of the job in the log of the worker, and report it",
}


def mark(line: JobLine) -> Cell:
    """The state at a glance."""
    if line.quarantined_at is not None and line.status not in FINAL_JOBS - {JobStatus.FAILED}:
        return _QUARANTINED
    if line.status is JobStatus.PENDING and (line.waiting or "").startswith(PAUSED):
        return STATES[JobStatus.PAUSED]
    return STATES[line.status]


def where(line: JobLine) -> str:
    """Repository and number, as people write them."""
    if line.number is None:
        return "-"
    return one_line(f"{line.repository or '(unknown repository)'}#{line.number}", max_chars=120)


def cost(micro_usd: int) -> str:
    """Money in USD."""
    return f"${micro_usd / 1_000_000:.2f}" if micro_usd else "-"


def ending(line: JobLine) -> str:
    """Why it ended, or why it waits."""
    if line.cause is not None and line.status in FINAL_JOBS:
        return str(line.cause)
    waits = f"{line.waiting}: {line.error}" if line.waiting and line.error else line.waiting
    return one_line(waits or str(line.phase or "-"), max_chars=160)


def show(story: JobStory, desk: Desk) -> None:
    """The whole page."""
    line, screen = story.line, desk.screen
    word, style = mark(line)
    about: list[tuple[Cell, ...]] = [
        (
            (word, f"bold {style}"),
            (f"  {ending(line)}  ", style),
            (f"{where(line)} {line.verb or ''}", "bold"),
        ),
        ((one_line(line.title, max_chars=200), ""),),
    ]
    if line.error:
        about.append(((one_line(line.error), "red" if line.status is JobStatus.FAILED else "yellow"),))
    screen.panel(f"Job {line.id}", about, style)
    screen.heading("Request")
    screen.pairs(_request(story, desk))
    screen.heading("Run")
    screen.pairs(_run(story, desk))
    _section(desk, "What happened", _EVENT_COLUMNS, story.events, _event_row)
    _section(desk, "Written to GitHub", _OPERATION_COLUMNS, story.operations, _operation_row)
    _section(desk, "Verification", _VERIFICATION_COLUMNS, story.verifications, _verification_row)
    _section(desk, "Money", _SPEND_COLUMNS, story.spend, _spend_row)
    _section(desk, "Kept", _ARTIFACT_COLUMNS, story.artifacts, _artifact_row)
    _section(desk, "Log", _LOG_COLUMNS, story.log, _log_row)
    screen.hints(_hints(story))


def _request(story: JobStory, desk: Desk) -> list[tuple[str, Cell]]:
    request, line = story.request, story.line
    delivery = "-"
    if request["delivery_guid"]:
        event = ".".join(filter(None, (request["delivery_event"], request["delivery_action"])))
        delivery = f"{request['delivery_id']} ({event})"
    confidence = "" if request["confidence"] is None else f", sure by {request['confidence']:.0%}"
    return [
        ("id", (line.id, "")),
        ("name", (one_line(line.name), "")),
        ("branch", (line.branch or "-", "")),
        ("asked by", (one_line(f"{request['actor_login']} ({request['actor_id']})"), "")),
        ("by", (one_line(f"{request['trigger']}, delivery {delivery}"), "")),
        ("asked", (moment(line.created_at, desk), "")),
        ("authority", (one_line(request["authority"] or "-"), "")),
        ("organization", (one_line(f"{line.organization or '-'} ({line.organization_id})"), "")),
        ("type", (f"{request['type']}{confidence}", "")),
        ("agent", (one_line(f"{line.agent_type} on {line.model}"), "")),
        ("issue", (f"{line.issue_id} ({request['issue_status']})", "")),
    ]


def _run(story: JobStory, desk: Desk) -> list[tuple[str, Cell]]:
    line, request = story.line, story.request
    pairs: list[tuple[str, Cell]] = [
        ("waited", (times.span(line.created_at, line.started_at), "")),
        ("took", (times.span(line.started_at, line.completed_at or desk.now), "")),
        ("phase", (str(line.phase or "-"), "")),
        ("attempts", (f"{line.attempts} of {line.max_attempts}", "")),
        ("model turns", (f"{story.turns}, the last {moment(story.last_step_at, desk)}", "")),
        ("cost", (cost(line.cost_micro_usd), "")),
    ]
    if line.waiting:
        pairs.insert(0, ("waits", (one_line(line.waiting), "yellow")))
    if line.lease_owner:
        pairs.append(("worker", (f"{one_line(line.lease_owner)}, fence {request['fence']}", "")))
    if line.lease_losses:
        pairs.append(("lost leases", (str(line.lease_losses), "yellow")))
    if line.quarantined_at is not None:
        pairs.append(("quarantined", (moment(line.quarantined_at, desk), "red")))
    if request["cancel_reason"]:
        pairs.append(("cancelled for", (one_line(request["cancel_reason"]), "")))
    others = [f"{other['id']} ({other['status']})" for other in story.same_request]
    return [*pairs, *(("same request", (other, "dim")) for other in others)]


_EVENT_COLUMNS: Final = (Column("WHEN"), Column("EVENT", min_width=8), Column("", min_width=20))
_OPERATION_COLUMNS: Final = (
    Column("WRITE"),
    Column("STATE"),
    Column("TRIES", rank=2, is_right=True),
    Column("WHERE", min_width=30, good_width=48, is_end_kept=True),
    Column("TROUBLE", rank=1, min_width=10),
)
_VERIFICATION_COLUMNS: Final = (
    Column("WHEN"),
    Column("EXIT", is_right=True),
    Column("TOOK", is_right=True),
    Column("TIER", rank=1),
    Column("COMMAND", min_width=20),
    Column("", rank=2, min_width=10),
)
_SPEND_COLUMNS: Final = (
    Column("MODEL", min_width=8),
    Column("CALLS", is_right=True),
    Column("SETTLED", is_right=True),
    Column("RESERVED", is_right=True),
)
_ARTIFACT_COLUMNS: Final = (Column("KIND"), Column("NAME", min_width=10), Column("FILE", min_width=10))
_LOG_COLUMNS: Final = (Column("WHEN"), Column("LEVEL"), Column("", min_width=20))
_STYLES: Final = {"done": "green", "failed": "red", "sent": "yellow", "WARN": "yellow", "ERROR": "red"}


def _section(
    desk: Desk, title: str, columns: tuple[Column, ...], rows: list[Json], row: Callable[[Json], Row]
) -> None:
    """A table below a heading; nothing where there are no rows."""
    if rows:
        desk.screen.heading(title)
        desk.screen.table(columns, [row(each) for each in rows], indent=2)


def _event_row(event: Json) -> Row:
    data = ", ".join(f"{name} {value}" for name, value in event["data"].items())
    return [(times.clock(event["created_at"]), "dim"), (one_line(event["kind"]), ""), (one_line(data), "")]


def _operation_row(operation: Json) -> Row:
    state = operation["state"].value
    return [
        (operation["kind"].value, ""),
        (state, _STYLES.get(state, "dim")),
        (str(operation["attempts"]), "dim"),
        (one_line(operation["remote_url"] or "-"), ""),
        (one_line(operation["error"] or ""), "red"),
    ]


def _verification_row(record: Json) -> Row:
    code = record["exit_code"]
    style = "dim" if code is None else "green" if code == 0 else "red"
    return [
        (record["when"].value, ""),
        ("not run" if code is None else str(code), style),
        (f"{record['duration_ms'] / 1000:.1f}s", "dim"),
        (record["tier"].value, "dim"),
        (one_line(record["command"]), ""),
        (one_line(record["reason"]), "dim"),
    ]


def _spend_row(spend: Json) -> Row:
    return [
        (one_line(spend["model"]), ""),
        (str(spend["calls"]), ""),
        (f"${spend['settled_micro_usd'] / 1_000_000:.4f}", ""),
        (f"${spend['reserved_micro_usd'] / 1_000_000:.4f}", "dim"),
    ]


def _artifact_row(artifact: Json) -> Row:
    return [
        (artifact["type"].value, ""),
        (one_line(artifact["name"]), ""),
        (one_line(artifact["file_path"] or ""), "dim"),
    ]


def _log_row(entry: Json) -> Row:
    level = entry["level"].value
    return [
        (times.clock(entry["timestamp"]), "dim"),
        (level, _STYLES.get(level, "dim")),
        (one_line(entry["message"]), ""),
    ]


def _hints(story: JobStory) -> list[tuple[str, str]]:
    """What a person can do next, the most useful first: words, and the command where there is one."""
    line, delivery_id = story.line, story.request["delivery_id"]
    hints: list[tuple[str, str]] = []
    if line.status not in FINAL_JOBS:
        if line.waiting == NO_WORKER:
            hints.append(("start a worker", "issuewright worker"))
        if (line.waiting or "").startswith(PAUSED):
            hints.append(("let it go on", _unpause(line)))
        hints.append(("end it", f"issuewright jobs cancel {line.id}"))
    else:
        if line.cause in _ADVICE:
            hints.append((_ADVICE[line.cause], ""))
        if line.quarantined_at is not None:
            hints.append(("once its crashes are understood", f"issuewright jobs requeue {line.id}"))
        else:
            hints.append(("work on the same request again", f"issuewright jobs retry {line.id}"))
    if delivery_id:
        hints.append(("see what asked for it", f"issuewright deliveries show {delivery_id}"))
    return hints


def _unpause(line: JobLine) -> str:
    """The command that ends the pause which holds the job back."""
    kind = (line.waiting or "").removeprefix(f"{PAUSED}: ").partition(" ")[0]
    if kind == PauseKind.REPOSITORY:
        return f"issuewright unpause --repository {shlex.quote(one_line(line.repository or ''))}"
    if kind == PauseKind.ORGANIZATION:
        return f"issuewright unpause --organization {shlex.quote(line.organization_id)}"
    return "issuewright unpause"


def moment(when: datetime | None, desk: Desk) -> str:
    """An instant and how long ago it was."""
    return "-" if when is None else f"{times.clock(when)} ({times.age(when, now=desk.now)} ago)"
