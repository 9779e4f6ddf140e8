"""Secrets that are made once, whoever asks first."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import secrets
from bot.db.database import Database
from bot.domain.values import Scope
from tests.db.rows import NOW, SYSTEM, overlap


async def _obtain(database: Database, name: str = secrets.MARKER_KEY) -> bytes:
    async with database.write() as connection:
        return await secrets.obtain(SYSTEM, connection, name, now=NOW)


async def test_a_secret_is_made_once_and_stays(database: Database) -> None:
    made = await _obtain(database)
    assert len(made) == secrets.KEY_BYTES
    assert await _obtain(database) == made


async def test_two_names_are_two_secrets(database: Database) -> None:
    assert await _obtain(database, "a") != await _obtain(database, "b")


async def test_twenty_that_ask_at_once_get_the_same(database: Database) -> None:
    assert len(set(await asyncio.gather(*(_obtain(database) for _ in range(20))))) == 1


async def test_who_asks_while_it_is_being_made_gets_the_one_that_is_kept(database: Database) -> None:
    async def obtain(connection: AsyncConnection) -> bytes:
        return await secrets.obtain(SYSTEM, connection, "marker", now=NOW)

    first, second = await overlap(database, obtain, obtain)
    assert first == second


async def test_secrets_belong_to_no_tenant(database: Database) -> None:
    with pytest.raises(ValueError, match="no tenant"):
        async with database.write() as connection:
            await secrets.obtain(Scope("o"), connection, "marker", now=NOW)
