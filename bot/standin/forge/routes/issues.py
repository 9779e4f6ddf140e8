"""Issues, their labels and assignees; pull requests take part in their form as issues."""

from bot.standin.forge import actions, attachments, bodies, refusals
from bot.standin.forge.call import Answer, Call, Json, Route
from bot.standin.forge.clock import iso
from bot.standin.forge.pull_actions import set_pull_state
from bot.standin.forge.shapes import repositories, threads
from bot.standin.forge.state import Thread

READ = "issues=read; pull_requests=read"
WRITE = "issues=write; pull_requests=write"
_REASONS = ("completed", "reopened", "not_planned", "duplicate")


async def list_issues(call: Call) -> Answer:
    """Issues and pull requests, newest first; filters `state`, `labels`, `since`."""
    world, query = call.stage.world, call.query
    state, since = query.get("state", "open"), query.get("since", "")
    wanted = {name.lower() for name in query.get("labels", "").split(",") if name}
    found = [
        threads.issue(world, call.repository, one)
        for one in sorted(call.repository.threads.values(), key=lambda one: -one.number)
        if not one.is_deleted
        and world.is_visible(one)
        and state in {"all", one.state}
        and iso(one.updated_at) >= since
        and wanted <= {label.name.lower() for label in one.labels}
    ]
    page, headers = call.page(found)
    return Answer(body=page, headers=headers)


async def get_issue(call: Call) -> Answer:
    """One issue."""
    return _issue(call, call.thread("read"))


def _issue(call: Call, thread: Thread, status: int = 200) -> Answer:
    shape = threads.full_issue(call.stage.world, call.repository, thread)
    return Answer(status, attachments.rendered(call, shape))


async def create_issue(call: Call) -> Answer:
    """A new issue by the App."""
    body = call.json()
    title = body.get("title")
    text = str(title) if isinstance(title, int) else bodies.required_text(body, "title", "Issue")
    words = bodies.optional_text(body, "body", "Issue")
    labels = bodies.names(body, "labels", "Issue") or []
    thread = await actions.open_issue(call.stage, call.repository, call.writer, text, words, labels)
    logins = bodies.texts(body, "assignees", "Issue") or []
    await actions.assign(call.stage, call.repository, thread, call.bot, logins)
    return _issue(call, thread, 201)


async def update_issue(call: Call) -> Answer:
    """Change title, body, labels, assignees, state."""
    thread, body = call.thread("write"), call.json()
    title = bodies.optional_text(body, "title", "Issue")
    words = bodies.optional_text(body, "body", "Issue")
    labels = bodies.names(body, "labels", "Issue")
    logins = bodies.texts(body, "assignees", "Issue")
    state = bodies.choice(body, "state", "Issue", ("open", "closed"))
    reason = bodies.choice(body, "state_reason", "Issue", _REASONS)
    await actions.edit_thread(call.stage, call.repository, thread, call.bot, title=title, body=words)
    if labels is not None:
        await _replace_labels(call, thread, labels)
    if logins is not None:
        gone = [one.login for one in thread.assignees if one.login not in logins]
        await actions.unassign(call.stage, call.repository, thread, call.bot, gone)
        await actions.assign(call.stage, call.repository, thread, call.bot, logins)
    if state is not None and thread.pull is not None:
        await set_pull_state(call.stage, call.repository, thread, call.bot, state)
    elif state is not None:
        await actions.set_state(call.stage, call.repository, thread, call.bot, state, reason)
    return _issue(call, thread)


async def _replace_labels(call: Call, thread: Thread, wanted: list[str]) -> None:
    kept = {name.lower() for name in wanted}
    for one in [label for label in thread.labels if label.name.lower() not in kept]:
        await actions.remove_label(call.stage, call.repository, thread, call.bot, one.name)
    await actions.add_labels(call.stage, call.repository, thread, call.bot, wanted)


def _labels(call: Call, thread: Thread) -> Answer:
    world = call.stage.world
    return Answer(body=[repositories.label(world, call.repository, one) for one in thread.labels])


async def list_labels(call: Call) -> Answer:
    """The labels of a thread."""
    return _labels(call, call.thread("read"))


async def add_labels(call: Call) -> Answer:
    """Put labels on; unknown ones are made."""
    thread, names = call.thread("write"), _label_names(call)
    await actions.add_labels(call.stage, call.repository, thread, call.bot, names)
    return _labels(call, thread)


async def set_labels(call: Call) -> Answer:
    """Replace all labels."""
    thread, names = call.thread("write"), _label_names(call)
    await _replace_labels(call, thread, names)
    return _labels(call, thread)


def _label_names(call: Call) -> list[str]:
    found = bodies.names(call.json(), "labels", "Label")
    if found is None:
        raise refusals.invalid("Label", "labels", "missing_field")
    return found


async def remove_label(call: Call) -> Answer:
    """Take one label off; 404 when it is not on."""
    thread = call.thread("write")
    await actions.remove_label(call.stage, call.repository, thread, call.bot, call.match["name"])
    return _labels(call, thread)


def _logins(body: Json) -> list[str]:
    found = bodies.texts(body, "assignees", "Issue")
    return found or []


async def assign(call: Call) -> Answer:
    """Assign people; who may not be assigned is ignored."""
    thread = call.thread("write")
    await actions.assign(call.stage, call.repository, thread, call.bot, _logins(call.json()))
    return _issue(call, thread, 201)


async def unassign(call: Call) -> Answer:
    """Take assignees off."""
    thread = call.thread("write")
    await actions.unassign(call.stage, call.repository, thread, call.bot, _logins(call.json()))
    return _issue(call, thread)


_ISSUES = "/repos/{owner}/{repo}/issues"
_ONE = _ISSUES + "/{number}"
ROUTES = [
    Route("GET", _ISSUES, list_issues, READ),
    Route("POST", _ISSUES, create_issue, "issues=write"),
    Route("GET", _ONE, get_issue, READ),
    Route("PATCH", _ONE, update_issue, WRITE),
    Route("GET", _ONE + "/labels", list_labels, READ),
    Route("POST", _ONE + "/labels", add_labels, WRITE),
    Route("PUT", _ONE + "/labels", set_labels, WRITE),
    Route("DELETE", _ONE + "/labels/{name}", remove_label, WRITE),
    Route("POST", _ONE + "/assignees", assign, WRITE),
    Route("DELETE", _ONE + "/assignees", unassign, WRITE),
]
