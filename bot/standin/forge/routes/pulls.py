"""Pull requests."""

from bot.standin.forge import actions, bodies, refusals
from bot.standin.forge.call import Answer, Call, Route
from bot.standin.forge.history import changes, merge_base, pull_facts, pull_shas, read_commits
from bot.standin.forge.pull_actions import PullRequest, open_pull, set_pull_state
from bot.standin.forge.shapes import gitdata, pulls
from bot.standin.forge.state import Pull, Thread


def _pull(call: Call) -> tuple[Thread, Pull]:
    """The pull request of the path; raises a 404 refusal for a plain issue."""
    thread = call.stage.world.thread(call.repository, call.number("number"))
    if thread.pull is None:
        raise refusals.not_found()
    return thread, thread.pull


async def _full(call: Call, thread: Thread, pull: Pull, status: int = 200) -> Answer:
    facts = await pull_facts(call.bare, thread, pull)
    return Answer(status, pulls.pull_full(call.stage.world, call.repository, thread, pull, facts))


async def list_pulls(call: Call) -> Answer:
    """Pull requests, newest first; `head` counts only in the form `owner:branch`, as on GitHub."""
    world, query = call.stage.world, call.query
    state, base, head = query.get("state", "open"), query.get("base"), query.get("head", "")
    owner, colon, branch = head.partition(":")
    found = []
    for thread in sorted(call.repository.threads.values(), key=lambda one: -one.number):
        pull = thread.pull
        if pull is None or not world.is_visible(thread) or state not in {"all", thread.state}:
            continue
        if base is not None and pull.base != base:
            continue
        if colon and (owner.lower(), branch) != (call.repository.owner.login.lower(), pull.head):
            continue
        shas = await pull_shas(call.bare, thread, pull)
        found.append(pulls.pull_simple(world, call.repository, thread, pull, *shas))
    page, headers = call.page(found)
    return Answer(body=page, headers=headers)


async def create_pull(call: Call) -> Answer:
    """A new pull request by the App."""
    body = call.json()
    head = bodies.required_text(body, "head", "PullRequest")
    owner, colon, branch = head.rpartition(":")
    if colon and owner.lower() != call.repository.owner.login.lower():
        raise refusals.invalid("PullRequest", "head")
    wanted = PullRequest(
        title=bodies.required_text(body, "title", "PullRequest"),
        body=bodies.optional_text(body, "body", "PullRequest"),
        head=branch,
        base=bodies.required_text(body, "base", "PullRequest"),
        is_draft=bodies.flag(body, "draft", "PullRequest"),
    )
    thread, pull = await open_pull(call.stage, call.repository, call.writer, wanted)
    return await _full(call, thread, pull, 201)


async def get_pull(call: Call) -> Answer:
    """One pull request."""
    return await _full(call, *_pull(call))


async def update_pull(call: Call) -> Answer:
    """Change title, body, base, state."""
    (thread, pull), body = _pull(call), call.json()
    title = bodies.optional_text(body, "title", "PullRequest")
    words = bodies.optional_text(body, "body", "PullRequest")
    state = bodies.choice(body, "state", "PullRequest", ("open", "closed"))
    base = bodies.optional_text(body, "base", "PullRequest")
    if base is not None and await call.bare.branch(base) is None:
        raise refusals.invalid("PullRequest", "base")
    await actions.edit_thread(call.stage, call.repository, thread, call.bot, title=title, body=words)
    pull.base = base or pull.base
    if state is not None:
        await set_pull_state(call.stage, call.repository, thread, call.bot, state)
    return await _full(call, thread, pull)


async def list_files(call: Call) -> Answer:
    """The files that a pull request changes."""
    thread, pull = _pull(call)
    head, base = await pull_shas(call.bare, thread, pull)
    changed = await changes(call.bare, await merge_base(call.bare, base, head) or base, head)
    page, headers = call.page(
        [gitdata.diff_entry(call.stage.world, call.repository, head, it) for it in changed]
    )
    return Answer(body=page, headers=headers)


async def list_commits(call: Call) -> Answer:
    """The commits of a pull request, oldest first."""
    thread, pull = _pull(call)
    head, base = await pull_shas(call.bare, thread, pull)
    found = reversed(await read_commits(call.bare, head, f"^{base}"))
    page, headers = call.page([gitdata.commit(call.stage.world, call.repository, one) for one in found])
    return Answer(body=page, headers=headers)


_PULLS = "/repos/{owner}/{repo}/pulls"
_ONE = _PULLS + "/{number}"
ROUTES = [
    Route("GET", _PULLS, list_pulls, "pull_requests=read"),
    Route("POST", _PULLS, create_pull, "pull_requests=write"),
    Route("GET", _ONE, get_pull, "pull_requests=read"),
    Route("PATCH", _ONE, update_pull, "pull_requests=write"),
    Route("GET", _ONE + "/files", list_files, "pull_requests=read"),
    Route("GET", _ONE + "/commits", list_commits, "pull_requests=read"),
]
