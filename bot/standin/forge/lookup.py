"""Finding by name what people speak of."""

from bot.standin.forge import refusals
from bot.standin.forge.stage import Stage
from bot.standin.forge.state import Installation, Repository, Thread, User


class Lookup:
    """Names to things of one stage; raises 404 (410 for deleted threads) refusals."""

    stage: Stage

    def repository(self, full_name: str) -> Repository:
        """The repository of that name."""
        return self.stage.world.repository(full_name)

    def thread(self, repository: str, number: int) -> Thread:
        """The issue or pull request of that number."""
        return self.stage.world.thread(self.repository(repository), number)

    def account(self, login: str) -> User:
        """The account of that login, made when it is not there yet."""
        return self.stage.world.add_user(login)

    def installation(self, installation_id: int) -> Installation:
        """The installation of that id."""
        try:
            return self.stage.world.installations[installation_id]
        except KeyError:
            raise refusals.not_found() from None
