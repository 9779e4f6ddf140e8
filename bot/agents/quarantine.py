"""What is done about a refusal: the text that came since the last good answer is taken out, and named.

A stranger can put a text into a file or a comment that makes the model refuse:
https://platform.claude.com/docs/en/test-and-evaluate/strengthen-guardrails/handle-streaming-refusals
"""

from typing import Final

from bot.agents import blocks
from bot.agents.conversation import Conversation, replacement
from bot.agents.prompt import is_said
from bot.domain.values import Json

JUDGED = "The harness looked at your result:"
"""How the words of the judge begin; they may quote the output of the repository's own commands."""
REQUEST = "the text of the request"
_CLASSES: Final = {
    "read_file": "a file of the repository",
    "run_command": "the output of a command",
    "git_log": "the history of the repository",
    "git_diff": "the change itself",
    "recall": "earlier issues and jobs",
}
_OTHER_TOOL: Final = "what a tool found in the repository"
_SAID: Final = "what somebody said in the thread"
_CHECKS: Final = "the output of the checks"
_NOTE: Final = (
    "[This was taken out by the harness: {kind} that the model declines to read. Go on without it, and do "
    "not ask for it again.]"
)


def isolate(talk: Conversation) -> tuple[list[Json], str]:
    """The edits that take out every untrusted text since the last good answer, and which class it is of.

    No edits: there is nothing to take out but the request itself.
    """
    index = len(talk.messages) - 1
    message = talk.messages[index]
    if message["role"] != "user":
        return [], REQUEST
    names = {call["id"]: call["name"] for call in blocks.calls_of(talk.messages[index - 1]["content"])}
    edits, kinds = [], dict[str, None]()
    for position, block in enumerate(message["content"]):
        kind = _kind(block, names)
        if kind is None:
            continue
        note = _NOTE.format(kind=kind)
        instead = blocks.text(note) if block["type"] == "text" else {**block, "content": note}
        edits.append(replacement(index, position, instead))
        kinds[kind] = None
    return edits, " and ".join(kinds) or REQUEST


def _kind(block: Json, names: dict[str, str]) -> str | None:
    """Which class of content a block of ours holds; None: our own words, or the request."""
    if block["type"] == "tool_result":
        return _CLASSES.get(names.get(block["tool_use_id"], ""), _OTHER_TOOL)
    words = block.get("text", "")
    if words.startswith(JUDGED):
        return _CHECKS
    return _SAID if is_said(words) else None
