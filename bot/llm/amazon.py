"""Bedrock's streams: the same events, each in a frame of Amazon's binary framing, with two checksums.

Frames: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html. Exceptions:
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ResponseStream.html
"""

import base64
import binascii
import struct
import zlib

import orjson

from bot.domain.values import Json
from bot.llm.stream import Assembly, StreamDamaged

CONTENT_TYPE = "application/vnd.amazon.eventstream"
MAX_FRAME_BYTES = 24 * 1024 * 1024
_PRELUDE = struct.Struct("!III")
_CHECKSUM = struct.Struct("!I")
_STRING = 7
_ERRORS = {
    "internalServerException": "api_error",
    "modelStreamErrorException": "api_error",
    "modelTimeoutException": "timeout_error",
    "serviceUnavailableException": "overloaded_error",
    "throttlingException": "rate_limit_error",
    "validationException": "invalid_request_error",
}


class AmazonAssembly(Assembly):
    """An answer in the making, from frames that may be cut anywhere."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self._bytes = bytearray()

    def feed(self, piece: bytes) -> bool:
        """Take *piece*; whether it brought more than pings. Raises what `Assembly.feed` raises."""
        self._bytes += piece
        is_progress = False
        while len(self._bytes) >= _PRELUDE.size:
            total, headers_length, checksum = _PRELUDE.unpack_from(self._bytes)
            if zlib.crc32(self._bytes[:8]) != checksum or not 16 + headers_length <= total <= MAX_FRAME_BYTES:
                raise StreamDamaged("a frame does not begin as documented")
            if len(self._bytes) < total:
                break
            frame = bytes(self._bytes[:total])
            del self._bytes[:total]
            is_progress = self.take(_event(frame, headers_length)) or is_progress
        return is_progress


def _event(frame: bytes, headers_length: int) -> bytes:
    """The event in a whole frame, as JSON; an exception as the error event that it stands for."""
    (checksum,) = _CHECKSUM.unpack_from(frame, len(frame) - 4)
    if zlib.crc32(frame[:-4]) != checksum:
        raise StreamDamaged("a frame was changed on its way")
    start = _PRELUDE.size
    try:
        headers = _headers(frame[start : start + headers_length])
        payload: Json = orjson.loads(frame[start + headers_length : -4] or b"{}")
        if headers.get(":message-type") == "event":
            return base64.b64decode(payload["bytes"], validate=True)
        message = payload.get("message", "")
    except (AttributeError, KeyError, TypeError, ValueError, struct.error, binascii.Error) as error:
        raise StreamDamaged("a frame has not the documented shape") from error
    kind = headers.get(":exception-type") or headers.get(":error-code") or ""
    name = _ERRORS.get(kind, "api_error")
    return orjson.dumps({"type": "error", "error": {"type": name, "message": f"{kind} {message}"}})


def _headers(raw: bytes) -> dict[str, str]:
    """The headers of a frame; Bedrock writes none but strings."""
    headers, at = {}, 0
    while at < len(raw):
        name_end = at + 1 + raw[at]
        kind, length = struct.unpack_from("!BH", raw, name_end)
        if kind != _STRING:
            raise ValueError(kind)
        headers[raw[at + 1 : name_end].decode()] = raw[name_end + 3 : name_end + 3 + length].decode()
        at = name_end + 3 + length
    return headers
