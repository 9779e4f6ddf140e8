"""The types of columns: instants, JSON and enums as they come back from either database."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import StatementError

from bot.db.columns import UtcTimestamp
from bot.db.database import Database
from bot.db.tables import agent_feedback, agent_logs, deliveries, secrets
from bot.domain.enums import DeliveryState, FeedbackOutcome, ImprovementStatus, LogLevel
from tests.db.rows import NOW, make_job, make_tenant

EAST = timezone(timedelta(hours=5, minutes=30))


async def _kept(database: Database, instant: datetime) -> datetime:
    async with database.write() as connection:
        await connection.execute(insert(secrets).values(name="n", value=b"v", created_at=instant))
        found: datetime = (await connection.execute(select(secrets.c.created_at))).scalar_one()
    return found


async def test_an_instant_comes_back_aware_and_in_utc(database: Database) -> None:
    found = await _kept(database, NOW)
    assert found == NOW
    assert found.utcoffset() == timedelta(0)


async def test_an_instant_of_another_zone_stays_the_same_instant(database: Database) -> None:
    assert await _kept(database, NOW.astimezone(EAST)) == NOW


async def test_an_instant_is_cut_to_milliseconds_and_never_rounded_up(database: Database) -> None:
    assert await _kept(database, NOW.replace(microsecond=123_999)) == NOW.replace(microsecond=123_000)


async def test_an_instant_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="naive"):
        await _kept(database, NOW.replace(tzinfo=None))


async def test_an_instant_is_compared_as_it_is_stored(database: Database) -> None:
    await _kept(database, NOW.replace(microsecond=5_999))
    statement = select(secrets.c.name).where(secrets.c.created_at <= NOW.replace(microsecond=5_001))
    async with database.read() as connection:
        assert (await connection.execute(statement)).scalar_one() == "n"


async def test_the_clock_of_the_database_is_read_as_utc(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(insert(secrets).values(name="n", value=b"v"))
        found = (await connection.execute(select(secrets.c.created_at))).scalar_one()
    assert abs(datetime.now(UTC) - found) < timedelta(minutes=5)


@given(st.datetimes(timezones=st.sampled_from([UTC, EAST]), min_value=datetime(1970, 1, 2)))  # noqa: DTZ001
def test_what_is_stored_reads_back_as_the_same_millisecond(instant: datetime) -> None:
    kind, dialect = UtcTimestamp(), sqlite.dialect()
    stored = kind.process_bind_param(instant, dialect)
    assert stored is not None and stored.tzinfo is None
    found = kind.process_result_value(stored, dialect)
    assert found is not None and timedelta(0) <= instant - found < timedelta(milliseconds=1)


def test_no_instant_stays_no_instant() -> None:
    kind, dialect = UtcTimestamp(), sqlite.dialect()
    assert kind.process_bind_param(None, dialect) is None
    assert kind.process_result_value(None, dialect) is None


@pytest.mark.parametrize("data", [None, {"a": [1, None, {"b": "ü\u2028"}]}])
async def test_json_comes_back_as_it_was_and_none_is_no_value(database: Database, data: Any) -> None:
    job = await make_job(database, await make_tenant(database))
    async with database.write() as connection:
        row = {"id": "l", "job_id": job.job_id, "level": LogLevel.INFO, "message": "m", "data": data}
        await connection.execute(insert(agent_logs).values(**row))
        found = (await connection.execute(select(agent_logs.c.data))).scalar_one()
        is_null = (await connection.execute(text("SELECT data IS NULL FROM agent_logs"))).scalar_one()
    assert found == data
    assert bool(is_null) is (data is None)


async def test_enums_lists_and_defaults_come_back_as_what_they_are(database: Database) -> None:
    row = dict.fromkeys(("id", "job_id", "issue_id", "agent_type", "user_id", "organization_id"), "x")
    async with database.write() as connection:
        await connection.execute(
            insert(agent_feedback).values(
                **row, rating=4, outcome=FeedbackOutcome.SOLVED, tags=["fast", "good"]
            )
        )
        found = (await connection.execute(select(agent_feedback))).one()
    assert found.outcome is FeedbackOutcome.SOLVED
    assert found.improvement_status is ImprovementStatus.PENDING
    assert found.tags == ["fast", "good"]


async def test_a_word_outside_its_set_is_refused(database: Database) -> None:
    row = {
        "id": "d", "target_type": "t", "target_id": "1", "guid": "g", "digest": "d", "event": "e",
        "received_at": NOW,
    }  # fmt: skip
    with pytest.raises(StatementError, match="not among the defined enum values"):
        async with database.write() as connection:
            await connection.execute(insert(deliveries).values(**row, state="ELSEWHERE"))
    assert DeliveryState.RECEIVED.value == "RECEIVED"
