"""Issues and pull requests as plain text, so that the links in the API lead somewhere."""

from aiohttp import web

from bot.standin.forge.clock import iso
from bot.standin.forge.history import merge_base, pull_shas
from bot.standin.forge.lookup import Lookup
from bot.standin.forge.plumbing import Bare
from bot.standin.forge.refusals import Refusal
from bot.standin.forge.stage import Stage
from bot.standin.forge.state import Pull, Repository, Thread

PATH = "/{owner}/{repo}/{kind:issues|pull}/{number:[0-9]{1,9}}"
_RULE = "-" * 72


class Pages(Lookup):
    """What a person sees who follows a link of the forge."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    async def serve(self, request: web.Request) -> web.Response:
        """One thread with its comments; a pull request with its diff."""
        name = f"{request.match_info['owner']}/{request.match_info['repo']}"
        try:
            thread = self.thread(name, int(request.match_info["number"]))
            text = await _text(self.repository(name), thread)
        except Refusal as refusal:
            return web.Response(status=refusal.status, text=f"{refusal.message}\n")
        return web.Response(text=text)


async def _text(repository: Repository, thread: Thread) -> str:
    labels = ", ".join(one.name for one in thread.labels) or "none"
    people = ", ".join(one.login for one in thread.assignees) or "nobody"
    lines = [
        f"{repository.full_name}#{thread.number}  {thread.title}",
        f"{thread.state}, by {thread.author.login}, labels: {labels}, assigned: {people}",
    ]
    if thread.pull is not None:
        lines.append(f"{'draft ' if thread.pull.is_draft else ''}pull request: {thread.pull.head}")
    lines += ["", thread.body or "", ""]
    for one in thread.comments:
        lines += [_RULE, f"{one.author.login} on {iso(one.created_at)}", "", one.body, ""]
    if thread.pull is not None:
        lines += [_RULE, await _diff(Bare(repository.path), thread, thread.pull)]
    return "\n".join(lines) + "\n"


async def _diff(bare: Bare, thread: Thread, pull: Pull) -> str:
    head, base = await pull_shas(bare, thread, pull)
    return await bare.text("diff", await merge_base(bare, base, head) or base, head)
