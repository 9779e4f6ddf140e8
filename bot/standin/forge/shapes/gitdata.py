"""Refs, commits, trees and files as JSON."""

import base64
from collections.abc import Sequence
from typing import Any

from bot.standin.forge.clock import iso
from bot.standin.forge.history import Change, Commit, TreeLine
from bot.standin.forge.shapes.accounts import user
from bot.standin.forge.shapes.repositories import api_url, html_url
from bot.standin.forge.state import Repository
from bot.standin.forge.world import World

GITHUB_COMMITTER = ("GitHub", "noreply@github.com")
_MAX_JSON_BYTES = 1_048_576  # https://docs.github.com/rest/repos/contents: larger files come without content


def bot_email(world: World) -> str:
    """The address that commits of the App carry."""
    return f"{world.app.bot.id}+{world.app.bot.login}@users.noreply.github.com"


def git_ref(world: World, found: Repository, ref: str, sha: str) -> dict[str, Any]:
    """A ref."""
    api = api_url(world, found)
    return {
        "ref": ref,
        "node_id": f"REF_{found.id:x}_{ref}",
        "url": f"{api}/git/{ref}",
        "object": {"sha": sha, "type": "commit", "url": f"{api}/git/commits/{sha}"},
    }


def _person(fields: tuple[str, str, int]) -> dict[str, str]:
    name, email, at = fields
    return {"name": name, "email": email, "date": iso(at)}


def _verification(one: Commit) -> dict[str, Any]:
    """GitHub signs what it commits for an App: verified exactly when GitHub is the committer."""
    is_verified = one.committer[:2] == GITHUB_COMMITTER
    return {
        "verified": is_verified,
        "reason": "valid" if is_verified else "unsigned",
        "signature": "-----BEGIN PGP SIGNATURE-----\n(stand-in)\n" if is_verified else None,
        "payload": f"tree {one.tree}\n" if is_verified else None,
        "verified_at": iso(one.committer[2]) if is_verified else None,
    }


def git_commit(world: World, found: Repository, one: Commit) -> dict[str, Any]:
    """A commit as the Git Data API gives it."""
    api, html = api_url(world, found), html_url(world, found)
    return {
        "sha": one.sha,
        "node_id": f"C_{found.id:x}_{one.sha}",
        "url": f"{api}/git/commits/{one.sha}",
        "html_url": f"{html}/commit/{one.sha}",
        "author": _person(one.author),
        "committer": _person(one.committer),
        "message": one.message,
        "tree": {"sha": one.tree, "url": f"{api}/git/trees/{one.tree}"},
        "parents": [
            {"sha": sha, "url": f"{api}/git/commits/{sha}", "html_url": f"{html}/commit/{sha}"}
            for sha in one.parents
        ],
        "verification": _verification(one),
    }


def commit(world: World, found: Repository, one: Commit) -> dict[str, Any]:
    """A commit as the repository's own operations give it."""
    api, html = api_url(world, found), html_url(world, found)
    bot = user(world, world.app.bot)
    return {
        "url": f"{api}/commits/{one.sha}",
        "sha": one.sha,
        "node_id": f"C_{found.id:x}_{one.sha}",
        "html_url": f"{html}/commit/{one.sha}",
        "comments_url": f"{api}/commits/{one.sha}/comments",
        "commit": {
            "url": f"{api}/git/commits/{one.sha}",
            "author": _person(one.author),
            "committer": _person(one.committer),
            "message": one.message,
            "comment_count": 0,
            "tree": {"sha": one.tree, "url": f"{api}/git/trees/{one.tree}"},
            "verification": _verification(one),
        },
        "author": bot if one.author[1] == bot_email(world) else None,
        "committer": None,
        "parents": [
            {"sha": sha, "url": f"{api}/commits/{sha}", "html_url": f"{html}/commit/{sha}"}
            for sha in one.parents
        ],
    }


def commit_with_files(
    world: World, found: Repository, one: Commit, changed: Sequence[Change]
) -> dict[str, Any]:
    """A commit with what it changed."""
    additions, deletions = sum(it.additions for it in changed), sum(it.deletions for it in changed)
    return {
        **commit(world, found, one),
        "stats": {"additions": additions, "deletions": deletions, "total": additions + deletions},
        "files": [diff_entry(world, found, one.sha, it) for it in changed],
    }


def diff_entry(world: World, found: Repository, sha: str, one: Change) -> dict[str, Any]:
    """One changed file."""
    html = html_url(world, found)
    return {
        "sha": None,
        "filename": one.path,
        "status": one.status,
        "additions": one.additions,
        "deletions": one.deletions,
        "changes": one.additions + one.deletions,
        "blob_url": f"{html}/blob/{sha}/{one.path}",
        "raw_url": f"{html}/raw/{sha}/{one.path}",
        "contents_url": f"{api_url(world, found)}/contents/{one.path}?ref={sha}",
    }


def git_tree(world: World, found: Repository, sha: str, lines: Sequence[TreeLine]) -> dict[str, Any]:
    """A tree."""
    api = api_url(world, found)
    return {
        "sha": sha,
        "url": f"{api}/git/trees/{sha}",
        "truncated": False,
        "tree": [
            {
                "path": one.path,
                "mode": one.mode,
                "type": one.kind,
                "sha": one.sha,
                "url": f"{api}/git/{one.kind}s/{one.sha}",
                **({} if one.size is None else {"size": one.size}),
            }
            for one in lines
        ],
    }


def blob(world: World, found: Repository, sha: str, content: bytes) -> dict[str, Any]:
    """A blob with its bytes in base64."""
    return {
        "sha": sha,
        "node_id": f"B_{found.id:x}_{sha}",
        "size": len(content),
        "url": f"{api_url(world, found)}/git/blobs/{sha}",
        "content": base64.encodebytes(content).decode(),
        "encoding": "base64",
    }


def content_line(world: World, found: Repository, one: TreeLine, ref: str) -> dict[str, Any]:
    """A file, folder or symlink as a listing shows it."""
    api, html = api_url(world, found), html_url(world, found)
    kinds = {"tree": "dir", "commit": "file"}
    kind = "symlink" if one.mode == "120000" else kinds.get(one.kind, "file")
    urls = {
        "self": f"{api}/contents/{one.path}?ref={ref}",
        "git": f"{api}/git/{one.kind}s/{one.sha}",
        "html": f"{html}/{one.kind}/{ref}/{one.path}",
    }
    return {
        "type": kind,
        "size": one.size or 0,
        "name": one.path.rpartition("/")[2],
        "path": one.path,
        "sha": one.sha,
        "url": urls["self"],
        "git_url": urls["git"],
        "html_url": urls["html"],
        "download_url": None if kind == "dir" else f"{html}/raw/{ref}/{one.path}",
        "_links": urls,
    }


def content_file(world: World, found: Repository, one: TreeLine, ref: str, content: bytes) -> dict[str, Any]:
    """A file with its bytes; without them when it is larger than 1 MB; a symlink with its target."""
    line = content_line(world, found, one, ref)
    if line["type"] == "symlink":
        return {**line, "target": content.decode(errors="replace")}
    if len(content) > _MAX_JSON_BYTES:
        return {**line, "content": "", "encoding": "none"}
    return {**line, "content": base64.encodebytes(content).decode(), "encoding": "base64"}
