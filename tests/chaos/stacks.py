"""The servers that a stack stands on, which a scenario may kill and start again."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from bot.db import migrate
from tests.postgres import Postgres, running_postgres, wait_for
from tests.valkey import Valkey, running_valkey

STACKS: Final = ("sqlite", "postgres", "postgres-redis")
# A database that is killed has to keep what it said that it kept.
_DURABLE: Final = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
_NAME: Final = "product"


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack: what the product's environment says of it, and its servers."""

    name: str
    postgres: Postgres | None = None
    valkey: Valkey | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The settings by which the product finds the servers."""
        found = {}
        if self.postgres is not None:
            found["DATABASE_URL"] = self.postgres.url(_NAME)
        if self.valkey is not None:
            found["REDIS_URL"] = self.valkey.url
        return found


@contextmanager
def running_stack(name: str, *, is_durable: bool) -> Iterator[Stack]:
    """A fresh stack of that *name*, migrated; its servers end with the block."""
    with ExitStack() as servers:
        postgres = valkey = None
        if name != "sqlite":
            postgres = servers.enter_context(running_postgres(**_DURABLE if is_durable else {}))
            wait_for(postgres.command(f'CREATE DATABASE "{_NAME}" TEMPLATE template0'))
            wait_for(migrate.upgrade(postgres.url(_NAME)))
        if name == "postgres-redis":
            valkey = servers.enter_context(running_valkey())
        yield Stack(name, postgres, valkey)
