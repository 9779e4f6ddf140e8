"""Blobs, trees and commits of the Git Data API."""

import base64
import binascii
from datetime import datetime
from typing import Any

from bot.standin.forge import bodies, refusals
from bot.standin.forge.call import Answer, Call, Json, Route
from bot.standin.forge.history import read_commit, read_tree
from bot.standin.forge.routes.refs import require_commits
from bot.standin.forge.shapes import gitdata, repositories
from bot.standin.forge.trees import Entry, Person, write_commit, write_tree


async def create_blob(call: Call) -> Answer:
    """Store bytes given as text or in base64."""
    await require_commits(call)
    body = call.json()
    content = body.get("content")
    if not isinstance(content, str):
        raise refusals.invalid("Blob", "content", "missing_field")
    encoding = bodies.choice(body, "encoding", "Blob", ("utf-8", "base64")) or "utf-8"
    try:
        raw = base64.b64decode(content, validate=False) if encoding == "base64" else content.encode()
    except (binascii.Error, ValueError):
        raise refusals.unprocessable("content is not valid Base64") from None
    (sha,) = await call.bare.write_blobs([raw])
    url = f"{repositories.api_url(call.stage.world, call.repository)}/git/blobs/{sha}"
    return Answer(201, {"sha": sha, "url": url})


async def get_blob(call: Call) -> Answer:
    """The bytes of a blob."""
    await require_commits(call)
    sha = await call.bare.object_sha(call.match["sha"], "blob")
    if sha is None:
        raise refusals.not_found()
    return Answer(body=gitdata.blob(call.stage.world, call.repository, sha, await call.bare.read_blob(sha)))


async def create_tree(call: Call) -> Answer:
    """A tree made of another one with entries put over it; `sha: null` removes a path."""
    await require_commits(call)
    body = call.json()
    lines = body.get("tree")
    if not isinstance(lines, list) or not lines or not all(isinstance(one, dict) for one in lines):
        raise refusals.unprocessable("Invalid tree info")
    base = bodies.optional_text(body, "base_tree", "Tree")
    sha = await write_tree(call.bare, base, [_entry(one) for one in lines])
    shape = gitdata.git_tree(call.stage.world, call.repository, sha, await read_tree(call.bare, sha))
    return Answer(201, shape)


def _entry(line: Json) -> Entry:
    path, mode = line.get("path"), line.get("mode")
    content, sha = line.get("content"), line.get("sha")
    if not isinstance(path, str) or not path:
        raise refusals.unprocessable("tree.path is missing")
    if not isinstance(mode, str):
        raise refusals.unprocessable("Must supply a valid tree.mode")
    if content is not None and sha is not None:
        raise refusals.unprocessable("Must supply either tree.sha or tree.content, not both")
    if content is None and "sha" not in line:
        raise refusals.unprocessable("Must supply either tree.sha or tree.content")
    if not isinstance(content, str | None) or not isinstance(sha, str | None):
        raise refusals.unprocessable("tree.content and tree.sha must be strings")
    return Entry(path, mode, None if content is None else content.encode(), sha)


async def get_tree(call: Call) -> Answer:
    """The entries of a tree, of all folders when `recursive` is given."""
    await require_commits(call)
    sha = await call.bare.sha(call.match["sha"], "tree")
    if sha is None:
        raise refusals.not_found()
    lines = await read_tree(call.bare, sha, recursive="recursive" in call.query)
    return Answer(body=gitdata.git_tree(call.stage.world, call.repository, sha, lines))


async def create_commit(call: Call) -> Answer:
    """A commit; without an author it is the App's and GitHub signs it."""
    await require_commits(call)
    body = call.json()
    message = bodies.required_text(body, "message", "Commit")
    tree = bodies.required_text(body, "tree", "Commit")
    parents = bodies.texts(body, "parents", "Commit") or []
    if await call.bare.object_sha(tree, "tree") is None:
        raise refusals.unprocessable("Tree SHA does not exist")
    for parent in parents:
        if await call.bare.object_sha(parent, "commit") is None:
            raise refusals.unprocessable("Parent SHA does not exist or is not a commit object")
    author, committer = _people(call, body)
    sha = await write_commit(
        call.bare, tree=tree, parents=parents, author=author, committer=committer, message=message
    )
    found = await read_commit(call.bare, sha)
    return Answer(201, gitdata.git_commit(call.stage.world, call.repository, found))


def _people(call: Call, body: Json) -> tuple[Person, Person]:
    world = call.stage.world
    bot = Person(world.app.bot.login, gitdata.bot_email(world), world.clock.now())
    github = Person(*gitdata.GITHUB_COMMITTER, world.clock.now())
    author, committer = body.get("author"), body.get("committer")
    if author is None and committer is None:
        return bot, github
    named = bot if author is None else _person(call, author)
    return named, named if committer is None else _person(call, committer)


def _person(call: Call, fields: Any) -> Person:
    if not isinstance(fields, dict):
        raise refusals.invalid("Commit", "author")
    name = bodies.required_text(fields, "name", "Commit")
    email = bodies.required_text(fields, "email", "Commit")
    date = bodies.optional_text(fields, "date", "Commit")
    if set(name + email) & set("<>\n\0"):
        raise refusals.invalid("Commit", "author")
    try:
        at = call.stage.world.clock.now() if date is None else datetime.fromisoformat(date).timestamp()
    except ValueError:
        raise refusals.invalid("Commit", "date") from None
    return Person(name, email, at)


async def get_commit(call: Call) -> Answer:
    """A commit object."""
    await require_commits(call)
    sha = await call.bare.object_sha(call.match["sha"], "commit")
    if sha is None:
        raise refusals.not_found()
    found = await read_commit(call.bare, sha)
    return Answer(body=gitdata.git_commit(call.stage.world, call.repository, found))


_GIT = "/repos/{owner}/{repo}/git"
ROUTES = [
    Route("POST", _GIT + "/blobs", create_blob, "contents=write"),
    Route("GET", _GIT + "/blobs/{sha}", get_blob, "contents=read"),
    Route("POST", _GIT + "/trees", create_tree, "contents=write"),
    Route("GET", _GIT + "/trees/{sha}", get_tree, "contents=read"),
    Route("POST", _GIT + "/commits", create_commit, "contents=write"),
    Route("GET", _GIT + "/commits/{sha}", get_commit, "contents=read"),
]
