"""Random values that are made once and live in the database."""

import secrets as random
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import tables
from bot.db.scope import system_only
from bot.db.upsert import insert_new
from bot.domain.values import Scope

MARKER_KEY = "marker"
KEY_BYTES = 32


async def obtain(scope: Scope, connection: AsyncConnection, name: str, *, now: datetime) -> bytes:
    """The secret of this name: 32 random bytes, made by whoever asks first."""
    system_only(scope)
    await insert_new(
        connection, tables.secrets, {"name": name, "value": random.token_bytes(KEY_BYTES), "created_at": now}
    )
    statement = select(tables.secrets.c.value).where(tables.secrets.c.name == name)
    return bytes((await connection.execute(statement)).scalar_one())
