"""`issuewright budget`: what is spent of each budget, as people and programs read it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bot.db.database import Database
from bot.domain.values import Actor
from tests.cli.conftest import Operate
from tests.db import money
from tests.db.rows import make_tenant, start_job

MILLION = 1_000_000


async def spend(database: Database) -> None:
    """$24 in one organization, $1 in another, all of it today."""
    job = await start_job(database, await make_tenant(database))
    other = await start_job(database, await make_tenant(database, 2, 200))
    now = datetime.now(UTC) - timedelta(seconds=90)
    now = max(now, datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0))
    await money.settle(database, job, await money.reserve(database, job, 30 * MILLION, now=now), 14 * MILLION)
    stranger = replace(job, origin=replace(job.origin, actor=Actor(8, "hubot")))
    await money.reserve(database, stranger, 10 * MILLION, now=now)
    await money.reserve(database, other, MILLION, now=now)


async def test_every_budget_has_its_line_the_largest_first(operate: Operate, database: Database) -> None:
    await spend(database)
    document = (await operate("budget", "--json")).document
    assert document[0]["kind"] == "minute"
    assert [(line["kind"], line["name"], line["spentUsd"], line["limitUsd"]) for line in document[1:]] == [
        ("organization_month", "octo-1", 24.0, 200.0),
        ("organization_month", "octo-2", 1.0, 200.0),
        ("organization_day", "octo-1", 24.0, 25.0),
        ("organization_day", "octo-2", 1.0, 25.0),
        ("repository_day", "octo-1/r100", 24.0, 0.0),
        ("repository_day", "octo-2/r200", 1.0, 0.0),
        ("user_day", "octocat", 14.0, 10.0),
        ("user_day", "(unknown)", 10.0, 10.0),
        ("user_day", "octocat", 1.0, 10.0),
    ]
    assert {line["organization"] for line in document if line["kind"] == "user_day"} == {"octo-1", "octo-2"}
    assert all(line["resetsAt"].endswith("00:00:00.000Z") for line in document[1:])


async def test_people_see_shares_and_limits(operate: Operate, database: Database) -> None:
    await spend(database)
    said = await operate("budget", "--limit", "1")
    lines = [line.split() for line in said.out.splitlines()]
    assert (said.code, said.err, len(lines)) == (0, "", 6)
    assert lines[3][:7] == ["organization", "day", "octo-1", "-", "$24.00", "$25.00", "96%"]
    assert lines[4][:7] == ["repository", "day", "octo-1/r100", "octo-1", "$24.00", "none", "-"]


async def test_before_anything_was_spent_only_the_breaker_is_shown(operate: Operate) -> None:
    (line,) = (await operate("budget", "--json")).document
    assert line == {
        "kind": "minute",
        "name": "everything",
        "organization": None,
        "spentUsd": 0.0,
        "limitUsd": 20.0,
        "resetsAt": None,
    }
