"""The shape of what a tool answers, and how long text is cut without hiding that it was cut."""

from dataclasses import dataclass

MAX_REPLY_CHARS = 30_000


@dataclass(frozen=True, slots=True)
class Reply:
    """What one tool call answered; the fields of `bot.domain.values.ToolResult`."""

    text: str
    is_error: bool = False
    refused: bool = False


def clip(text: str, max_chars: int = MAX_REPLY_CHARS) -> str:
    """*text* whole, or its head and its tail with the count of what is missing between them."""
    if len(text) <= max_chars:
        return text
    half = max_chars // 2
    missing = len(text) - 2 * half
    return f"{text[:half]}\n[… {missing} characters left out …]\n{text[-half:]}"
