"""The one place where a delivery becomes durable."""

from bot.db import deliveries
from bot.db.database import Database
from bot.db.deliveries import Accepted, IncomingDelivery
from bot.domain.values import Scope


class Inbox:
    """Stores deliveries; what `store` returned for is committed."""

    def __init__(self, database: Database) -> None:
        """Keep the database that is the truth."""
        self._database = database

    async def store(self, delivery: IncomingDelivery) -> Accepted:
        """Commit *delivery*, or find the one that came before.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: It could not be stored; nothing was kept.
        """
        async with self._database.write() as connection:
            return await deliveries.store(Scope.system(), connection, delivery)
