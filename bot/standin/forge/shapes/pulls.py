"""Pull requests as JSON."""

from dataclasses import dataclass
from typing import Any

from bot.standin.forge.clock import iso_or_none
from bot.standin.forge.shapes.accounts import node_id, user
from bot.standin.forge.shapes.repositories import api_url, repository
from bot.standin.forge.shapes.threads import issue, thread_html_url
from bot.standin.forge.state import Pull, Repository, Thread
from bot.standin.forge.world import World


@dataclass(frozen=True, slots=True)
class PullFacts:
    """What git says about a pull request."""

    head_sha: str
    base_sha: str
    commits: int
    additions: int
    deletions: int
    changed_files: int


def pull_simple(
    world: World, found: Repository, thread: Thread, pull: Pull, head_sha: str, base_sha: str
) -> dict[str, Any]:
    """A pull request as lists give it."""
    like_issue = issue(world, found, thread)
    same = ("number", "state", "locked", "active_lock_reason", "title", "body", "user", "milestone")
    also = ("created_at", "updated_at", "closed_at", "assignee", "assignees", "author_association")
    return {
        **{key: like_issue[key] for key in (*same, *also)},
        **_addresses(world, found, thread, head_sha),
        "id": pull.id,
        "node_id": node_id("PR", pull.id),
        "labels": [{**one, "description": one["description"] or ""} for one in like_issue["labels"]],
        "merged_at": iso_or_none(pull.merged_at),
        "merge_commit_sha": pull.merge_commit_sha,
        "requested_reviewers": [],
        "requested_teams": [],
        "head": _side(world, found, pull.head, head_sha),
        "base": _side(world, found, pull.base, base_sha),
        "auto_merge": None,
        "draft": pull.is_draft,
    }


def pull_full(
    world: World, found: Repository, thread: Thread, pull: Pull, facts: PullFacts
) -> dict[str, Any]:
    """A pull request as a single read and webhooks give it."""
    is_open = thread.state == "open"
    return {
        **pull_simple(world, found, thread, pull, facts.head_sha, facts.base_sha),
        "merged": pull.merged_at is not None,
        "mergeable": True if is_open else None,
        "rebaseable": True if is_open else None,
        "mergeable_state": "draft" if pull.is_draft else "clean" if is_open else "unknown",
        "merged_by": user(world, pull.merged_by) if pull.merged_by else None,
        "comments": len(thread.comments),
        "review_comments": 0,
        "maintainer_can_modify": False,
        "commits": facts.commits,
        "additions": facts.additions,
        "deletions": facts.deletions,
        "changed_files": facts.changed_files,
    }


def _addresses(world: World, found: Repository, thread: Thread, head_sha: str) -> dict[str, Any]:
    api = f"{api_url(world, found)}/pulls/{thread.number}"
    as_issue = f"{api_url(world, found)}/issues/{thread.number}"
    page = thread_html_url(world, found, thread)
    links = {
        "self": api,
        "html": page,
        "issue": as_issue,
        "comments": f"{as_issue}/comments",
        "review_comments": f"{api}/comments",
        "review_comment": f"{api_url(world, found)}/pulls/comments{{/number}}",
        "commits": f"{api}/commits",
        "statuses": f"{api_url(world, found)}/statuses/{head_sha}",
    }
    return {
        "url": api,
        "html_url": page,
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        "issue_url": as_issue,
        **{f"{key}_url": links[key] for key in links if key not in {"self", "html", "issue"}},
        "_links": {key: {"href": value} for key, value in links.items()},
    }


def _side(world: World, found: Repository, branch: str, sha: str) -> dict[str, Any]:
    return {
        "label": f"{found.owner.login}:{branch}",
        "ref": branch,
        "sha": sha,
        "user": user(world, found.owner),
        "repo": repository(world, found),
    }
