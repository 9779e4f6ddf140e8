"""Files, commits and comparisons read from a branch, tag or SHA."""

from bot.standin.forge import refusals
from bot.standin.forge.call import Answer, Call, Route
from bot.standin.forge.history import changes, count_commits, merge_base, read_commit, read_commits, read_tree
from bot.standin.forge.routes.refs import require_commits
from bot.standin.forge.shapes import gitdata, repositories

_RAW = "application/vnd.github.raw"
_SHA = "application/vnd.github.sha"
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


async def resolve(call: Call, ref: str) -> str | None:
    """The commit of a branch, a tag or a SHA that is visible by now."""
    if call.repository.hidden_refs.get(f"refs/heads/{ref}", 0.0) > call.stage.world.clock.now():
        return None
    for name in (f"refs/heads/{ref}", f"refs/tags/{ref}", ref):
        sha = await call.bare.sha(name)
        if sha is not None:
            return sha
    return None


async def get_contents(call: Call) -> Answer:
    """A file (JSON, or raw by `Accept`), a folder's listing, or a symlink."""
    if await call.bare.is_empty():
        raise refusals.not_found("This repository is empty.")
    ref = call.query.get("ref") or call.repository.default_branch
    sha = await resolve(call, ref)
    if sha is None:
        raise refusals.not_found(f"No commit found for the ref {ref}")
    path = call.match.get("path", "").strip("/")
    world, found = call.stage.world, call.repository
    lines = await read_tree(call.bare, sha, path=path) if path else []
    if path and not lines:
        raise refusals.not_found()
    if not path or lines[0].kind == "tree":
        inside = await read_tree(call.bare, sha, path=f"{path}/" if path else "")
        return Answer(body=[gitdata.content_line(world, found, one, ref) for one in inside])
    content = await call.bare.read_blob(lines[0].sha)
    accept = call.headers.get("Accept", "")
    if _RAW in accept:
        return Answer(body=content, headers={"Content-Type": f"{_RAW}+json; charset=utf-8"})
    return Answer(body=gitdata.content_file(world, found, lines[0], ref, content))


async def list_commits(call: Call) -> Answer:
    """Commits of a branch, newest first; filters `sha` and `path`."""
    await require_commits(call)
    ref = call.query.get("sha") or call.repository.default_branch
    sha = await resolve(call, ref)
    if sha is None:
        raise refusals.not_found()
    found = await read_commits(call.bare, sha, path=call.query.get("path"))
    page, headers = call.page([gitdata.commit(call.stage.world, call.repository, one) for one in found])
    return Answer(body=page, headers=headers)


async def get_commit(call: Call) -> Answer:
    """A commit with what it changed; only its SHA by `Accept`."""
    await require_commits(call)
    ref = call.match["ref"].removeprefix("heads/")
    sha = await resolve(call, ref)
    if sha is None:
        raise refusals.unprocessable(f"No commit found for SHA: {ref}")
    if _SHA in call.headers.get("Accept", ""):
        return Answer(body=sha.encode(), headers={"Content-Type": f"{_SHA}; charset=utf-8"})
    one = await read_commit(call.bare, sha)
    changed = await changes(call.bare, one.parents[0] if one.parents else _EMPTY_TREE, sha)
    return Answer(body=gitdata.commit_with_files(call.stage.world, call.repository, one, changed))


async def compare(call: Call) -> Answer:
    """What `base...head` adds."""
    names = call.match["basehead"].split("...")
    if len(names) != 2:
        raise refusals.not_found()
    base, head = await resolve(call, names[0]), await resolve(call, names[1])
    start = await merge_base(call.bare, base, head) if base and head else None
    if base is None or head is None or start is None:
        raise refusals.not_found()
    world, found = call.stage.world, call.repository
    ahead, behind = await count_commits(call.bare, base, head), await count_commits(call.bare, head, base)
    between = await read_commits(call.bare, head, f"^{base}") if ahead else []
    words = {(True, True): "diverged", (True, False): "ahead", (False, True): "behind"}
    html = f"{repositories.html_url(world, found)}/compare/{names[0]}...{names[1]}"
    body = {
        "url": f"{repositories.api_url(world, found)}/compare/{names[0]}...{names[1]}",
        "html_url": html,
        "permalink_url": html,
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        "base_commit": gitdata.commit(world, found, await read_commit(call.bare, base)),
        "merge_base_commit": gitdata.commit(world, found, await read_commit(call.bare, start)),
        "status": words.get((ahead > 0, behind > 0), "identical"),
        "ahead_by": ahead,
        "behind_by": behind,
        "total_commits": ahead,
        "commits": [gitdata.commit(world, found, one) for one in reversed(between)],
        "files": [
            gitdata.diff_entry(world, found, head, one) for one in await changes(call.bare, start, head)
        ],
    }
    return Answer(body=body)


_REPOSITORY = "/repos/{owner}/{repo}"
ROUTES = [
    Route("GET", _REPOSITORY + "/contents", get_contents, "contents=read"),
    Route("GET", _REPOSITORY + "/contents/{path:.*}", get_contents, "contents=read"),
    Route("GET", _REPOSITORY + "/commits", list_commits, "contents=read"),
    Route("GET", _REPOSITORY + "/commits/{ref:.+}", get_commit, "contents=read"),
    Route("GET", _REPOSITORY + "/compare/{basehead:.+}", compare, "contents=read"),
]
