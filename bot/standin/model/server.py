"""The server: `POST /v1/messages` by script, and `/_model/*` to look at it and to change its script."""

import hashlib
import json
from typing import Any

from aiohttp import web

from bot.standin.model import rules, script, sending
from bot.standin.model.faults import Schedule
from bot.standin.model.models import MODELS
from bot.standin.model.refusal import Refusal, invalid
from bot.standin.model.script import Book, Json, ScriptError, Turn
from bot.standin.model.sending import Answer
from bot.standin.model.usage import PrefixCache, prompt_tokens

MAX_BODY_BYTES = 32 * 1024 * 1024
"""https://platform.claude.com/docs/en/api/overview: request size limits."""


class ModelServer:
    """A scripted Messages API on a loopback port; `requests` holds every request, oldest first."""

    def __init__(
        self, book: Book | Json, *, api_key: str | None = None, is_checking_thinking: bool = True
    ) -> None:
        """Play *book*; with *api_key*, refuse any other key."""
        self._api_key = api_key
        self._is_checking_thinking = is_checking_thinking
        self._runner: web.AppRunner | None = None
        self._host, self._port = "127.0.0.1", 0
        self.requests: list[Json] = []
        self.play(book)

    def play(self, book: Book | Json) -> None:
        """Change to another book; faults and cache begin anew."""
        self._book = book if isinstance(book, Book) else Book.read(book)
        self._schedule = Schedule(self._book.faults)
        self._cache = PrefixCache()

    @property
    def url(self) -> str:
        """Where it listens; the value for ANTHROPIC_BASE_URL."""
        return f"http://{self._host}:{self._port}"

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> None:
        """Listen on *port* (0: any free one)."""
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.add_routes(
            [
                web.post("/v1/messages", self._messages),
                web.get("/_model/requests", self._show_requests),
                web.delete("/_model/requests", self._forget_requests),
                web.put("/_model/script", self._change_script),
            ]
        )
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self._host, self._port = self._runner.addresses[0][:2]

    async def stop(self) -> None:
        """Stop listening; the second time does nothing."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        """Record, refuse, break or answer one request."""
        raw = await request.read()
        request_id = f"req_standin{len(self.requests):06d}"
        record: Json = {"id": request_id, "headers": _safe_headers(request), "body": None, "status": 200}
        self.requests.append(record)
        try:
            rules.check_headers(request.headers, self._api_key)
            record["body"] = body = _parse(raw)
            rules.check_body(body)
            return await self._answer(request, body, record)
        except Refusal as refusal:
            record["status"], record["refusal"] = refusal.status, refusal.message
            headers = {"request-id": request_id}
            return web.json_response(refusal.body(request_id), status=refusal.status, headers=headers)

    async def _answer(self, request: web.Request, body: Json, record: Json) -> web.StreamResponse:
        """Choose the turn, then a fault or the turn itself."""
        text, index = script.first_text(body), script.turn_index(body)
        chosen = self._book.choose(text)
        if chosen is None:
            raise invalid("stand-in: no script matches the first user message")
        record["script"], record["turn"] = chosen.name, index
        self._check_state(body, chosen, index, text)
        turn = chosen.turn(index, text)
        message = self._message(body, turn, f"{chosen.name}:{index}")
        fault = self._schedule.next(index, chosen.name)
        if fault is not None:
            record["fault"] = fault.kind
        answer = Answer.of(message, is_stream=body.get("stream") is True)
        return await sending.send(request, answer, fault, record)

    def _check_state(self, body: Json, chosen: script.Script, index: int, text: str) -> None:
        """Refuse what depends on the model or on earlier answers: size, prefill, changed thinking."""
        model = MODELS[body["model"]]
        tokens = prompt_tokens(body)
        if tokens > model.context_tokens:
            raise invalid(f"prompt is too long: {tokens} tokens > {model.context_tokens} maximum")
        ends_with_reply = body["messages"][-1]["role"] == "assistant"
        if ends_with_reply and chosen.turn(index - 1, text).stop_reason != "pause_turn":
            raise invalid(
                "This model does not support assistant message prefill. The conversation must end with a "
                "user message."
            )
        if self._is_checking_thinking:
            _check_thinking(body)

    def _message(self, body: Json, turn: Turn, seed: str) -> Json:
        """The whole answer; the same request gets the same ids."""
        content = script.with_ids(turn.content, seed)
        usage = turn.usage if turn.usage is not None else self._cache.bill(body, content)
        return {
            "id": "msg_" + hashlib.sha256(seed.encode()).hexdigest()[:24],
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": content,
            "stop_reason": turn.stop_reason,
            "stop_sequence": None,
            "usage": usage,
        }

    async def _show_requests(self, _request: web.Request) -> web.Response:
        """Everything that was asked so far, without keys."""
        return web.json_response({"requests": self.requests})

    async def _forget_requests(self, _request: web.Request) -> web.Response:
        """Begin a new record."""
        self.requests.clear()
        return web.Response(status=204)

    async def _change_script(self, request: web.Request) -> web.Response:
        """Play the book in the body from now on."""
        try:
            self.play(json.loads(await request.read()))
        except (ScriptError, json.JSONDecodeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.Response(status=204)


def _parse(raw: bytes) -> Any:
    """The body as JSON.

    Raises:
        Refusal: it is none.
    """
    try:
        return json.loads(raw)
    except ValueError as error:
        raise invalid(f"The request body is not valid JSON: {error}") from error


def _safe_headers(request: web.Request) -> Json:
    """The headers in lower case; a key is only named by its digest."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    for name in ("authorization", "x-api-key"):
        if name in headers:
            key = headers[name].removeprefix("Bearer ")
            headers[name] = "sha256:" + hashlib.sha256(key.encode()).hexdigest()
    return headers


def _check_thinking(body: Json) -> None:
    """Refuse a thinking block that is not as it was given out."""
    for index, message in enumerate(body["messages"]):
        content = message["content"] if isinstance(message["content"], list) else []
        for position, block in enumerate(content):
            if block["type"] == "thinking" and block["signature"] != script.signature(block["thinking"]):
                raise invalid(f"messages.{index}.content.{position}: Invalid `signature` in `thinking` block")
