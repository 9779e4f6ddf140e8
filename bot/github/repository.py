"""One repository seen through one token: every call that we make on it."""

from bot.errors import NotFound
from bot.github.checks import CheckCalls
from bot.github.line import id_of
from bot.github.paths import is_login
from bot.github.pulls import PullCalls
from bot.github.threads import ThreadCalls
from bot.github.trees import TreeCalls
from bot.github.values import Permission, RepositoryInfo


class RepositoryApi(ThreadCalls, TreeCalls, PullCalls, CheckCalls):
    """One repository; each call has a timeout, and none a retry of its own but the one after a 401."""

    async def info(self) -> RepositoryInfo:
        """The repository as GitHub names it now."""
        return await self._read("", RepositoryInfo.from_json)

    async def permission(self, login: str) -> Permission:
        """What *login* may do here; nobody we can name may do nothing."""
        if not is_login(login):
            return Permission(level="none", user_id=0)
        try:
            return await self._read(
                "/collaborators/{login}/permission", Permission.from_json, {"login": login}
            )
        except NotFound:
            return Permission(level="none", user_id=0)

    async def user_id(self, login: str) -> int:
        """The number of an account."""
        return await self._call("GET", "/users/{login}", id_of, {"login": login}, root="")
