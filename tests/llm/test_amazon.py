"""Amazon's framing: frames cut anywhere, damaged ones, and exceptions in place of events."""

import base64
import struct
import zlib

import orjson
import pytest

from bot.domain.values import Json
from bot.llm.amazon import AmazonAssembly
from bot.llm.stream import StreamDamaged, StreamError
from bot.standin.model.platforms import aws_frame

START: Json = {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}}
ENDED: Json = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}}
WHOLE = b"".join(map(aws_frame, (START, ENDED, {"type": "message_stop"})))


def frame(headers: bytes, payload: bytes) -> bytes:
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    rest = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return rest + struct.pack("!I", zlib.crc32(rest))


def header(name: bytes, value: bytes, kind: int = 7) -> bytes:
    return bytes([len(name)]) + name + struct.pack("!BH", kind, len(value)) + value


def read(raw: bytes) -> Json:
    assembly = AmazonAssembly()
    assembly.feed(raw)
    return assembly.message


EVENT = header(b":message-type", b"event")


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
def test_frames_may_be_cut_anywhere(size: int) -> None:
    assembly = AmazonAssembly()
    for start in range(0, len(WHOLE), size):
        assembly.feed(WHOLE[start : start + size])
    assert assembly.message["usage"] == {"input_tokens": 9, "output_tokens": 7}


def test_a_stream_that_ends_within_a_frame_has_no_message() -> None:
    for end in range(len(WHOLE)):
        assembly = AmazonAssembly()
        assembly.feed(WHOLE[:end])
        with pytest.raises(StreamDamaged):
            _ = assembly.message


def test_a_changed_byte_anywhere_is_noticed() -> None:
    for place in range(len(WHOLE)):
        changed = bytearray(WHOLE)
        changed[place] ^= 1
        with pytest.raises(StreamDamaged):
            read(bytes(changed))


DAMAGED = {
    "a length that cannot be": frame(b"", b"")[:0]
    + struct.pack("!III", 1, 0, zlib.crc32(struct.pack("!II", 1, 0))),
    "no bytes": frame(EVENT, b"{}"),
    "no JSON": frame(EVENT, b"{"),
    "a list": frame(EVENT, b"[1]"),
    "no base64": frame(EVENT, b'{"bytes": "\\u00fc"}'),
    "a header of another kind": frame(header(b"a", b"b", kind=6), b"{}"),
    "a header that is cut": frame(b"\x05a", b"{}"),
    "an event that is no JSON": frame(EVENT, orjson.dumps({"bytes": base64.b64encode(b"{").decode()})),
}


@pytest.mark.parametrize("raw", DAMAGED.values(), ids=DAMAGED)
def test_a_frame_of_another_shape_is_no_message(raw: bytes) -> None:
    with pytest.raises(StreamDamaged):
        AmazonAssembly().feed(raw)


@pytest.mark.parametrize(
    ("kind", "type_"), [(b"throttlingException", "rate_limit_error"), (b"newException", "api_error")]
)
def test_an_exception_stands_for_an_error_event(kind: bytes, type_: str) -> None:
    headers = header(b":message-type", b"exception") + header(b":exception-type", kind)
    with pytest.raises(StreamError) as caught:
        AmazonAssembly().feed(frame(headers, b'{"message": "Too many"}'))
    assert caught.value.body["error"]["type"] == type_ and not caught.value.is_started
