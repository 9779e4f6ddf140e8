"""Branches and refs."""

from bot.standin.forge import bodies, refusals
from bot.standin.forge.call import Answer, Call, Route
from bot.standin.forge.history import read_commit
from bot.standin.forge.permissions import allows
from bot.standin.forge.plumbing import ZERO_SHA, GitRefused
from bot.standin.forge.pull_actions import branch_moved
from bot.standin.forge.shapes import gitdata, repositories
from bot.standin.forge.trees import touches_workflows

EMPTY = "Git Repository is empty."
_HEADS = "refs/heads/"


async def require_commits(call: Call) -> None:
    """Raise a 409 refusal for a repository without commits."""
    if await call.bare.is_empty():
        raise refusals.conflict(EMPTY)


def _is_hidden(call: Call, ref: str) -> bool:
    return call.repository.hidden_refs.get(ref, 0.0) > call.stage.world.clock.now()


async def _visible(call: Call, ref: str) -> str | None:
    return None if _is_hidden(call, ref) else await call.bare.sha(ref)


async def get_branch(call: Call) -> Answer:
    """A branch with its commit."""
    name, world = call.match["branch"], call.stage.world
    sha = await _visible(call, _HEADS + name)
    if sha is None:
        raise refusals.not_found("Branch not found")
    api, html = repositories.api_url(world, call.repository), repositories.html_url(world, call.repository)
    body = {
        "name": name,
        "commit": gitdata.commit(world, call.repository, await read_commit(call.bare, sha)),
        "_links": {"self": f"{api}/branches/{name}", "html": f"{html}/tree/{name}"},
        "protected": False,
        "protection": {"enabled": False, "required_status_checks": {"contexts": [], "checks": []}},
        "protection_url": f"{api}/branches/{name}/protection",
    }
    return Answer(body=body)


async def get_ref(call: Call) -> Answer:
    """One ref, named exactly."""
    await require_commits(call)
    ref = f"refs/{call.match['ref']}"
    sha = await _visible(call, ref)
    if sha is None:
        raise refusals.not_found()
    return _ref(call, ref, sha)


def _ref(call: Call, ref: str, sha: str, status: int = 200) -> Answer:
    return Answer(status, gitdata.git_ref(call.stage.world, call.repository, ref, sha))


async def list_matching(call: Call) -> Answer:
    """All refs that begin with the given name."""
    await require_commits(call)
    prefix = f"refs/{call.match['ref']}"
    lines = (await call.bare.text("for-each-ref", "--format=%(objectname) %(refname)")).splitlines()
    pairs = [line.split(" ", 1) for line in lines]
    found = [
        gitdata.git_ref(call.stage.world, call.repository, ref, sha)
        for sha, ref in pairs
        if ref.startswith(prefix) and not _is_hidden(call, ref)
    ]
    return Answer(body=found)


async def create_ref(call: Call) -> Answer:
    """A new branch or tag at an existing commit."""
    await require_commits(call)
    body = call.json()
    ref = bodies.required_text(body, "ref", "Reference")
    sha = bodies.required_text(body, "sha", "Reference")
    await _check_name(call, ref)
    if await call.bare.sha(ref) is not None:
        raise refusals.unprocessable("Reference already exists")
    await _check_commit(call, sha)
    await _update(call, ref, sha, ZERO_SHA)
    return _ref(call, ref, sha, 201)


async def _check_name(call: Call, ref: str) -> None:
    try:
        await call.bare.run("check-ref-format", ref)
    except GitRefused:
        raise refusals.unprocessable(f"{ref} is not a valid ref name.") from None
    if not ref.startswith(("refs/heads/", "refs/tags/")):
        raise refusals.unprocessable("Reference name must start with refs/heads/ or refs/tags/")


async def _check_commit(call: Call, sha: str) -> None:
    """Refuse what is no commit, and workflow files that the token may not bring in."""
    if await call.bare.object_sha(sha, "commit") is None:
        raise refusals.unprocessable("Object does not exist")
    may = allows(call.token.permissions, "workflows", "write")
    if not may and await touches_workflows(call.bare, sha):
        raise refusals.forbidden(accepted="contents=write,workflows=write")


async def _update(call: Call, ref: str, new: str, old: str) -> None:
    try:
        await call.bare.update_ref(ref, new, old)
    except GitRefused:
        words = "Reference already exists" if old == ZERO_SHA else "Reference cannot be updated"
        raise refusals.unprocessable(words) from None
    if call.delay_seconds:
        call.repository.hidden_refs[ref] = call.visible_at
    if ref.startswith(_HEADS):
        before = None if old == ZERO_SHA else old
        await branch_moved(call.stage, call.repository, ref.removeprefix(_HEADS), before, call.bot)


async def update_ref(call: Call) -> Answer:
    """Move a ref; only forward unless `force` is true."""
    await require_commits(call)
    ref, body = f"refs/{call.match['ref']}", call.json()
    sha = bodies.required_text(body, "sha", "Reference")
    is_forced = bodies.flag(body, "force", "Reference")
    old = await call.bare.sha(ref)
    if old is None:
        raise refusals.unprocessable("Reference does not exist")
    await _check_commit(call, sha)
    if not is_forced and await call.bare.text("rev-list", "--count", old, f"^{sha}") != "0":
        raise refusals.unprocessable("Update is not a fast forward")
    await _update(call, ref, sha, old)
    return _ref(call, ref, sha)


async def delete_ref(call: Call) -> Answer:
    """Remove a ref; open pull requests from it are closed."""
    await require_commits(call)
    ref = f"refs/{call.match['ref']}"
    old = await call.bare.sha(ref)
    if old is None:
        raise refusals.unprocessable("Reference does not exist")
    await call.bare.delete_ref(ref)
    await branch_moved(call.stage, call.repository, ref.removeprefix(_HEADS), old, call.bot)
    return Answer(204)


_GIT = "/repos/{owner}/{repo}/git"
_WRITE = "contents=write; contents=write,workflows=write"
ROUTES = [
    Route("GET", "/repos/{owner}/{repo}/branches/{branch:.+}", get_branch, "contents=read"),
    Route("GET", _GIT + "/ref/{ref:.+}", get_ref, "contents=read"),
    Route("GET", _GIT + "/matching-refs/{ref:.+}", list_matching, "contents=read"),
    Route("POST", _GIT + "/refs", create_ref, _WRITE),
    Route("PATCH", _GIT + "/refs/{ref:.+}", update_ref, _WRITE),
    Route("DELETE", _GIT + "/refs/{ref:.+}", delete_ref, _WRITE),
]
