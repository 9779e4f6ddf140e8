"""Comments of issues and pull requests, and reactions on both."""

from bot.standin.forge import actions, bodies, refusals
from bot.standin.forge.call import Answer, Call, Route
from bot.standin.forge.clock import iso
from bot.standin.forge.routes.issues import READ, WRITE
from bot.standin.forge.shapes import threads
from bot.standin.forge.state import Comment, Reaction


async def list_comments(call: Call) -> Answer:
    """The comments of a thread, oldest first; filter `since`."""
    thread, world = call.thread("read"), call.stage.world
    since = call.query.get("since", "")
    found = [
        threads.comment(world, call.repository, one)
        for one in thread.comments
        if world.is_visible(one) and iso(one.updated_at) >= since
    ]
    page, headers = call.page(found)
    return Answer(body=page, headers=headers)


async def create_comment(call: Call) -> Answer:
    """A new comment by the App; 403 where the conversation is locked."""
    thread = call.thread("write")
    body = bodies.required_text(call.json(), "body", "IssueComment")
    if thread.is_locked:
        raise refusals.forbidden("Unable to create comment because issue is locked.")
    found = actions.add_comment(call.stage, call.repository, thread, call.writer, body)
    return Answer(201, threads.comment(call.stage.world, call.repository, found))


def _comment(call: Call, level: str) -> Comment:
    found = call.stage.world.comment(call.repository, call.number("comment_id"))
    call.require_for(call.repository.threads[found.number], level)
    return found


async def get_comment(call: Call) -> Answer:
    """One comment."""
    return Answer(body=threads.comment(call.stage.world, call.repository, _comment(call, "read")))


async def update_comment(call: Call) -> Answer:
    """Replace the text of a comment."""
    found = _comment(call, "write")
    body = bodies.required_text(call.json(), "body", "IssueComment")
    actions.edit_comment(call.stage, call.repository, found, call.bot, body)
    return Answer(body=threads.comment(call.stage.world, call.repository, found))


async def delete_comment(call: Call) -> Answer:
    """Remove a comment."""
    actions.delete_comment(call.stage, call.repository, _comment(call, "write"), call.bot)
    return Answer(204)


def _list(call: Call, reactions: list[Reaction]) -> Answer:
    content = call.query.get("content")
    found = [
        threads.reaction(call.stage.world, one)
        for one in reactions
        if content is None or one.content == content
    ]
    page, headers = call.page(found)
    return Answer(body=page, headers=headers)


def _react(call: Call, reactions: list[Reaction]) -> Answer:
    content = bodies.required_text(call.json(), "content", "Reaction")
    one, is_new = actions.react(call.stage, reactions, call.bot, content)
    return Answer(201 if is_new else 200, threads.reaction(call.stage.world, one))


def _unreact(call: Call, reactions: list[Reaction]) -> Answer:
    wanted = call.number("reaction_id")
    for one in reactions:
        if one.id == wanted:
            reactions.remove(one)
            return Answer(204)
    raise refusals.not_found()


async def list_issue_reactions(call: Call) -> Answer:
    """Reactions on the text of an issue."""
    return _list(call, call.thread("read").reactions)


async def react_to_issue(call: Call) -> Answer:
    """React to an issue: 201 when new, 200 when it was there."""
    return _react(call, call.thread("write").reactions)


async def unreact_to_issue(call: Call) -> Answer:
    """Take a reaction off an issue."""
    return _unreact(call, call.thread("write").reactions)


async def list_comment_reactions(call: Call) -> Answer:
    """Reactions on a comment."""
    return _list(call, _comment(call, "read").reactions)


async def react_to_comment(call: Call) -> Answer:
    """React to a comment: 201 when new, 200 when it was there."""
    return _react(call, _comment(call, "write").reactions)


async def unreact_to_comment(call: Call) -> Answer:
    """Take a reaction off a comment."""
    return _unreact(call, _comment(call, "write").reactions)


_THREAD = "/repos/{owner}/{repo}/issues/{number}"
_COMMENT = "/repos/{owner}/{repo}/issues/comments/{comment_id}"
ROUTES = [
    Route("GET", _THREAD + "/comments", list_comments, READ),
    Route("POST", _THREAD + "/comments", create_comment, WRITE),
    Route("GET", _COMMENT, get_comment, READ),
    Route("PATCH", _COMMENT, update_comment, WRITE),
    Route("DELETE", _COMMENT, delete_comment, WRITE),
    Route("GET", _THREAD + "/reactions", list_issue_reactions, READ),
    Route("POST", _THREAD + "/reactions", react_to_issue, WRITE),
    Route("DELETE", _THREAD + "/reactions/{reaction_id}", unreact_to_issue, WRITE),
    Route("GET", _COMMENT + "/reactions", list_comment_reactions, READ),
    Route("POST", _COMMENT + "/reactions", react_to_comment, WRITE),
    Route("DELETE", _COMMENT + "/reactions/{reaction_id}", unreact_to_comment, WRITE),
]
