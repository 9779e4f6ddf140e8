"""Where the App is installed, as whole lists: a part is never given out as the whole."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from bot.domain.values import RepositoryRef
from bot.errors import Invalid
from bot.github.app import GitHubApp
from bot.github.tokens import Loan
from bot.github.values import InstallationInfo, RepositoryInfo

PAGE_SIZE: Final = 100
MAX_PAGES: Final = 100

Item = TypeVar("Item")


class Listing:
    """Lists installations and their repositories; every call may raise the errors of `bot.errors`."""

    def __init__(self, app: GitHubApp, page_size: int = PAGE_SIZE) -> None:
        """Ask as *app*, so many at a time."""
        self._app = app
        self._page_size = page_size

    async def installations(self) -> list[InstallationInfo]:
        """All installations of the App.

        Raises:
            Invalid: There are more than `MAX_PAGES` pages.
        """
        found = await self._whole("/app/installations", _installations, None)
        for one in found:
            await self._app.heard_of(one)
        return found

    async def repositories(self, installation_id: int) -> list[RepositoryRef]:
        """All repositories of an installation, read with a token that can do nothing else.

        Raises:
            Forbidden: It is suspended.
            Uninstalled: It is gone.
            Invalid: There are more than `MAX_PAGES` pages.
        """
        async with self._app.lend(installation_id, None, {"metadata": "read"}) as loan:
            return await self._whole("/installation/repositories", _repositories, loan)

    async def _whole(self, path: str, parse: Callable[[Any], list[Item]], loan: Loan | None) -> list[Item]:
        found: list[Item] = []
        place: str | None = f"{path}?per_page={self._page_size}"
        for _ in range(MAX_PAGES):
            if place is None:
                return found
            items, place = await self._app.page(place, parse, loan=loan)
            found += items
        raise Invalid(f"GitHub lists more than {MAX_PAGES} pages: GET {path}")


def _installations(page: Any) -> list[InstallationInfo]:
    return [InstallationInfo.from_json(item) for item in page]


def _repositories(page: Any) -> list[RepositoryRef]:
    """The items of one page; a default branch and whether they are archived are not of interest here."""
    found = [RepositoryInfo.from_json(item) for item in page["repositories"]]
    return [RepositoryRef(one.id, one.full_name, one.default_branch, one.is_private) for one in found]
