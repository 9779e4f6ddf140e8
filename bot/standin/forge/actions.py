"""Changes of issues and comments, by people and by the App alike, with the webhooks they cause."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.standin.forge import refusals
from bot.standin.forge.events import comment_event, thread_event
from bot.standin.forge.shapes import repositories
from bot.standin.forge.shapes.accounts import user as user_shape
from bot.standin.forge.shapes.threads import CONTENTS
from bot.standin.forge.stage import Stage
from bot.standin.forge.state import Comment, Label, Reaction, Repository, Thread, User

# Known from many issue threads; GitHub's documentation does not state them.
MAX_BODY_CHARS = 65_536
MAX_TITLE_CHARS = 256
MAX_LABEL_CHARS = 50
MAX_ASSIGNEES = 10  # https://docs.github.com/rest/issues/assignees


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes, whether through the App, and when what is written appears (forge time, 0: at once)."""

    account: User
    via_app: bool = False
    visible_at: float = 0.0


def check_body(resource: str, body: str | None) -> None:
    """Raise a 422 refusal for a text that is too long."""
    if body is not None and len(body) > MAX_BODY_CHARS:
        words = f"body is too long (maximum is {MAX_BODY_CHARS} characters)"
        raise refusals.invalid(resource, "body", "custom", words)


def check_title(resource: str, title: str) -> None:
    """Raise a 422 refusal for a title that is empty or too long."""
    if not title.strip():
        raise refusals.invalid(resource, "title", "missing_field")
    if len(title) > MAX_TITLE_CHARS:
        words = f"title is too long (maximum is {MAX_TITLE_CHARS} characters)"
        raise refusals.invalid(resource, "title", "custom", words)


def new_thread(stage: Stage, repository: Repository, by: Writer, title: str, body: str | None) -> Thread:
    """A thread with the next number, not yet announced."""
    now = stage.world.clock.now()
    thread = Thread(
        id=stage.world.new_id("thread"),
        number=stage.world.next_number(repository),
        author=by.account,
        title=title,
        body=body,
        created_at=now,
        updated_at=now,
        via_app=by.via_app,
        visible_at=by.visible_at,
    )
    repository.threads[thread.number] = thread
    return thread


async def open_issue(
    stage: Stage,
    repository: Repository,
    by: Writer,
    title: str,
    body: str | None,
    labels: Sequence[str] = (),
) -> Thread:
    """A new issue; each label given at once is announced too, as on GitHub."""
    check_title("Issue", title)
    check_body("Issue", body)
    found = [_label(stage, repository, name) for name in labels]
    thread = new_thread(stage, repository, by, title, body)
    thread.labels.extend(found)
    await thread_event(stage, repository, thread, "opened", by.account)
    for one in found:
        await _label_event(stage, repository, thread, one, "labeled", by.account)
    return thread


async def edit_thread(
    stage: Stage, repository: Repository, thread: Thread, sender: User, *, title: str | None, body: str | None
) -> None:
    """Change title or body (None: leave); nothing is announced when nothing changed."""
    resource = "Issue" if thread.pull is None else "PullRequest"
    changes: dict[str, dict[str, str]] = {}
    if title is not None and title != thread.title:
        check_title(resource, title)
        changes["title"] = {"from": thread.title}
    if body is not None and body != thread.body:
        check_body(resource, body)
        changes["body"] = {"from": thread.body or ""}
    if not changes:
        return
    thread.title = title if title is not None else thread.title
    thread.body = body if body is not None else thread.body
    touch(stage, thread)
    await thread_event(stage, repository, thread, "edited", sender, changes=changes)


async def set_state(
    stage: Stage, repository: Repository, thread: Thread, sender: User, state: str, reason: str | None = None
) -> None:
    """Close or reopen; the same state again changes nothing."""
    if state == thread.state:
        return
    now = stage.world.clock.now()
    is_closed = state == "closed"
    thread.state = state
    thread.closed_at = now if is_closed else None
    thread.closed_by = sender if is_closed else None
    if thread.pull is None:
        thread.state_reason = (reason or "completed") if is_closed else "reopened"
    touch(stage, thread)
    await thread_event(stage, repository, thread, "closed" if is_closed else "reopened", sender)


async def add_labels(
    stage: Stage, repository: Repository, thread: Thread, sender: User, names: Sequence[str]
) -> None:
    """Put labels on; those already there change nothing."""
    for one in [_label(stage, repository, name) for name in names]:
        if one not in thread.labels:
            thread.labels.append(one)
            touch(stage, thread)
            await _label_event(stage, repository, thread, one, "labeled", sender)


async def remove_label(stage: Stage, repository: Repository, thread: Thread, sender: User, name: str) -> None:
    """Take a label off; raises a 404 refusal when it is not on."""
    for one in thread.labels:
        if one.name.lower() == name.lower():
            thread.labels.remove(one)
            touch(stage, thread)
            await _label_event(stage, repository, thread, one, "unlabeled", sender)
            return
    raise refusals.not_found("Label does not exist")


def _label(stage: Stage, repository: Repository, name: str) -> Label:
    if not name.strip() or len(name) > MAX_LABEL_CHARS:
        words = f"name is too long (maximum is {MAX_LABEL_CHARS} characters)"
        raise refusals.invalid("Label", "name", "custom" if name.strip() else "missing_field", words)
    return stage.world.label(repository, name)


async def _label_event(
    stage: Stage, repository: Repository, thread: Thread, one: Label, action: str, sender: User
) -> None:
    shape = repositories.label(stage.world, repository, one)
    await thread_event(stage, repository, thread, action, sender, label=shape)


async def assign(
    stage: Stage, repository: Repository, thread: Thread, sender: User, logins: Sequence[str]
) -> None:
    """Assign who may be assigned; others are ignored without a word, as on GitHub."""
    for login in logins:
        account = stage.world.users.get(login.lower())
        if account is None or account in thread.assignees or not _is_assignable(repository, account):
            continue
        if len(thread.assignees) < MAX_ASSIGNEES:
            thread.assignees.append(account)
            touch(stage, thread)
            shape = user_shape(stage.world, account)
            await thread_event(stage, repository, thread, "assigned", sender, assignee=shape)


async def unassign(
    stage: Stage, repository: Repository, thread: Thread, sender: User, logins: Sequence[str]
) -> None:
    """Take assignees off; those not assigned change nothing."""
    for account in [one for one in thread.assignees if one.login.lower() in {it.lower() for it in logins}]:
        thread.assignees.remove(account)
        touch(stage, thread)
        shape = user_shape(stage.world, account)
        await thread_event(stage, repository, thread, "unassigned", sender, assignee=shape)


def _is_assignable(repository: Repository, account: User) -> bool:
    return account is repository.owner or repository.levels.get(account.login.lower(), "none") != "none"


def add_comment(stage: Stage, repository: Repository, thread: Thread, by: Writer, body: str) -> Comment:
    """A new comment; raises a 422 refusal for an empty or too long body."""
    check_comment(body)
    now = stage.world.clock.now()
    comment = Comment(
        id=stage.world.new_id("comment"),
        number=thread.number,
        author=by.account,
        body=body,
        created_at=now,
        updated_at=now,
        via_app=by.via_app,
        visible_at=by.visible_at,
    )
    thread.comments.append(comment)
    touch(stage, thread)
    comment_event(stage, repository, comment, "created", by.account)
    return comment


def check_comment(body: str) -> None:
    """Raise a 422 refusal for a comment that GitHub would not take."""
    if not body.strip():
        raise refusals.invalid("IssueComment", "body", "missing_field")
    if len(body) > MAX_BODY_CHARS:
        words = f"Body is too long (maximum is {MAX_BODY_CHARS} characters)"
        raise refusals.invalid("IssueComment", "data", "unprocessable", words)


def edit_comment(stage: Stage, repository: Repository, comment: Comment, sender: User, body: str) -> None:
    """Replace the text of a comment."""
    check_comment(body)
    before, comment.body = comment.body, body
    comment.updated_at = stage.world.clock.now()
    comment_event(stage, repository, comment, "edited", sender, changes={"body": {"from": before}})


def delete_comment(stage: Stage, repository: Repository, comment: Comment, sender: User) -> None:
    """Remove a comment."""
    thread = repository.threads[comment.number]
    thread.comments.remove(comment)
    touch(stage, thread)
    comment_event(stage, repository, comment, "deleted", sender)


def react(stage: Stage, reactions: list[Reaction], account: User, content: str) -> tuple[Reaction, bool]:
    """The account's reaction of that kind, and whether it is new; reactions have no webhook."""
    if content not in CONTENTS:
        raise refusals.invalid("Reaction", "content")
    for one in reactions:
        if one.user is account and one.content == content:
            return one, False
    one = Reaction(stage.world.new_id("reaction"), account, content, stage.world.clock.now())
    reactions.append(one)
    return one, True


def touch(stage: Stage, thread: Thread) -> None:
    """Note that a thread changed now."""
    thread.updated_at = stage.world.clock.now()
