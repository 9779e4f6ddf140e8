"""How an answer goes out: whole, in pieces, or broken as a fault says."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from bot.standin.model import platforms, sse
from bot.standin.model.faults import Fault
from bot.standin.model.refusal import Refusal

Json = dict[str, Any]
JSON = "application/json"
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Answer:
    """A message on its way: its events (one piece of JSON where no stream was asked for) as bytes."""

    message: Json
    pieces: tuple[bytes, ...]
    content_type: str
    encode: Callable[[Json], bytes]

    @classmethod
    def of(cls, message: Json, content_type: str) -> "Answer":
        """The message as JSON, as events, or as events in Amazon's framing."""
        encode = platforms.aws_frame if content_type == platforms.AWS_STREAM else sse.encode
        if content_type == JSON:
            return cls(message, (json.dumps(message).encode(),), content_type, encode)
        return cls(message, tuple(encode(event) for event in sse.events(message)), content_type, encode)


async def send(request: web.Request, answer: Answer, fault: Fault | None, record: Json) -> web.StreamResponse:
    """Answer *request*, with *fault* if there is one; *record* learns how many bytes went out."""
    if fault is not None and fault.kind == "nonsense":
        page = "<html><body>It works!</body></html>"
        return web.Response(text=page, content_type="text/html", headers={"request-id": record["id"]})
    if fault is not None and fault.kind == "empty":
        empty = {**answer.message, "content": [], "stop_reason": "end_turn"}
        answer, fault = Answer.of(empty, answer.content_type), None
    if fault is not None and fault.kind in {"hang", "drop", "reset"}:
        await asyncio.sleep(fault.seconds if fault.kind == "hang" else 0)
        _cut(request, is_reset=fault.kind == "reset")
        return web.StreamResponse()
    return await _write(request, answer, fault, record)


async def _write(
    request: web.Request, answer: Answer, fault: Fault | None, record: Json
) -> web.StreamResponse:
    """Send what the fault leaves of the bytes, and end or cut."""
    response = web.StreamResponse(headers={"request-id": record["id"], "Content-Type": answer.content_type})
    if answer.content_type == JSON:
        response.content_length = sum(map(len, answer.pieces))
    await response.prepare(request)
    record["answer_bytes"] = 0
    try:
        async for piece in _played(answer, fault):
            record["answer_bytes"] += len(piece)
            await response.write(piece)
        if _ends_whole(fault):
            await response.write_eof()
            return response
    except ConnectionError:
        record["is_left"] = True
    _cut(request)
    return response


def _ends_whole(fault: Fault | None) -> bool:
    """Whether the answer ends as HTTP says that it does."""
    if fault is None or fault.kind in {"drip", "damage", "error_event"}:
        return True
    return fault.kind == "cut" and fault.is_clean


async def _played(answer: Answer, fault: Fault | None) -> AsyncIterator[bytes]:
    """The bytes to send, with the pauses and the additions of *fault*."""
    whole = b"".join(answer.pieces)
    if fault is None:
        yield whole
        return
    if fault.kind == "truncate":
        yield whole[: len(whole) // 2]
        return
    if fault.kind == "drip":
        async for piece in _dripped(answer, fault):
            yield piece
        return
    sent = b"".join(answer.pieces[: fault.after_event])
    yield whole[: fault.after_byte] if fault.after_byte is not None else sent
    async for piece in _added(answer, fault):
        yield piece


async def _added(answer: Answer, fault: Fault) -> AsyncIterator[bytes]:
    """What comes after the first events, in place of the rest."""
    if fault.kind == "stall":
        await asyncio.sleep(fault.seconds)
    if fault.kind == "error_event":
        yield answer.encode(sse.error(fault.type, fault.message))
    if fault.kind == "damage":
        spoiled = [piece.replace(b"{", b"{,", 1) for piece in answer.pieces[fault.after_event :][:1]]
        yield b"".join([*spoiled, *answer.pieces[fault.after_event + 1 :]])
    if fault.kind == "pings":
        for _ in range(max(1, round(fault.seconds / fault.every_seconds)) if fault.every_seconds else 1):
            yield answer.encode({"type": "ping"})
            await asyncio.sleep(fault.every_seconds)


async def _dripped(answer: Answer, fault: Fault) -> AsyncIterator[bytes]:
    """The whole answer, slowly."""
    whole, size = b"".join(answer.pieces), fault.piece_bytes
    pieces = answer.pieces if size is None else [whole[at : at + size] for at in range(0, len(whole), size)]
    for piece in pieces:
        yield piece
        await asyncio.sleep(fault.every_seconds)


def refused(fault: Fault, record: Json) -> web.Response:
    """An error status in Anthropic's form."""
    record["status"] = fault.status
    answer = Refusal(fault.status, fault.type, fault.message).body(record["id"])
    if fault.code is not None:
        answer["error"]["details"] = {"error_code": fault.code}
    headers = {"request-id": record["id"], **fault.error_headers()}
    return web.json_response(answer, status=fault.status, headers=headers)


def _cut(request: web.Request, *, is_reset: bool = False) -> None:
    """Close the connection at once; with *is_reset* the peer gets a reset in place of an end."""
    if request.transport is None:
        return
    peer = request.transport.get_extra_info("socket")
    if is_reset and peer is not None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    request.transport.abort()
