"""What a stream's events make, event by event, also of kinds that nobody knows yet."""

from collections.abc import Iterable
from typing import Any

import orjson
import pytest

from bot.domain.values import Json
from bot.llm.stream import Assembly, StreamDamaged

START: Json = {
    "type": "message_start",
    "message": {"model": "m", "content": [], "usage": {"input_tokens": 9, "output_tokens": 1}},
}
ENDED: Json = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}}
STOP: Json = {"type": "message_stop"}


def block(content: Json, *deltas: Json, index: int = 0) -> list[Json]:
    grown = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    start = {"type": "content_block_start", "index": index, "content_block": content}
    return [start, *grown, {"type": "content_block_stop", "index": index}]


def wire(events: Iterable[Json], line_end: str = "\n") -> bytes:
    return b"".join(
        f"event: {event['type']}{line_end}data: ".encode() + orjson.dumps(event) + 2 * line_end.encode()
        for event in events
    )


def made(*events: Json) -> Json:
    assembly = Assembly()
    assembly.feed(wire([START, *events, ENDED, STOP]))
    return assembly.message


def block_of(*events: Json) -> Any:
    return made(*events)["content"][0]


def test_text_is_joined_and_fields_of_the_start_are_kept() -> None:
    start = {"type": "text", "text": "", "citations": None, "new": {"a": 1}}
    deltas = [{"type": "text_delta", "text": part} for part in ("Hel", "lo")]
    assert block_of(*block(start, *deltas)) == {**start, "text": "Hello"}


def test_citations_are_gathered() -> None:
    deltas = [{"type": "citations_delta", "citation": {"n": n}} for n in (1, 2)]
    assert block_of(*block({"type": "text", "text": "", "citations": None}, *deltas)) == {
        "type": "text",
        "text": "",
        "citations": [{"n": 1}, {"n": 2}],
    }


def test_a_signature_is_set_and_thoughts_are_joined() -> None:
    deltas: list[Json] = [
        {"type": "thinking_delta", "thinking": "a"},
        {"type": "thinking_delta", "thinking": "b"},
        {"type": "signature_delta", "signature": "s1"},
        {"type": "signature_delta", "signature": "s2"},
    ]
    made_block = block_of(*block({"type": "thinking", "thinking": "", "signature": ""}, *deltas))
    assert made_block == {"type": "thinking", "thinking": "ab", "signature": "s2"}


def test_arguments_come_in_pieces_cut_anywhere_and_may_be_missing() -> None:
    start = {"type": "tool_use", "id": "t", "name": "n", "input": {}}
    deltas = [{"type": "input_json_delta", "partial_json": part} for part in ("", '{"a": "\\u00', 'fc"}')]
    assert block_of(*block(start, *deltas))["input"] == {"a": "ü"}
    assert block_of(*block(start))["input"] == {}


@pytest.mark.parametrize("text", ['{"path": "a', "null", "3", "[]", '"path"', "true"])
def test_arguments_that_are_no_json_object_are_given_to_a_name_that_no_tool_knows(text: str) -> None:
    start = {"type": "tool_use", "id": "t", "name": "n", "input": {}}
    cut = {"type": "input_json_delta", "partial_json": text}
    assert block_of(*block(start, cut))["input"] == {"INVALID_JSON": text}


def test_deltas_and_blocks_of_unknown_kinds_are_kept() -> None:
    start: Json = {"type": "hologram", "words": None, "list": [1], "number": 1}
    deltas: list[Json] = [
        {"type": "hologram_delta", "words": "a", "list": [2], "number": 2},
        {"type": "hologram_delta", "words": "b", "more": {"x": 1}},
    ]
    assert block_of(*block(start, *deltas)) == {
        "type": "hologram",
        "words": "ab",
        "list": [1, 2],
        "number": 2,
        "more": {"x": 1},
    }


def test_counts_at_the_end_replace_those_of_the_start_and_nulls_do_not() -> None:
    ended = {**ENDED, "usage": {"output_tokens": 7, "input_tokens": None, "cache_read_input_tokens": 3}}
    message = made(ended)
    assert message["usage"] == {"input_tokens": 9, "output_tokens": 7, "cache_read_input_tokens": 3}
    assert message["stop_reason"] == "end_turn"


def test_unknown_events_and_comments_are_passed_over_and_are_no_progress() -> None:
    assembly = Assembly()
    assert not assembly.feed(b': hello\n\nid: 5\nevent: ping\ndata: {"type": "ping"}\n\n')
    assert not assembly.feed(wire([{"type": "a_new_event"}]))
    assert assembly.feed(wire([START]))


def test_both_line_ends_and_data_in_several_lines_are_read() -> None:
    for line_end in ("\n", "\r\n"):
        assembly = Assembly()
        assembly.feed(wire([START, *block({"type": "text", "text": "a"})], line_end))
        assembly.feed(f'data: {{"type": "message_delta",{line_end}'.encode())
        assembly.feed(f'data: "delta": {{}}, "usage": {{}}}}{2 * line_end}'.encode() + wire([STOP], line_end))
        assert assembly.is_whole


def test_what_comes_after_the_end_does_not_matter() -> None:
    assembly = Assembly()
    assembly.feed(wire([START, ENDED, STOP]))
    assert not assembly.feed(b"data: [DONE]\n\n" + wire([START]))
    assert assembly.message["content"] == []


TEXT = block({"type": "text", "text": ""})
DAMAGED: dict[str, list[Any]] = {
    "no start": TEXT,
    "an end without a start": [ENDED],
    "a stop without a start": [STOP],
    "two starts": [START, START],
    "a start without usage": [{"type": "message_start", "message": {}}],
    "a block out of order": [START, *block({"type": "text", "text": ""}, index=1)],
    "a block twice": [START, *TEXT, *TEXT],
    "a block that is no object": [START, *block("text")],  # type: ignore[arg-type]
    "a delta of no block": [START, {"type": "content_block_delta", "index": 0, "delta": {"text": "a"}}],
    "a delta after the block's end": [
        START,
        *TEXT,
        {"type": "content_block_delta", "index": 0, "delta": {"text": "a"}},
    ],
    "an end of no block": [START, {"type": "content_block_stop", "index": 0}],
    "a stop while a block is open": [START, TEXT[0], ENDED, STOP],
    "a stop without a bill": [START, *TEXT, STOP],
    "an end without usage": [START, {"type": "message_delta", "delta": {}}],
    "an event that is a list": [[1]],
    "an event without a type": [{}],
}


@pytest.mark.parametrize("events", DAMAGED.values(), ids=DAMAGED)
def test_events_that_do_not_follow_from_each_other_are_no_message(events: list[Any]) -> None:
    raw = b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events)
    with pytest.raises(StreamDamaged):
        Assembly().feed(raw)


def test_bytes_that_are_no_text_are_no_message() -> None:
    with pytest.raises(StreamDamaged, match="no JSON"):
        Assembly().feed(b'data: {"type": "ping", "x": "\xff"}\n\n')


def test_a_stream_that_ends_early_has_no_message() -> None:
    assembly = Assembly()
    assembly.feed(wire([START, *TEXT, ENDED]) + wire([STOP])[:-1])
    with pytest.raises(StreamDamaged, match="ended before"):
        _ = assembly.message
