"""The growing list of messages: append-only, so that every request shares its prefix with the one before."""

import orjson

from bot.agents.prompt import BREAKPOINT, Prompt
from bot.domain.values import Json, ModelReply, ModelRequest, ToolResult

BYTES_PER_TOKEN = 2
"""A cautious estimate: dense code has about 3 bytes a token, so money is reserved for more than is sent."""
FIXED_TOKENS = 1_000
"""More than the API adds for tools: https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview"""
MOVING_BREAKPOINTS = 2
"""The last two user messages: the older one is what the request before wrote, however long the turn."""
MAX_RESULT_CHARS = 60_000
MAX_LAST_TEXT_CHARS = 20_000


class Conversation:
    """What was said so far in one job."""

    def __init__(self, prompt: Prompt) -> None:
        """Begin with the request."""
        self._prompt = prompt
        self._messages: list[Json] = [{"role": "user", "content": [text(prompt.message)]}]
        self._billed_tokens = FIXED_TOKENS + _estimate([*prompt.system, *prompt.tools])
        self._billed_messages = 0
        self.last_text = ""

    @property
    def ends_with_reply(self) -> bool:
        """Whether the model spoke last."""
        return bool(self._messages[-1]["role"] == "assistant")

    def add_reply(self, reply: ModelReply) -> None:
        """Append an answer as it came, but for what the API would refuse to read again."""
        usage = reply.usage
        self._billed_tokens = usage.input_tokens + usage.cache_write_tokens + usage.cache_read_tokens
        self._billed_messages = len(self._messages)
        content = [block for block in reply.content if not _is_blank(block)]
        words = "\n\n".join(block["text"] for block in content if block["type"] == "text")
        self.last_text = words.replace("\0", "").strip()[:MAX_LAST_TEXT_CHARS] or self.last_text
        if content and content[-1]["type"] not in {"thinking", "redacted_thinking"}:
            self._messages.append({"role": "assistant", "content": content})

    def add_answer(self, blocks: list[Json]) -> None:
        """Append our message: tool results first, then text."""
        self._messages.append({"role": "user", "content": blocks})

    def estimated_tokens(self) -> int:
        """The prompt of the next request: what the last was billed for, and a cautious guess at the rest."""
        return self._billed_tokens + _estimate(self._messages[self._billed_messages :])

    def request(self, model_name: str, max_tokens: int) -> ModelRequest:
        """The next request, with moving cache breakpoints behind the fixed one on the system text."""
        messages, marked = list(self._messages), 0
        for index in range(len(messages) - 1, -1, -1):
            if messages[index]["role"] == "user" and marked < MOVING_BREAKPOINTS:
                messages[index] = _with_breakpoint(messages[index])
                marked += 1
        return ModelRequest(
            model=model_name,
            system=list(self._prompt.system),
            tools=list(self._prompt.tools),
            messages=messages,
            max_tokens=max_tokens,
        )


def text(words: str) -> Json:
    """A text block."""
    return {"type": "text", "text": words}


def tool_result(call: Json, result: ToolResult) -> Json:
    """The block that answers *call*: never empty, bounded, and free of what JSON cannot carry."""
    words = result.text.encode("utf-8", "replace").decode() or "(no output)"
    if len(words) > MAX_RESULT_CHARS:
        half = MAX_RESULT_CHARS // 2
        words = f"{words[:half]}\n[{len(words) - 2 * half:,} characters left out]\n{words[-half:]}"
    block: Json = {"type": "tool_result", "tool_use_id": call["id"], "content": words}
    return {**block, "is_error": True} if result.is_error or result.refused else block


def _is_blank(block: Json) -> bool:
    """A text block without words; the API answers 400 when it is sent back."""
    return block["type"] == "text" and not block["text"].strip()


def _with_breakpoint(message: Json) -> Json:
    """A copy of *message* whose last block carries the mark."""
    *blocks, last = message["content"]
    return {**message, "content": [*blocks, {**last, "cache_control": BREAKPOINT}]}


def _estimate(values: list[Json]) -> int:
    """Tokens of *values* by their length as JSON, rounded up."""
    return -(-len(orjson.dumps(values)) // BYTES_PER_TOKEN)
