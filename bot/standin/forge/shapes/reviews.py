"""Reviews and check runs as JSON."""

from typing import Any

from bot.standin.forge.clock import iso, iso_or_none
from bot.standin.forge.shapes.accounts import integration, node_id, user
from bot.standin.forge.shapes.repositories import api_url, html_url
from bot.standin.forge.shapes.threads import association, thread_html_url
from bot.standin.forge.state import CheckRun, Repository, Review, Thread
from bot.standin.forge.world import World


def review(world: World, found: Repository, thread: Thread, one: Review) -> dict[str, Any]:
    """A review of a pull request."""
    page = f"{thread_html_url(world, found, thread)}#pullrequestreview-{one.id}"
    pull = f"{api_url(world, found)}/pulls/{thread.number}"
    return {
        "id": one.id,
        "node_id": node_id("PRR", one.id),
        "user": user(world, one.author),
        "body": one.body,
        "state": one.state,
        "html_url": page,
        "pull_request_url": pull,
        "_links": {"html": {"href": page}, "pull_request": {"href": pull}},
        "submitted_at": iso(one.submitted_at),
        "commit_id": one.commit_id,
        "author_association": association(world, found, one.author),
    }


def check_run(world: World, found: Repository, one: CheckRun) -> dict[str, Any]:
    """A check run of the App."""
    url = f"{api_url(world, found)}/check-runs/{one.id}"
    return {
        "id": one.id,
        "node_id": node_id("CR", one.id),
        "head_sha": one.head_sha,
        "name": one.name,
        "external_id": one.external_id,
        "url": url,
        "html_url": f"{html_url(world, found)}/runs/{one.id}",
        "details_url": None,
        "status": one.status,
        "conclusion": one.conclusion,
        "started_at": iso(one.started_at),
        "completed_at": iso_or_none(one.completed_at),
        "check_suite": {"id": one.suite_id},
        "output": {
            "title": one.title,
            "summary": one.summary,
            "text": None,
            "annotations_count": 0,
            "annotations_url": f"{url}/annotations",
        },
        "app": integration(world, world.app),
        "pull_requests": [],
    }
