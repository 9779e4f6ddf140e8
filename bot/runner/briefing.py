"""What an agent is told at the start: the request, its pictures, the tree's map, the sandbox's programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bot import logs
from bot.agents import prompt
from bot.agents.prompt import Prompt, Request
from bot.agents.registry import Definition
from bot.domain import delimiter, images
from bot.domain.images import Picture
from bot.domain.ports import ToolHost
from bot.domain.values import ClaimedJob
from bot.errors import Permanent, RetryLater
from bot.github.images import Gallery
from bot.github.repository import RepositoryApi
from bot.runner.base import Base

log = logs.get(__name__)

MAP_CHARS: Final = 6_000
"""About 1,500 tokens: enough to know where to look first, and each step of the job reads it again."""


@dataclass(frozen=True, slots=True)
class Briefing:
    """Renders the first message of a job; `programs` is what commands find in the sandbox."""

    gallery: Gallery
    programs: str

    async def prompt(
        self, job: ClaimedJob, base: Base, definition: Definition, host: ToolHost, api: RepositoryApi
    ) -> Prompt:
        """The prompt of a job that begins; one that goes on has its own in the transcript.

        A picture that cannot be had, or a map that cannot be made, is left out.
        """
        can_run = "run_command" in definition.tools
        request = Request(
            repository=base.repository,
            number=job.origin.number,
            snapshot=job.origin.snapshot,
            verify=base.config.verify,
            guidance=base.guidance,
            survey=await host.survey(MAP_CHARS),
            programs=self.programs if can_run else "",
            pictures=await self._pictures(job, api),
        )
        return prompt.build(definition, request, delimiter=delimiter.new())

    async def _pictures(self, job: ClaimedJob, api: RepositoryApi) -> tuple[Picture, ...]:
        """The pictures that the signed event's text shows, from GitHub's own hosts alone."""
        urls = images.attachments(job.origin.snapshot.body, self.gallery.github_url)
        found = {url: await self.gallery.fetch(url) for url in urls}
        missing = [url for url, picture in found.items() if picture is None]
        found |= await self._private(job, api, missing)
        return tuple(picture for picture in found.values() if picture is not None)

    async def _private(
        self, job: ClaimedJob, api: RepositoryApi, urls: Sequence[str]
    ) -> dict[str, Picture | None]:
        """The same for those that only people with access see: GitHub signs their addresses for us."""
        if not urls:
            return {}
        try:
            html = await api.rendered(job.origin.number)
        except (Permanent, RetryLater) as error:
            log.info("pictures_not_found", why=str(error))
            return {}
        found: dict[str, Picture | None] = {}
        for url in urls:
            asset = images.asset_of(url)
            signed = images.signed(html, asset, self.gallery.github_url) if asset else None
            if signed is not None:
                found[url] = await self.gallery.fetch(signed)
        return found
