"""The one place where a delivery becomes durable."""

from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from bot.db import deliveries
from bot.db.database import Database
from bot.db.deliveries import Accepted, IncomingDelivery
from bot.domain.values import Scope
from bot.errors import RetryLater

RETRY_AFTER_SECONDS: Final = 30.0


class Inbox:
    """Stores deliveries; what `store` returned for is committed."""

    def __init__(self, database: Database) -> None:
        """Keep the database that is the truth."""
        self._database = database

    async def store(self, delivery: IncomingDelivery) -> Accepted:
        """Commit *delivery*, or find the one that came before.

        Raises:
            RetryLater: It could not be stored; nothing was kept.
        """
        try:
            async with self._database.write() as connection:
                return await deliveries.store(Scope.system(), connection, delivery)
        except (SQLAlchemyError, OSError) as error:
            raise RetryLater(
                f"the delivery could not be stored ({type(error).__name__})",
                after_seconds=RETRY_AFTER_SECONDS,
            ) from error
