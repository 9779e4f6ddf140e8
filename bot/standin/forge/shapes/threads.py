"""Issues, comments and reactions as JSON."""

from collections import Counter
from typing import Any

from bot.standin.forge.clock import iso, iso_or_none
from bot.standin.forge.shapes.accounts import integration, node_id, user
from bot.standin.forge.shapes.repositories import api_url, html_url, label
from bot.standin.forge.state import Comment, Reaction, Repository, Thread, User
from bot.standin.forge.world import World

CONTENTS = ("+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes")


def association(world: World, repository: Repository, account: User) -> str:
    """OWNER, COLLABORATOR or NONE; never to be trusted for permission."""
    if account is repository.owner:
        return "OWNER"
    explicit = repository.levels.get(account.login.lower(), "none")
    return "NONE" if explicit == "none" or account is world.app.bot else "COLLABORATOR"


def rollup(url: str, reactions: list[Reaction]) -> dict[str, Any]:
    """How many reactions of each kind."""
    counted = Counter(one.content for one in reactions)
    return {
        "url": f"{url}/reactions",
        "total_count": counted.total(),
        **{name: counted[name] for name in CONTENTS},
    }


def reaction(world: World, one: Reaction) -> dict[str, Any]:
    """One reaction."""
    return {
        "id": one.id,
        "node_id": node_id("REA", one.id),
        "user": user(world, one.user),
        "content": one.content,
        "created_at": iso(one.created_at),
    }


def thread_html_url(world: World, repository: Repository, thread: Thread) -> str:
    """The page of an issue or pull request."""
    kind = "issues" if thread.pull is None else "pull"
    return f"{html_url(world, repository)}/{kind}/{thread.number}"


def issue(world: World, repository: Repository, thread: Thread) -> dict[str, Any]:
    """An issue; a pull request in its form as an issue."""
    api = f"{api_url(world, repository)}/issues/{thread.number}"
    assignees = [user(world, one) for one in thread.assignees]
    shape: dict[str, Any] = {
        "id": thread.id,
        "node_id": node_id("I", thread.id),
        "url": api,
        "repository_url": api_url(world, repository),
        "labels_url": f"{api}/labels{{/name}}",
        "comments_url": f"{api}/comments",
        "events_url": f"{api}/events",
        "html_url": thread_html_url(world, repository, thread),
        "timeline_url": f"{api}/timeline",
        "number": thread.number,
        "state": thread.state,
        "state_reason": thread.state_reason,
        "title": thread.title,
        "body": thread.body,
        "user": user(world, thread.author),
        "labels": [label(world, repository, one) for one in thread.labels],
        "assignee": assignees[0] if assignees else None,
        "assignees": assignees,
        "milestone": None,
        "locked": thread.is_locked,
        "active_lock_reason": None,
        "comments": sum(1 for one in thread.comments if world.is_visible(one)),
        "closed_at": iso_or_none(thread.closed_at),
        "created_at": iso(thread.created_at),
        "updated_at": iso(thread.updated_at),
        "author_association": association(world, repository, thread.author),
        "reactions": rollup(api, thread.reactions),
        "performed_via_github_app": integration(world, world.app) if thread.via_app else None,
    }
    if thread.pull is not None:
        shape["draft"] = thread.pull.is_draft
        shape["pull_request"] = _pull_links(world, repository, thread)
    return shape


def full_issue(world: World, repository: Repository, thread: Thread) -> dict[str, Any]:
    """An issue as a single read gives it."""
    closed_by = user(world, thread.closed_by) if thread.closed_by else None
    return {**issue(world, repository, thread), "closed_by": closed_by}


def _pull_links(world: World, repository: Repository, thread: Thread) -> dict[str, Any]:
    page = thread_html_url(world, repository, thread)
    return {
        "url": f"{api_url(world, repository)}/pulls/{thread.number}",
        "html_url": page,
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        "merged_at": iso_or_none(thread.pull.merged_at if thread.pull else None),
    }


def comment(world: World, repository: Repository, one: Comment) -> dict[str, Any]:
    """A comment of an issue or pull request."""
    api = f"{api_url(world, repository)}/issues/comments/{one.id}"
    thread = repository.threads[one.number]
    return {
        "id": one.id,
        "node_id": node_id("IC", one.id),
        "url": api,
        "html_url": f"{thread_html_url(world, repository, thread)}#issuecomment-{one.id}",
        "issue_url": f"{api_url(world, repository)}/issues/{one.number}",
        "user": user(world, one.author),
        "created_at": iso(one.created_at),
        "updated_at": iso(one.updated_at),
        "body": one.body,
        "author_association": association(world, repository, one.author),
        "reactions": rollup(api, one.reactions),
        "performed_via_github_app": integration(world, world.app) if one.via_app else None,
    }
