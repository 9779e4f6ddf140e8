"""Postgres refuses transactions now and then: serialization failures, deadlocks, a full disk."""

import asyncio
from typing import Final

from sqlalchemy import text

from bot.db import tables
from tests.chaos.installation import Installation
from tests.chaos.plan import Tally

SHARE: Final = 0.02
# https://www.postgresql.org/docs/current/errcodes-appendix.html
STATES: Final = ("40001", "40P01", "53100")
TABLES: Final = tuple(
    table.fullname
    for table in (tables.deliveries, tables.agent_jobs, tables.job_runs, tables.operations, tables.job_steps)
)
# The sequence counts on where a transaction is rolled back.
_PREPARE: Final = (
    "CREATE SEQUENCE public.refused",
    f"""
    CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF random() < {SHARE} THEN
            RAISE EXCEPTION 'refused by the chaos kit (%)', nextval('public.refused')
            USING ERRCODE = (ARRAY{list(STATES)})[1 + floor(random() * {len(STATES)})::int];
        END IF;
        RETURN NEW;
    END $$
    """,
    *(
        f"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {name} FOR EACH ROW "
        "EXECUTE FUNCTION public.refuse()"
        for name in TABLES
    ),
)
_REFUSED: Final = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM public.refused"


async def refused_transactions(installation: Installation, tally: Tally) -> None:
    """People ask until Postgres has refused as many transactions as the case says; then it is well again."""
    await _run(installation, *_PREPARE)
    refused = 0
    while refused < installation.case.kills:
        await installation.ask_some()
        await asyncio.sleep(installation.case.random.uniform(0, 2))
        async with installation.database.read() as connection:
            refused = await connection.scalar(text(_REFUSED)) or 0
    await _run(installation, *(f"DROP TRIGGER refuse ON {name}" for name in TABLES))
    tally.kills += refused


async def _run(installation: Installation, *statements: str) -> None:
    """Each alone: whoever locks two tables against people at work gets into their way."""
    for statement in statements:
        async with installation.database.write() as connection:
            await connection.execute(text(statement))
