"""The one place where a delivery becomes durable."""

import sqlite3
from dataclasses import replace
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from bot.db.database import Database
from bot.db.deliveries import PART_BYTES, Accepted, IncomingDelivery
from bot.db.inbox import Keep, Look, NotStored, Part, Work, Writer
from bot.db.inbox_postgres import PostgresWriter
from bot.db.inbox_sqlite import SqliteWriter
from bot.domain.ids import new_id
from bot.errors import RetryLater

RETRY_AFTER_SECONDS: Final = 30.0
_FAILURES: Final = (
    NotStored,
    SQLAlchemyError,
    sqlite3.Error,
    OSError,
    TimeoutError,
    ValueError,
    LookupError,
    OverflowError,
)


class Inbox:
    """Stores deliveries; what `store` returned for is committed, together with what waited beside it."""

    def __init__(self, database: Database) -> None:
        """Keep the database that is the truth; its writer begins with the first delivery."""
        self._writer: Writer = (
            SqliteWriter(database.engine) if database.is_sqlite else PostgresWriter(database)
        )

    async def store(self, delivery: IncomingDelivery) -> Accepted:
        """Commit *delivery*, or find the one that came before (same target and GUID, or same body).

        A large body is stored in parts, between the small ones. A delivery that had FAILED is taken
        up again, unless what came now is of no concern; one that is being worked on or done is not.

        Raises:
            RetryLater: It could not be stored; nothing was kept.
        """
        delivery = in_parts(delivery)
        accepted = await self._upload(delivery) if delivery.parts else await self._do(Keep(delivery))
        if accepted is None:
            raise RetryLater("the delivery vanished while it was stored", after_seconds=RETRY_AFTER_SECONDS)
        return accepted

    async def close(self) -> None:
        """Finish what waits; the second time does nothing."""
        await self._writer.close()

    async def _upload(self, delivery: IncomingDelivery) -> Accepted | None:
        """Store a large delivery; what is left of one that breaks off belongs to no delivery."""
        known = await self._do(Look(delivery))
        if known is not None:
            return known
        upload_id = new_id(delivery.received_at)
        for number, content in enumerate(delivery.parts):
            await self._do(Part(upload_id, number, content, delivery.received_at))
        return await self._do(Keep(delivery, upload_id))

    async def _do(self, work: Work) -> Accepted | None:
        try:
            return await self._writer.do(work)
        except _FAILURES as error:
            raise RetryLater(
                f"the delivery could not be stored ({_name_of(error)})", after_seconds=RETRY_AFTER_SECONDS
            ) from error


def in_parts(delivery: IncomingDelivery) -> IncomingDelivery:
    """The same delivery, its body in parts where it is large."""
    body = delivery.payload
    if body is None or len(body) <= PART_BYTES:
        return delivery
    parts = tuple(body[start : start + PART_BYTES] for start in range(0, len(body), PART_BYTES))
    return replace(delivery, payload=None, parts=parts)


def _name_of(error: BaseException) -> str:
    """The kind of *error*, and what SQLite says of the file; values never stand in it."""
    words = f": {error}" if isinstance(error, sqlite3.OperationalError) else ""
    return f"{type(error).__name__}{words}"
