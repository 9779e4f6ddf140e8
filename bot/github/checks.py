"""Calls on check runs.

https://docs.github.com/en/rest/checks/runs
"""

from typing import Final

from bot.domain.values import Json
from bot.github.line import RepositoryLine, segment
from bot.github.paths import checked_sha
from bot.github.values import CheckRunInfo

MAX_CHECK_PAGES: Final = 10


class CheckCalls(RepositoryLine):
    """The checks of a commit; GitHub lists those of all Apps."""

    async def check_runs(self, sha: str, name: str) -> list[CheckRunInfo]:
        """The newest and the older check runs of that name on a commit."""
        found = await self._pages(
            "/commits/{sha}/check-runs?filter=all&per_page=100{&check_name}",
            CheckRunInfo.from_json,
            {"sha": checked_sha(sha), "check_name": name},
            MAX_CHECK_PAGES,
            member="check_runs",
        )
        return [run for run in found if run.name == name]

    async def create_check_run(self, name: str, sha: str, external_id: str, state: Json) -> CheckRunInfo:
        """A new check run on a commit; *state* holds status, conclusion and output as GitHub names them."""
        body = {"name": name, "head_sha": checked_sha(sha), "external_id": external_id, **state}
        return await self._write("POST", "/check-runs", CheckRunInfo.from_json, {}, body)

    async def update_check_run(self, check_run_id: int, state: Json) -> CheckRunInfo:
        """Bring a check run of ours to *state*; twice is once."""
        return await self._write(
            "PATCH", "/check-runs/{id}", CheckRunInfo.from_json, {"id": segment(check_run_id)}, state
        )
