"""`issuewright deliveries`: what came, what became of it, and putting it back."""

import asyncio
import hashlib
import json
import os
import pty
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from bot.db import deliveries
from bot.db.database import Database
from bot.db.deliveries import IncomingDelivery
from bot.db.tables import deliveries as table
from bot.db.tables import job_origins
from bot.domain.enums import DeliveryState
from tests.cli.conftest import Operate
from tests.db.rows import SYSTEM, make_job, make_tenant, stored

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
BODY = {"action": "labeled", "issue": {"title": "a\x1b[31m\u202etitle"}}


async def a_delivery(database: Database, number: int = 1, **changes: Any) -> str:
    """A delivery of an hour ago; *changes* are columns of its row."""
    body = json.dumps(BODY | {"number": number}).encode()
    incoming = IncomingDelivery(
        target_type="integration",
        target_id="4242",
        guid=f"72d3162e-cc78-11e3-81ab-4c9367dc{number:04}",
        event="issues",
        action="labeled",
        digest=hashlib.sha256(body).hexdigest(),
        payload=body,
        installation_id=10,
        received_at=datetime.now(UTC) - timedelta(hours=1, seconds=-number),
        state=DeliveryState.RECEIVED,
        repository="octo-1/r100",
        number=number,
        sender="mona\x1b[2J",
    )
    delivery_id = (await stored(database, incoming)).delivery_id
    if changes:
        async with database.write() as connection:
            await connection.execute(update(table).where(table.c.id == delivery_id).values(**changes))
    return delivery_id


async def end(database: Database, delivery_id: str, state: DeliveryState, error: str | None = None) -> None:
    """Close the delivery as the dispatcher does."""
    async with database.write() as connection:
        now = datetime.now(UTC)
        await deliveries.finish(SYSTEM, connection, delivery_id, state, now=now, error=error)


def on_a_terminal(words: list[str], environ: dict[str, str]) -> str:
    """What the command writes to a terminal."""
    passed = {name: text for name, text in os.environ.items() if name == "PATH" or name.startswith("COV")}
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "bot.cli.main", "deliveries", *words],
        env=passed | {"TERM": "xterm", "COLUMNS": "60"} | environ,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    ) as listing:
        os.close(theirs)
        said = b""
        try:
            while piece := os.read(ours, 65_536):
                said += piece
        except OSError:  # Linux's way to say that the other end was closed
            os.close(ours)
    assert listing.returncode == 0
    return said.decode()


async def test_deliveries_are_listed_newest_first(operate: Operate, database: Database) -> None:
    ids = [await a_delivery(database, number) for number in (1, 2)]
    await end(database, ids[0], DeliveryState.FAILED, "GitHub said no\x1b[2J\nfake row")
    said = await operate("deliveries", "list")
    heading, *rows = said.out.splitlines()
    assert (said.code, heading.split()[0], [row.split()[0] for row in rows]) == (0, "DELIVERY", ids[::-1])
    assert "issues.labeled" in rows[0] and "octo-1/r100#2" in rows[0]
    assert rows[1].endswith("GitHub said no fake row") and "\x1b" not in said.out


NARROWED: list[tuple[str, list[int]]] = [
    ("--state failed", [1]),
    ("--state received --state failed", [1, 2]),
    ("--event issues", [1, 2]),
    ("--event issues.labeled", [1, 2]),
    ("--event issues.opened", []),
    ("--repository Octo-1/R100", [1, 2]),
    ("--since 10m", []),
    ("--since 2h", [1, 2]),
    ("--limit 1", [2]),
]


async def test_a_list_of_deliveries_can_be_narrowed(operate: Operate, database: Database) -> None:
    ids = [await a_delivery(database, number) for number in (1, 2)]
    await end(database, ids[0], DeliveryState.FAILED)
    for words, found in NARROWED:
        listed = (await operate("deliveries", "list", "--json", *words.split())).document
        assert (words, sorted(each["number"] for each in listed)) == (words, found)
    (older,) = (await operate("deliveries", "list", "--json", "--after", ids[1])).document
    assert older["id"] == ids[0]


async def test_a_delivery_is_shown_with_what_came_of_it(operate: Operate, database: Database) -> None:
    delivery_id = await a_delivery(database)
    job = await make_job(database, await make_tenant(database))
    async with database.write() as connection:
        await connection.execute(update(job_origins).values(delivery_id=delivery_id))
    await end(database, delivery_id, DeliveryState.DISPATCHED)

    said = await operate("deliveries", "show", "72d3162e-cc78-11e3-81ab-4c9367dc0001")
    assert all(piece in said.out for piece in (delivery_id, "dispatched", job.job_id, "integration 4242"))
    assert "\x1b" not in said.out and "title" not in said.out

    told = (await operate("deliveries", "show", "--json", delivery_id)).document
    assert [each["id"] for each in told["jobs"]] == [job.job_id]
    assert told["hasPayload"] and "payload" not in told


async def test_a_body_is_shown_on_request_only_and_harmless(operate: Operate, database: Database) -> None:
    delivery_id = await a_delivery(database)
    said = await operate("deliveries", "show", delivery_id, "--payload")
    assert '"title": "a\\u001b[31m\\u202etitle"' in said.out
    told = (await operate("deliveries", "show", "--json", "--payload", delivery_id)).document
    assert told["payload"]["issue"] == BODY["issue"]


async def test_a_purged_body_says_so(operate: Operate, database: Database) -> None:
    delivery_id = await a_delivery(database, payload=None)
    said = await operate("deliveries", "show", delivery_id, "--payload")
    assert "no longer kept" in said.out and "Recent Deliveries" in said.out
    assert (await operate("deliveries", "show", "--json", "--payload", delivery_id)).document[
        "payload"
    ] is None


async def test_a_failed_delivery_is_put_back_and_twice_is_once(operate: Operate, database: Database) -> None:
    delivery_id = await a_delivery(database, attempts=60)
    await end(database, delivery_id, DeliveryState.FAILED, "no")
    for _ in range(2):
        said = await operate("deliveries", "replay", delivery_id)
        assert said.code == 0 and "waits for the dispatcher" in said.out
    async with database.read() as connection:
        row = (await connection.execute(select(table))).one()
    assert (row.state, row.attempts, row.error) == (DeliveryState.RECEIVED, 0, None)


async def test_a_replay_names_the_job_that_its_request_made(operate: Operate, database: Database) -> None:
    delivery_id = await a_delivery(database)
    job = await make_job(database, await make_tenant(database))
    async with database.write() as connection:
        await connection.execute(update(job_origins).values(delivery_id=delivery_id))
    (outcome,) = (await operate("deliveries", "replay", "--json", delivery_id)).document
    assert outcome["isReplayed"] and f"issuewright jobs retry {job.job_id}" in outcome["message"]


async def test_what_has_no_body_cannot_be_put_back(operate: Operate, database: Database) -> None:
    purged, whole = await a_delivery(database, 1, payload=None), await a_delivery(database, 2)
    said = await operate("deliveries", "replay", purged, whole)
    assert said.code == 1 and "Recent Deliveries" in said.out and "waits for the dispatcher" in said.out
    told = await operate("deliveries", "replay", "--json", purged, whole)
    assert told.code == 1 and [each["isReplayed"] for each in told.document] == [False, True]
    error = json.loads(told.err)["error"]
    assert error.startswith(f"{purged} its body is no longer kept") and whole not in error


async def test_one_unknown_id_leaves_all_as_they_are(operate: Operate, database: Database) -> None:
    delivery_id = await a_delivery(database)
    await end(database, delivery_id, DeliveryState.FAILED)
    said = await operate("deliveries", "replay", "--json", delivery_id, "nothing-like-it")
    assert (said.code, said.out) == (1, "") and "nothing-like-it" in json.loads(said.err)["error"]
    assert (await operate("deliveries", "show", "--json", delivery_id)).document["state"] == "FAILED"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("is_colourless", [True, False])
async def test_on_a_terminal_it_fits_and_has_colours_unless_told_not_to(
    database: Database, database_url: str, is_colourless: bool
) -> None:
    delivery_id = await a_delivery(database)
    environ = {"DATABASE_URL": database_url} | ({"NO_COLOR": "1"} if is_colourless else {})
    said = await asyncio.to_thread(on_a_terminal, ["list"], environ)
    lines = COLOUR.sub("", said).splitlines()
    assert all(len(line) <= 60 for line in lines) and delivery_id[-6:] in lines[1]
    has_colour = re.search(r"\x1b\[[0-9;]*3[0-7]", said) is not None
    assert has_colour is not is_colourless


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_page_on_a_terminal_fits_and_does_nothing_else(database: Database, database_url: str) -> None:
    delivery_id = await a_delivery(database)
    address = f"https://github.example/{'octo-bakery' * 6}"
    sentence = "a long \x1b[5mreason " * 20
    await end(database, delivery_id, DeliveryState.FAILED, f"{sentence}at {address}")
    words = ["show", delivery_id, "--payload"]
    said = await asyncio.to_thread(on_a_terminal, words, {"DATABASE_URL": database_url})
    plain = COLOUR.sub("", said)
    assert "\x1b" not in plain and "\x1b[5m" not in said and "\u202e" not in said
    assert '"title": "a\\u001b[31m\\u202etitle"' in plain
    boxed = [line.strip("│ ") for line in plain.splitlines() if line.startswith("│")]
    assert "a long reason " * 20 in " ".join(boxed), "no sentence is cut at the edge of its box"
    assert address in "".join(boxed)
    commands = [line.strip() for line in plain.splitlines() if line.strip().startswith("issuewright ")]
    assert f"issuewright deliveries replay {delivery_id}" in commands, "a command stands in one line"
    assert all(len(line) <= 60 for line in plain.splitlines() if line.strip() not in commands)


@pytest.mark.parametrize(
    "words", ["list --since soon", "list --limit 0", "list --limit x", "list --state lost", "show", "replay"]
)
def test_misuse_is_told_with_the_usage(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    from bot.cli import main

    with pytest.raises(SystemExit) as ended:
        main.main(["deliveries", *words.split()])
    told = capsys.readouterr().err
    assert ended.value.code == 2 and "usage: issuewright deliveries" in told and " _" not in told
