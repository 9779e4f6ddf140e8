"""Characters that a database refuses must not end what they came with."""

import json

import pytest
from sqlalchemy import insert, select

from bot.db.database import Database, to_json
from bot.db.tables import events
from bot.domain.ids import new_id
from tests.db.rows import NOW


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("a\0b", "a\ufffdb"),
        ("\0\0", "\ufffd\ufffd"),
        ("\\u0000", "\\u0000"),
        ("\\\0", "\\\ufffd"),
        ("\\\\\0\\u0000", "\\\\\ufffd\\u0000"),
        ({"k\0": ["\0", 1, None]}, {"k\ufffd": ["\ufffd", 1, None]}),
    ],
)
def test_nul_in_json_is_replaced_and_nothing_else(value: object, stored: object) -> None:
    assert json.loads(to_json(value)) == stored


async def test_json_with_nul_is_stored(database: Database) -> None:
    row = {"organization_id": "o", "sequence": 1, "kind": "k", "data": {"path": "a\0b"}, "created_at": NOW}
    async with database.write() as connection:
        await connection.execute(insert(events).values(id=new_id(NOW), **row))
    async with database.read() as connection:
        assert (await connection.execute(select(events.c.data))).scalar_one() == {"path": "a\ufffdb"}
