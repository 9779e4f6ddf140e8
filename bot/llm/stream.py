"""The events of a stream, put together into the JSON that the same answer has in one piece.

Events and deltas: https://platform.claude.com/docs/en/build-with-claude/streaming. Kinds that nobody knows
yet are kept by one rule: text is appended, a list grows, anything else is set. What does not end as
documented is no message: a stream that was cut never yields part of a tool call.
"""

from typing import Any

import orjson

from bot.domain.values import Json

INVALID_JSON = "INVALID_JSON"
"""The argument, known to no tool, that holds an input that is no JSON object: it is answered as an error.

https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming
"""
_DATA = b"data:"


class StreamDamaged(Exception):
    """The stream is not what is documented: its words say where."""


class StreamError(Exception):
    """The server said within the stream that it failed; `is_started`: after it had begun to answer."""

    def __init__(self, body: Json, *, is_started: bool) -> None:
        """Keep the error's JSON."""
        super().__init__("the stream holds an error")
        self.body = body
        self.is_started = is_started


class Assembly:
    """One answer in the making: bytes go in as they come, `message` is there when `is_whole`."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.is_whole = False
        self._rest = b""
        self._data: list[bytes] = []
        self._message: Json | None = None
        self._blocks: list[Json] = []
        self._open: dict[int, dict[str, list[str]]] = {}
        self._is_billed = False

    @property
    def message(self) -> Json:
        """The answer as JSON.

        Raises:
            StreamDamaged: it has not ended.
        """
        if not self.is_whole or self._message is None:
            raise StreamDamaged("the stream ended before the message did")
        return {**self._message, "content": self._blocks}

    def feed(self, piece: bytes) -> bool:
        """Take *piece*, cut anywhere; whether it brought more than pings.

        Raises:
            StreamDamaged: an event is no JSON (also: no UTF-8) or does not follow from the ones before.
            StreamError: the server sent an error.
        """
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        is_progress = False
        for line in lines:
            if line.startswith(_DATA):
                self._data.append(line[len(_DATA) :])
            elif self._data and line in {b"", b"\r"}:
                data, self._data = b"\n".join(self._data), []
                is_progress = self.take(data) or is_progress
        return is_progress

    def take(self, data: bytes) -> bool:
        """One event as JSON; whether it is more than a sign of life. After the end nothing counts.

        Raises what `feed` raises.
        """
        if self.is_whole:
            return False
        try:
            event = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise StreamDamaged("an event is no JSON") from error
        try:
            return self._apply(event)
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise StreamDamaged("an event has not the documented shape") from error

    def _apply(self, event: Json) -> bool:
        """Do what the event says."""
        match event["type"]:
            case "content_block_delta":
                self._grow(event["index"], event["delta"])
            case "content_block_start":
                self._begin(event["index"], event["content_block"])
            case "content_block_stop":
                self._close(event["index"])
            case "message_start" if self._message is None:
                self._message = dict(event["message"])
                self._message["usage"] = dict(self._message["usage"])
            case "message_delta":
                self._finish(event)
            case "message_stop":
                self._end()
            case "error":
                raise StreamError(event, is_started=self._message is not None)
            case "message_start":
                raise StreamDamaged("a second message begins")
            case _:
                return False
        return True

    def _begin(self, index: int, block: Json) -> None:
        """A new block, after the last one."""
        if self._message is None or index != len(self._blocks) or not isinstance(block, dict):
            raise StreamDamaged("a block begins out of order")
        self._blocks.append(block)
        self._open[index] = {}

    def _grow(self, index: int, delta: Json) -> None:
        """Add *delta* to its block; text is gathered and joined at the block's end."""
        parts, block = self._open[index], self._blocks[index]
        for name, value in delta.items():
            if name == "type":
                continue
            if name == "signature":
                block[name] = value
            elif isinstance(value, str):
                parts.setdefault(name, []).append(value)
            elif name == "citation":
                block["citations"] = [*(block.get("citations") or ()), value]
            else:
                block[name] = [*block[name], *value] if _are_lists(block.get(name), value) else value

    def _close(self, index: int) -> None:
        """The block is complete."""
        block = self._blocks[index]
        for name, parts in self._open.pop(index).items():
            text = "".join(parts)
            if name == "partial_json":
                block["input"] = _input(text, block.get("input"))
            else:
                block[name] = (block.get(name) or "") + text

    def _finish(self, event: Json) -> None:
        """Why it stopped, and what it cost: counts are totals, and replace the first ones."""
        if self._message is None:
            raise StreamDamaged("a message ends that has not begun")
        self._message.update(event.get("delta") or {})
        counts = event["usage"]
        self._message["usage"].update({name: count for name, count in counts.items() if count is not None})
        self._is_billed = True

    def _end(self) -> None:
        """The message is complete, if all of it came."""
        if self._message is None or self._open or not self._is_billed:
            raise StreamDamaged("the message ends before its parts do")
        self.is_whole = True


def _are_lists(old: object, new: object) -> bool:
    """Whether one can be added to the other."""
    return isinstance(old, list) and isinstance(new, list)


def _input(text: str, start: Any) -> Any:
    """A tool's arguments: none at all is what its start said; what is no JSON object is marked as such."""
    if not text:
        return start
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {INVALID_JSON: text}
    return found if isinstance(found, dict) else {INVALID_JSON: text}
