"""The growing list of messages: append-only, so that every request shares its prefix with the one before.

What is changed in it all the same (old results cleared, history compacted, an item quarantined) is changed by
edits, which are data: they are recorded, and applied again by whoever goes on.
"""

from collections.abc import Sequence
from typing import Final

from bot.agents import blocks
from bot.agents.prompt import BREAKPOINT, Prompt
from bot.domain.values import Json, ModelRequest, Usage

BYTES_PER_TOKEN = 2
"""A cautious estimate: dense code has about 3 bytes a token, so money is reserved for more than is sent."""
FREED_BYTES_PER_TOKEN = 5
"""The same for what is taken out: prose has up to 5 bytes a token, so less is hoped for than is freed."""
FIXED_TOKENS = 1_000
"""More than the API adds for tools: https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview"""
PICTURE_TOKENS = 5_000
"""More than the largest picture costs: https://platform.claude.com/docs/en/build-with-claude/vision"""
MOVING_BREAKPOINTS = 3
"""At the end, and at the ends of the two requests before: these are exact entries, however long a turn is.

The fourth that the API allows stands on the system text.
https://platform.claude.com/docs/en/build-with-claude/prompt-caching
"""
MAX_LAST_TEXT_CHARS = 20_000
_Place = tuple[int, int]
_REPLACE: Final = "replace"
_HISTORY: Final = "history"


class Conversation:
    """What was said so far in one job, and in the jobs that it continues."""

    def __init__(self, prompt: Prompt, extra: Sequence[Json] = ()) -> None:
        """Begin with the request, and *extra* that people have added to it before the first call."""
        self.prompt = prompt
        self.tasks = task_of(prompt)
        self.messages: list[Json] = [{"role": "user", "content": [*self.tasks, *extra]}]
        self.last_text = ""
        self._prefix_tokens = FIXED_TOKENS + estimate([*prompt.system, *prompt.tools])
        self._billed_tokens = self._prefix_tokens
        self._billed: _Place = (0, 0)
        self._marks: list[_Place] = []

    @property
    def ends_with_reply(self) -> bool:
        """Whether the model spoke last."""
        return bool(self.messages[-1]["role"] == "assistant")

    def add_reply(self, content: list[Json], usage: Usage) -> None:
        """Append an answer to all that was said, but for what the API would refuse to read again."""
        self._note_request(usage)
        self.last_text = blocks.words_of(content)[:MAX_LAST_TEXT_CHARS] or self.last_text
        kept = blocks.returnable(content)
        if kept:
            self.messages.append({"role": "assistant", "content": kept})

    def forget_reply(self, usage: Usage) -> None:
        """Take note of an answer that does not go back: a refusal."""
        self._note_request(usage)

    def add_answer(self, answer: Sequence[Json]) -> None:
        """Append our blocks (tool results first, then text), to our own message where that is the last."""
        if not answer:
            return
        if self.ends_with_reply:
            self.messages.append({"role": "user", "content": list(answer)})
        else:
            last = self.messages[-1]
            self.messages[-1] = {**last, "content": [*last["content"], *answer]}

    def add_task(self, task: Sequence[Json], extra: Sequence[Json] = ()) -> None:
        """Append what is asked next: it survives every change of the history, as the first request does."""
        self.tasks += task
        self.add_answer([*task, *extra])

    def estimated_tokens(self, extra: Sequence[Json] = ()) -> int:
        """The prompt of the next request: what the last was billed for, and a cautious guess at the rest."""
        index, position = self._billed
        new: list[Json] = [*self.messages[index]["content"][position:]]
        new += [block for message in self.messages[index + 1 :] for block in message["content"]]
        messages = len(self.messages) - index
        return self._billed_tokens + estimate([*new, *extra]) + 8 * messages

    def apply(self, edits: Sequence[Json]) -> None:
        """Change what was said before; the second time changes nothing more."""
        for edit in edits:
            if edit["kind"] == _HISTORY:
                self.messages = list(edit["messages"])
                self._billed_tokens, self._billed, self._marks = self._prefix_tokens, (0, 0), []
            else:
                self._replace((edit["message"], edit["block"]), edit["with"])

    def drop_unknown(self) -> bool:
        """Take out answers' blocks of kinds that we do not know; False where there are none."""
        found = False
        for index, message in enumerate(self.messages):
            if message["role"] != "assistant":
                continue
            known = [block for block in message["content"] if block["type"] in blocks.KNOWN_REPLY_TYPES]
            if len(known) < len(message["content"]):
                found = True
                self.messages[index] = {**message, "content": blocks.returnable(known) or [_NOTHING]}
        return found

    def request(self, model_name: str, max_tokens: int) -> ModelRequest:
        """The next request, with moving cache breakpoints behind the fixed one on the system text."""
        messages = list(self.messages)
        for index, position in self._breakpoints():
            content = list(messages[index]["content"])
            content[position] = {**content[position], "cache_control": BREAKPOINT}
            messages[index] = {**messages[index], "content": content}
        return ModelRequest(
            model=model_name,
            system=list(self.prompt.system),
            tools=list(self.prompt.tools),
            messages=messages,
            max_tokens=max_tokens,
        )

    def _note_request(self, usage: Usage) -> None:
        """Remember where the request that was just answered ended, and what it was billed for."""
        end = self._end()
        if end not in self._marks:
            self._marks.append(end)
        # A server that bills nothing tells nothing about the length either.
        if usage.prompt_tokens:
            self._billed_tokens = usage.prompt_tokens
            last = len(self.messages) - 1
            self._billed = (last, len(self.messages[last]["content"]))

    def _breakpoints(self) -> set[_Place]:
        """Where the next request's moving breakpoints stand."""
        end = self._end()
        earlier = [mark for mark in self._marks[-MOVING_BREAKPOINTS:] if mark != end]
        return {*earlier[1 - MOVING_BREAKPOINTS :], end}

    def _end(self) -> _Place:
        """The last block of our own last message."""
        index = next(i for i in range(len(self.messages) - 1, -1, -1) if self.messages[i]["role"] == "user")
        return index, len(self.messages[index]["content"]) - 1

    def _replace(self, place: _Place, block: Json) -> None:
        """Put *block* in the place of another; what stands before it stays cached."""
        index, position = place
        content = list(self.messages[index]["content"])
        freed = blocks.size(content[position]) - blocks.size(block)
        if place < self._billed:
            self._billed_tokens -= max(freed, 0) // FREED_BYTES_PER_TOKEN
            self._billed_tokens += max(-freed, 0) // BYTES_PER_TOKEN
        content[position] = block
        self.messages[index] = {**self.messages[index], "content": content}
        self._marks = [mark for mark in self._marks if mark < place]


def task_of(prompt: Prompt) -> list[Json]:
    """The blocks that ask for the work: the message, and the pictures that belong to it."""
    return [blocks.text(prompt.message), *prompt.pictures]


_NOTHING: Final = blocks.text("(This answer held nothing that can be sent back.)")


def replacement(message: int, position: int, block: Json) -> Json:
    """An edit: another block in the place of one."""
    return {"kind": _REPLACE, "message": message, "block": position, "with": block}


def new_history(messages: list[Json]) -> Json:
    """An edit: other messages in the place of all."""
    return {"kind": _HISTORY, "messages": messages}


def estimate(values: Sequence[Json]) -> int:
    """Tokens of *values* by their length as JSON, rounded up; a picture costs by its bounded area."""
    plain = [value for value in values if value.get("type") != "image"]
    pictures = len(values) - len(plain)
    return -(-blocks.size(plain) // BYTES_PER_TOKEN) + PICTURE_TOKENS * pictures
