"""The inbox's log: each delivery is told once, many in one line, and what failed does not wait."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bot.db.database import Database
from bot.db.deliveries import Accepted
from bot.db.inbox import Keep, Look
from bot.db.inbox_log import GATHER_SECONDS, InboxLog
from bot.db.inbox_sqlite import SqliteWriter
from bot.domain.enums import DeliveryState
from tests.db.test_deliveries import DELIVERY

NEW = Accepted("id-1", is_new=True, state=DeliveryState.RECEIVED)


class Clock:
    """Stands still until it is put on."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_line_waits_for_more_of_its_kind_but_not_for_long() -> None:
    clock = Clock()
    log = InboxLog(monotonic=clock)
    assert log.due_seconds() is None
    log.add([Look(DELIVERY)], [None])
    assert log.due_seconds() is None
    log.add([Keep(DELIVERY)], [NEW])
    assert log.due_seconds() == GATHER_SECONDS
    clock.now += GATHER_SECONDS
    log.add([Keep(DELIVERY)], [NEW])
    assert log.due_seconds() == 0


def test_what_failed_and_what_is_much_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    log = InboxLog(monotonic=Clock())
    log.add([Keep(DELIVERY)], [ValueError()])
    assert log.due_seconds() == 0
    log.write()
    assert log.due_seconds() is None
    log.add([Keep(DELIVERY)] * 256, [NEW] * 256)
    assert log.due_seconds() == 0
    told = capsys.readouterr()
    assert f"{DELIVERY.guid} ValueError" in told.out + told.err


def _lines(told: Sequence[str]) -> list[str]:
    return [line for line in "".join(told).splitlines() if "deliveries_stored" in line]


async def test_many_batches_are_few_lines_and_each_delivery_is_told_once(
    file_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = SqliteWriter(file_database.engine)
    for number in range(20):
        await writer.do(Keep(replace(DELIVERY, guid=f"g-{number:02}", digest=f"d-{number}")))
    await writer.close()
    lines = _lines(capsys.readouterr())
    assert len(lines) < 20
    assert all("".join(lines).count(f"g-{number:02}") == 1 for number in range(20))


async def test_an_idle_writer_tells_by_itself(
    file_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = SqliteWriter(file_database.engine)
    accepted = await writer.do(Keep(DELIVERY))
    told = ""
    async with asyncio.timeout(60):
        while not _lines([told]):
            await asyncio.sleep(0)
            told += "".join(capsys.readouterr())
    await writer.close()
    assert accepted is not None and accepted.delivery_id in told
