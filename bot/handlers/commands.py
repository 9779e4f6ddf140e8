"""A command in a created issue body or comment starts a job or is answered with help.

Edits never run anything. A text counts only for the person who wrote it: an issue that somebody
moved here from another repository, or made from a stranger's words, commands nothing.
"""

from bot.domain.commands import ABOUT_A_JOB, Command, CommandProblem, explain, parse
from bot.domain.enums import ThreadKind
from bot.domain.intents import Event, Intent, PostHelp, Speak, StartJob
from bot.domain.values import Actor
from bot.handlers import payload
from bot.handlers.payload import Thread
from bot.limits import BODY_MAX_CHARS

NOT_ON_PULL_REQUESTS = "`{verb}` works on issues so far, not on pull requests."
NOT_IN_A_NEW_ISSUE = "`{verb}` is about a job that there is already; this issue has none yet."


def commented(event: Event) -> list[Intent]:
    """A comment was created."""
    comment = payload.child(event.payload, "comment")
    found, comment_id = payload.thread(event.payload), payload.number(comment, "id")
    actor = _writer(event, payload.actor(comment, "user"))
    if found is None or comment_id is None or actor is None:
        return []
    text = payload.text(comment, "body")
    said = parse(text)
    if said is None:
        return [] if found.kind is ThreadKind.PULL_REQUEST else [_speak(found, actor, comment_id, None, text)]
    return _answer(said, found, actor, comment_id)


def opened(event: Event) -> list[Intent]:
    """An issue was opened here (not moved here)."""
    found = payload.issue_thread(event.payload)
    if found is None or payload.child(payload.child(event.payload, "changes"), "old_issue"):
        return []
    actor = _writer(event, found.author)
    said = parse(found.body)
    return [] if actor is None or said is None else _answer(said, found, actor, None)


def _writer(event: Event, author: Actor | None) -> Actor | None:
    """The sender, if the text is theirs; compared by numeric id."""
    sender = payload.actor(event.payload, "sender")
    return sender if sender and author and sender.id == author.id else None


def _answer(
    said: Command | CommandProblem, found: Thread, actor: Actor, comment_id: int | None
) -> list[Intent]:
    """The one intent that a command asks for."""
    if isinstance(said, CommandProblem):
        return [_help(found, actor, comment_id, explain(said))]
    if said.verb == "help":
        return [_help(found, actor, comment_id, None)]
    if found.kind is ThreadKind.PULL_REQUEST:
        return [_help(found, actor, comment_id, NOT_ON_PULL_REQUESTS.format(verb=said.verb))]
    if said.verb not in ABOUT_A_JOB:
        return [_start(said, found, actor, comment_id)]
    if comment_id is None:
        return [_help(found, actor, None, NOT_IN_A_NEW_ISSUE.format(verb=said.verb))]
    return [_speak(found, actor, comment_id, said.verb, said.words)]


def _speak(found: Thread, actor: Actor, comment_id: int, verb: str | None, words: str) -> Speak:
    """Words for the thread's job, or a command about it."""
    return Speak(
        found.repository,
        found.installation_id,
        found.number,
        actor,
        comment_id,
        verb,
        words[:BODY_MAX_CHARS],
    )


def _help(found: Thread, actor: Actor, comment_id: int | None, problem: str | None) -> PostHelp:
    """Answer with the commands, and with what is wrong."""
    return PostHelp(found.repository, found.installation_id, found.number, actor, comment_id, problem)


def _start(said: Command, found: Thread, actor: Actor, comment_id: int | None) -> StartJob:
    """Work on the thread; the key is the text's own id, so that a redelivery starts nothing new."""
    where = f"body:{found.issue_id}" if comment_id is None else f"comment:{comment_id}"
    return StartJob(
        repository=found.repository,
        installation_id=found.installation_id,
        number=found.number,
        kind=found.kind,
        verb=said.verb,
        actor=actor,
        trigger=where,
        trigger_key=f"{found.repository.id}:{found.number}:{said.verb}:{where}",
        snapshot=found.snapshot(said.words),
        comment_id=comment_id,
    )
