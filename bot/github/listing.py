"""Where the App is installed, as whole lists: a part is never given out as the whole."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from bot.domain.values import RepositoryRef
from bot.github.app import GitHubApp
from bot.github.tokens import Loan
from bot.github.values import InstallationInfo, RepositoryInfo
from bot.github.whole import whole

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
        """All pages, each signed for anew: a walk may take longer than a credential lasts."""
        first = f"{path}?per_page={self._page_size}"
        return await whole(lambda place: self._app.page(place, parse, loan=loan), first, MAX_PAGES)


def _installations(page: Any) -> list[InstallationInfo]:
    return [InstallationInfo.from_json(item) for item in page]


def _repositories(page: Any) -> list[RepositoryRef]:
    """The items of one page; a default branch and whether they are archived are not of interest here."""
    found = [RepositoryInfo.from_json(item) for item in page["repositories"]]
    return [RepositoryRef(one.id, one.full_name, one.default_branch, one.is_private) for one in found]
