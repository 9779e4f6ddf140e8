"""The pair of transactions."""

from sqlalchemy import func, insert, select

from bot.db.database import Database
from bot.db.tables import organizations


async def test_a_write_is_kept_when_its_block_ends(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(insert(organizations).values(id="o1", name="one"))
    assert await _names(database) == 1


async def _names(database: Database) -> int:
    async with database.read() as connection:
        return int(await connection.scalar(select(func.count()).select_from(organizations)) or 0)
