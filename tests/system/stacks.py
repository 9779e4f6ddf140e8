"""The stacks that the product is run on: SQLite with the engine in memory, Postgres, Postgres with Redis."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Final

from bot.db import migrate
from tests.postgres import running_postgres
from tests.valkey import running_valkey

STACKS: Final = ("sqlite", "postgres", "postgres-redis")
# A model that answers at once: the least that a job can do.
SHORT_BOOK: Final = {
    "scripts": [
        {
            "name": "nothing",
            "turns": [
                {"content": [{"type": "tool_use", "name": name, "input": {key: "All is well."}}]}
                for name, key in (("post_analysis", "text"), ("finish", "summary"))
            ],
        }
    ]
}


@asynccontextmanager
async def stack_environment(name: str) -> AsyncIterator[dict[str, str]]:
    """The settings of a fresh stack of that *name*; its servers end with the block."""
    if name == "sqlite":
        yield {}
        return
    with ExitStack() as servers:
        postgres = servers.enter_context(running_postgres())
        await postgres.command('CREATE DATABASE "product" TEMPLATE template0')
        url = postgres.url("product")
        await migrate.upgrade(url)
        redis = {"REDIS_URL": servers.enter_context(running_valkey()).url} if name == "postgres-redis" else {}
        yield {"DATABASE_URL": url, **redis}
