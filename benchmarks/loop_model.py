"""The scripted model of loop.py: JSON or SSE at once, times of requests, and their bill by the caching rules.

Use: loop_model.py STEPS      prints its address. GET /report, GET /reset (tools and system stay cached).
"""

import asyncio
import hashlib
import json
import statistics
import sys
import time
from typing import Any

from aiohttp import web

FILES, LOOKBACK_BLOCKS, MIN_BYTES = 10, 20, 4_096
Json = dict[str, Any]


class Scripted:
    """What was asked since the last reset, and the cache."""

    def __init__(self, steps: int) -> None:
        """A session has that many steps."""
        self.steps = steps
        self.times: list[tuple[float, float]] = []
        self.sizes: list[Json] = []
        self.last_bytes = 0
        self.cache: dict[str, bool] = {}
        """The prefixes that were written; true: nothing but tools and system, which every job has."""

    async def messages(self, request: web.Request) -> web.Response:
        """Answer with the step that the conversation has come to."""
        received_at = time.perf_counter()
        raw = await request.read()
        body = json.loads(raw)
        step = sum(message["role"] == "assistant" for message in body["messages"])
        answer = self._answer(body, step)
        kind, content = (
            ("text/event-stream", events(answer)) if body.get("stream") else ("application/json", None)
        )
        sent = content or json.dumps(answer).encode()
        self.last_bytes = len(raw)
        self.times.append((received_at, time.perf_counter()))
        asyncio.get_running_loop().call_soon(self._bill, body)
        return web.Response(body=sent, content_type=kind)

    def _answer(self, body: Json, step: int) -> Json:
        number, file = step // 3, f"file_{step // 3 % FILES}.py"
        name, given = (
            ("read_file", {"path": file}),
            (
                "edit_file",
                {"path": file, "old": f"VALUE_{number} = {number}\n", "new": f"VALUE_{number} = x\n"},
            ),
            ("list_directory", {}),
        )[step % 3]
        content: list[Json] = [{"type": "text", "text": f"Step {step}: the next file, and the small change."}]
        is_over = step >= self.steps
        if not is_over:
            content.append({"type": "tool_use", "id": f"toolu_{step:06}", "name": name, "input": given})
        return {
            "id": f"msg_{step:06}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": content,
            "stop_reason": "end_turn" if is_over else "tool_use",
            "stop_sequence": None,
            "usage": {"input_tokens": 1_000, "output_tokens": 60},
        }

    def _bill(self, body: Json) -> None:
        """Bytes read, written and plain of one request, by the prefixes that stand in the cache."""
        blocks = ordered(body)
        digest, total, ends = hashlib.sha256(), 0, []
        for text, _ in blocks:
            digest.update(text)
            total += len(text)
            ends.append((digest.hexdigest(), total))
        marks = [place for place, (_, is_mark) in enumerate(blocks) if is_mark]
        read = written = 0
        for mark in marks:
            window = ends[max(0, mark - LOOKBACK_BLOCKS + 1) : mark + 1]
            read = max(read, next((size for key, size in reversed(window) if key in self.cache), 0))
            written = max(written, ends[mark][1])
        stable = prefix_bytes(body)
        self.cache |= {ends[mark][0]: ends[mark][1] <= stable for mark in marks if ends[mark][1] >= MIN_BYTES}
        rest = total - max(read, written)
        sizes = {"read": read, "written": max(written - read, 0), "plain": rest}
        self.sizes.append({**sizes, "prefix": stable})

    async def report(self, _request: web.Request) -> web.Response:
        """The middle gap, and the bill's parts."""
        gaps = [
            (later[0] - sooner[1]) * 1e3 for sooner, later in zip(self.times, self.times[1:], strict=False)
        ]
        return web.json_response(
            {"gap_ms": statistics.median(gaps), "sizes": self.sizes, "last_bytes": self.last_bytes}
        )

    async def reset(self, _request: web.Request) -> web.Response:
        """Begin another session; what only the last one had in the cache is gone."""
        self.times, self.sizes = [], []
        self.cache = {key: is_stable for key, is_stable in self.cache.items() if is_stable}
        return web.Response()


def prefix_bytes(body: Json) -> int:
    """Tools and system: what every job of an agent has in common."""
    return sum(len(text) for text, _ in ordered({**body, "messages": []}))


def ordered(body: Json) -> list[tuple[bytes, bool]]:
    """Every block in the order of caching, and whether it is a breakpoint."""
    system = body.get("system") or []
    blocks: list[tuple[str, Json]] = [("tool", tool) for tool in body.get("tools", ())]
    blocks += [("system", each) for each in ([{"text": system}] if isinstance(system, str) else system)]
    for message in body["messages"]:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        blocks += [(message["role"], part) for part in parts]
    found = [
        (
            role.encode() + json.dumps({k: v for k, v in block.items() if k != "cache_control"}).encode(),
            bool(block.get("cache_control")),
        )
        for role, block in blocks
    ]
    if body.get("cache_control") and found:
        found[-1] = (found[-1][0], True)
    return found


def events(message: Json) -> bytes:
    """The same answer as a stream."""
    parts: list[Json] = [
        {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}}
    ]
    for index, block in enumerate(message["content"]):
        is_text = block["type"] == "text"
        start = {**block, "text": ""} if is_text else {**block, "input": {}}
        delta = (
            {"type": "text_delta", "text": block["text"]}
            if is_text
            else {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        )
        parts += [
            {"type": "content_block_start", "index": index, "content_block": start},
            {"type": "content_block_delta", "index": index, "delta": delta},
            {"type": "content_block_stop", "index": index},
        ]
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    parts += [
        {"type": "message_delta", "delta": ending, "usage": {"output_tokens": 60}},
        {"type": "message_stop"},
    ]
    return "".join(f"event: {part['type']}\ndata: {json.dumps(part)}\n\n" for part in parts).encode()


async def main() -> None:
    """Serve until the process is ended."""
    scripted = Scripted(int(sys.argv[1]))
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/messages", scripted.messages)
    app.router.add_get("/report", scripted.report)
    app.router.add_get("/reset", scripted.reset)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
