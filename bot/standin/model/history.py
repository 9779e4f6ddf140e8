"""The rules for `messages`: roles, non-empty content, and every tool call answered once, at once, and first.

https://platform.claude.com/docs/en/agents-and-tools/tool-use/handle-tool-calls
"""

from typing import Any

from bot.standin.model.refusal import invalid

ROLES = ("user", "assistant", "system")
BLOCK_TYPES = {
    "user": frozenset({"text", "tool_result", "image", "document", "search_result"}),
    "assistant": frozenset({"text", "tool_use", "thinking", "redacted_thinking", "server_tool_use"}),
    "system": frozenset({"text"}),
}


def check(messages: Any) -> None:
    """Refuse a conversation that Anthropic would refuse.

    Raises:
        Refusal: 400 invalid_request_error.
    """
    if not isinstance(messages, list):
        raise invalid("messages: Input should be a valid list")
    if not messages:
        raise invalid("messages: at least one message is required")
    for index, message in enumerate(messages):
        _check_message(index, message)
    if messages[0]["role"] != "user":
        raise invalid('messages: first message must use the "user" role')
    _check_pairs(messages)


def blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The content as blocks, also where it was sent as one string."""
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _check_message(index: int, message: Any) -> None:
    """Refuse a message by itself: its role, its content, each of its blocks."""
    role = message.get("role") if isinstance(message, dict) else None
    if role not in ROLES:
        raise invalid(f"messages.{index}.role: Input should be 'user' or 'assistant'")
    content = message.get("content")
    if not isinstance(content, str | list):
        raise invalid(f"messages.{index}.content: Input should be a valid list")
    if not content:
        raise invalid(
            f"messages.{index}: all messages must have non-empty content except for the optional final "
            "assistant message"
        )
    for position, block in enumerate(blocks(message)):
        _check_block(f"messages.{index}.content.{position}", block, role)
    if role == "assistant" and blocks(message)[-1]["type"] in {"thinking", "redacted_thinking"}:
        raise invalid(f"messages.{index}: The final block in an assistant message cannot be `thinking`.")


def _check_block(place: str, block: Any, role: str) -> None:
    """Refuse a block of an unknown kind, of the other role, or without its fields."""
    kind = block.get("type") if isinstance(block, dict) else None
    if kind not in BLOCK_TYPES[role]:
        expected = ", ".join(f"'{name}'" for name in sorted(BLOCK_TYPES[role]))
        raise invalid(f"{place}.type: Input should be one of {expected}")
    if kind == "text":
        _check_text(place, block.get("text"))
    if kind == "tool_use":
        _require(place, block, {"id": str, "name": str, "input": dict})
    if kind == "tool_result":
        _require(place, block, {"tool_use_id": str})
        _check_result(place, block)
    if kind == "thinking":
        _require(place, block, {"thinking": str, "signature": str})


def _check_text(place: str, text: Any) -> None:
    """Refuse text that is none, or holds nothing."""
    if not isinstance(text, str):
        raise invalid(f"{place}.text: Input should be a valid string")
    if not text:
        raise invalid("messages: text content blocks must be non-empty")
    if not text.strip():
        raise invalid("messages: text content blocks must contain non-whitespace text")


def _check_result(place: str, block: dict[str, Any]) -> None:
    """Refuse an error without words; content may else be missing, a string or blocks."""
    content = block.get("content", "")
    if not isinstance(content, str | list):
        raise invalid(f"{place}.content: Input should be a valid list")
    if block.get("is_error") and not content:
        raise invalid(f"{place}: content cannot be empty if `is_error` is true")


def _require(place: str, block: dict[str, Any], fields: dict[str, type]) -> None:
    """Refuse a block in which a field is missing or of another type."""
    for name, type_ in fields.items():
        if name not in block:
            raise invalid(f"{place}.{block['type']}.{name}: Field required")
        if not isinstance(block[name], type_):
            raise invalid(f"{place}.{block['type']}.{name}: Input should be a valid {type_.__name__}")


def _check_pairs(messages: list[dict[str, Any]]) -> None:
    """Refuse calls without results, results without calls, and results that come late or twice."""
    open_ids: list[str] = []
    seen: set[str] = set()
    for index, message in enumerate(messages):
        if message["role"] == "user":
            _check_results(index, blocks(message), open_ids)
            open_ids = []
            continue
        if open_ids:
            raise _unanswered(index - 1, open_ids)
        open_ids = [block["id"] for block in blocks(message) if block["type"] == "tool_use"]
        if len(set(open_ids)) < len(open_ids) or seen & set(open_ids):
            raise invalid(f"messages.{index}: `tool_use` ids must be unique")
        seen |= set(open_ids)
    if open_ids:
        raise _unanswered(len(messages) - 1, open_ids)


def _check_results(index: int, content: list[dict[str, Any]], open_ids: list[str]) -> None:
    """Check one user message against the calls of the message before it."""
    answered: set[str] = set()
    is_result_allowed = True
    for position, block in enumerate(content):
        if block["type"] != "tool_result":
            is_result_allowed = False
            continue
        call_id = block["tool_use_id"]
        if call_id not in open_ids:
            raise invalid(
                f"messages.{index}.content.{position}: unexpected `tool_use_id` found in `tool_result` "
                f"blocks: {call_id}. Each `tool_result` block must have a corresponding `tool_use` block in "
                "the previous message."
            )
        if call_id in answered:
            raise invalid(
                f"messages.{index}.content.{position}: each tool_use must have a single result. "
                f"Found multiple `tool_result` blocks with id: {call_id}"
            )
        if not is_result_allowed:
            raise _unanswered(index - 1, [call_id])
        answered.add(call_id)
    missing = [call_id for call_id in open_ids if call_id not in answered]
    if missing:
        raise _unanswered(index - 1, missing)


def _unanswered(index: int, ids: list[str]) -> Exception:
    """The refusal that everybody knows."""
    return invalid(
        f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: "
        f"{', '.join(ids)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
        "message."
    )
