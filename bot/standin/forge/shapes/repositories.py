"""Repositories and what hangs directly on them as JSON."""

from typing import Any

from bot.standin.forge.clock import iso
from bot.standin.forge.shapes.accounts import node_id, user
from bot.standin.forge.state import Label, Repository
from bot.standin.forge.world import World

_SUFFIXES = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}

_COUNTS = ("stargazers_count", "watchers_count", "forks_count", "forks", "watchers")
_SWITCHED_OFF = (
    "disabled",
    "has_discussions",
    "has_downloads",
    "has_pages",
    "has_projects",
    "has_wiki",
    "is_template",
    "web_commit_signoff_required",
)


def api_url(world: World, found: Repository) -> str:
    """The address of a repository in the API."""
    return f"{world.url}/repos/{found.full_name}"


def html_url(world: World, found: Repository) -> str:
    """The address of a repository for people."""
    return f"{world.url}/{found.full_name}"


def repository(world: World, found: Repository) -> dict[str, Any]:
    """A repository as lists, pull requests and webhooks hold it."""
    api, html = api_url(world, found), html_url(world, found)
    is_open = sum(1 for one in found.threads.values() if one.state == "open" and not one.is_deleted)
    return {
        "id": found.id,
        "node_id": node_id("R", found.id),
        "name": found.name,
        "full_name": found.full_name,
        "private": found.is_private,
        "owner": user(world, found.owner),
        "html_url": html,
        "description": None,
        "fork": False,
        "url": api,
        **{key: api + suffix for key, suffix in _SUFFIXES.items()},
        "created_at": iso(found.created_at),
        "updated_at": iso(found.pushed_at),
        "pushed_at": iso(found.pushed_at),
        "git_url": f"git:{html.partition(':')[2]}.git",
        "ssh_url": f"git@{world.url.partition('//')[2]}:{found.full_name}.git",
        "clone_url": f"{html}.git",
        "svn_url": html,
        "homepage": None,
        "size": 0,
        "language": None,
        **dict.fromkeys(_COUNTS, 0),
        "open_issues_count": is_open,
        "open_issues": is_open,
        "has_issues": True,
        **dict.fromkeys(_SWITCHED_OFF, False),
        "mirror_url": None,
        "archived": found.is_archived,
        "license": None,
        "allow_forking": True,
        "topics": [],
        "visibility": "private" if found.is_private else "public",
        "default_branch": found.default_branch,
    }


def full_repository(world: World, found: Repository) -> dict[str, Any]:
    """A repository as `GET /repos/{owner}/{repo}` gives it."""
    return {**repository(world, found), "subscribers_count": 0, "network_count": 0}


def short_repository(found: Repository) -> dict[str, Any]:
    """A repository as installation events list it."""
    return {
        "id": found.id,
        "node_id": node_id("R", found.id),
        "name": found.name,
        "full_name": found.full_name,
        "private": found.is_private,
    }


def label(world: World, found: Repository, one: Label) -> dict[str, Any]:
    """A label."""
    return {
        "id": one.id,
        "node_id": node_id("LA", one.id),
        "url": f"{api_url(world, found)}/labels/{one.name.replace(' ', '%20')}",
        "name": one.name,
        "color": one.color,
        "default": one.name in {"bug", "documentation", "duplicate", "enhancement", "question"},
        "description": one.description,
    }
