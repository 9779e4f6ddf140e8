"""Reviews of pull requests."""

from bot.standin.forge import bodies, refusals
from bot.standin.forge.actions import check_body, touch
from bot.standin.forge.call import Answer, Call, Json, Route
from bot.standin.forge.history import changes, merge_base, pull_shas
from bot.standin.forge.shapes import reviews
from bot.standin.forge.state import Pull, Remark, Review, Thread

_STATES = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}


def _pull(call: Call) -> tuple[Thread, Pull]:
    thread = call.stage.world.thread(call.repository, call.number("number"))
    if thread.pull is None:
        raise refusals.not_found()
    return thread, thread.pull


async def list_reviews(call: Call) -> Answer:
    """The reviews of a pull request, oldest first."""
    thread, pull = _pull(call)
    world = call.stage.world
    seen = [one for one in pull.reviews if one.visible_at <= world.clock.now()]
    page, headers = call.page([reviews.review(world, call.repository, thread, one) for one in seen])
    return Answer(body=page, headers=headers)


async def create_review(call: Call) -> Answer:
    """A new review by the App; its remarks must lie in files that the pull request changes."""
    (thread, pull), body = _pull(call), call.json()
    if thread.is_locked:
        raise refusals.forbidden("Unable to create review because issue is locked.")
    event = bodies.choice(body, "event", "PullRequestReview", tuple(_STATES)) or "COMMENT"
    words = bodies.optional_text(body, "body", "PullRequestReview") or ""
    check_body("PullRequestReview", words)
    remarks = [_remark(one) for one in body.get("comments") or ()]
    if not words and not remarks:
        raise refusals.unprocessable("Unprocessable Entity: a review needs words")
    head = await _check_places(call, thread, pull, remarks)
    commit_id = bodies.optional_text(body, "commit_id", "PullRequestReview") or head
    if await call.bare.sha(commit_id) is None:
        raise refusals.unprocessable("Unprocessable Entity: commit_id is not part of the pull request")
    made = Review(
        id=call.stage.world.new_id("review"),
        author=call.bot,
        body=words,
        state=_STATES[event],
        commit_id=commit_id,
        submitted_at=call.stage.world.clock.now(),
        remarks=remarks,
        visible_at=call.visible_at,
    )
    pull.reviews.append(made)
    touch(call.stage, thread)
    return Answer(200, reviews.review(call.stage.world, call.repository, thread, made))


def _remark(one: Json) -> Remark:
    path = bodies.required_text(one, "path", "PullRequestReviewComment")
    words = bodies.required_text(one, "body", "PullRequestReviewComment")
    line = one.get("line")
    if not isinstance(line, int) or line < 1:
        raise refusals.unprocessable("Unprocessable Entity: line could not be resolved")
    return Remark(path, line, words, str(one.get("side", "RIGHT")), one.get("start_line"))


async def _check_places(call: Call, thread: Thread, pull: Pull, remarks: list[Remark]) -> str:
    """The head; raises a 422 refusal for a remark outside of the changed files."""
    head, base = await pull_shas(call.bare, thread, pull)
    changed = await changes(call.bare, await merge_base(call.bare, base, head) or base, head)
    if not {one.path for one in remarks} <= {one.path for one in changed}:
        raise refusals.unprocessable("Unprocessable Entity: path could not be resolved")
    return head


_REVIEWS = "/repos/{owner}/{repo}/pulls/{number}/reviews"
ROUTES = [
    Route("GET", _REVIEWS, list_reviews, "pull_requests=read"),
    Route("POST", _REVIEWS, create_review, "pull_requests=write"),
]
