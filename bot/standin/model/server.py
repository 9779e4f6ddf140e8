"""The server: the doors of the Messages API, played by script, and `/_model/*` to look and to change."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from bot.standin.model import bill, features, platforms, rules, script, sending, sse
from bot.standin.model.faults import Schedule
from bot.standin.model.models import MODELS
from bot.standin.model.refusal import Refusal, invalid
from bot.standin.model.script import Book, Json, ScriptError, Turn
from bot.standin.model.sending import Answer
from bot.standin.model.usage import PrefixCache, prompt_tokens

MAX_BODY_BYTES = 32 * 1024 * 1024
"""https://platform.claude.com/docs/en/api/overview: request size limits."""
_BEDROCK = "/model/{model}/{way:invoke|invoke-with-response-stream}"
_VERTEX_MODELS = "/projects/{project}/locations/{region}/publishers/anthropic/models"
_VERTEX = _VERTEX_MODELS + "/{model}:{way:rawPredict|streamRawPredict}"
_WHOLE_WAYS = frozenset({"invoke", "rawPredict"})


class ModelServer:
    """A scripted Messages API on a loopback port; `requests` holds every request, oldest first."""

    def __init__(
        self,
        book: Book | Json,
        *,
        api_key: str | None = None,
        is_checking_thinking: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Play *book*; with *api_key*, refuse any other key. *clock* (seconds) ages the cache."""
        self._api_key = api_key
        self._is_checking_thinking = is_checking_thinking
        self._clock = clock
        self._runner: web.AppRunner | None = None
        self._host, self._port = "127.0.0.1", 0
        self.requests: list[Json] = []
        self.play(book)

    def play(self, book: Book | Json) -> None:
        """Change to another book; faults and cache begin anew."""
        self._book = book if isinstance(book, Book) else Book.read(book)
        self._known = {**MODELS, **self._book.models}
        self._schedule = Schedule(self._book.faults)
        self._cache = PrefixCache(self._clock, self._known)

    @property
    def url(self) -> str:
        """Where it listens; the value for ANTHROPIC_BASE_URL."""
        return f"http://{self._host}:{self._port}"

    def bill(self, multipliers: Mapping[str, Json] | None = None) -> list[Json]:
        """What was answered so far cost, by session; see `bill.report`."""
        return bill.report(self.requests, multipliers)

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> None:
        """Listen on *port* (0: any free one)."""
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.add_routes(
            [
                web.post("/v1/messages", self._messages),
                web.post("/v1/messages/count_tokens", self._count),
                web.get("/v1/models", self._models),
                web.get("/v1/models/{model}", self._models),
                web.post("/anthropic/v1/messages", self._door("foundry", sse.CONTENT_TYPE)),
                web.post(_BEDROCK, self._door("bedrock", platforms.AWS_STREAM)),
                web.post(_VERTEX, self._door("vertex", sse.CONTENT_TYPE)),
                web.get("/_model/requests", self._show_requests),
                web.delete("/_model/requests", self._forget_requests),
                web.post("/_model/bill", self._show_bill),
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
        """The API's own door."""

        def read(raw: bytes) -> Any:
            rules.check_headers(request.headers, self._api_key)
            return _parse(raw)

        return await self._receive(request, read, sse.CONTENT_TYPE)

    def _door(self, platform: str, stream_type: str) -> Handler:
        """The door of a cloud: its form of key; where the path names the model, the body does not."""

        async def serve(request: web.Request) -> web.StreamResponse:
            def read(raw: bytes) -> Any:
                platforms.check_key(platform, request.headers, self._api_key)
                body, place = _parse(raw), request.match_info
                if "model" not in place:
                    return body
                return platforms.plain_body(body, place["model"], is_stream=place["way"] not in _WHOLE_WAYS)

            return await self._receive(request, read, stream_type)

        return serve

    async def _receive(
        self, request: web.Request, read: Callable[[bytes], Any], stream_type: str
    ) -> web.StreamResponse:
        """Record, refuse, break or answer one request; *read* checks its credential and gives its body."""
        raw = await request.read()
        request_id = f"req_standin{len(self.requests):06d}"
        record: Json = {"id": request_id, "headers": _safe_headers(request), "body": None, "status": 200}
        record |= {"path": request.path, "bytes": len(raw), "received_at": time.monotonic()}
        record["peer"] = str(request.transport and request.transport.get_extra_info("peername"))
        self.requests.append(record)
        try:
            record["body"] = body = read(raw)
            rules.check_body(body, self._known)
            features.check(body, self._book.without)
            return await self._answer(request, body, record, stream_type)
        except Refusal as refusal:
            record["status"], record["refusal"] = refusal.status, refusal.message
            headers = {"request-id": request_id}
            return web.json_response(refusal.body(request_id), status=refusal.status, headers=headers)
        finally:
            record["answered_at"] = time.monotonic()

    async def _answer(
        self, request: web.Request, sent: Json, record: Json, stream_type: str
    ) -> web.StreamResponse:
        """Choose the turn, then a fault or the turn itself."""
        body = features.understood(sent, self._book.ignores)
        chosen = self._book.choose(body)
        if chosen is None:
            raise invalid("stand-in: no script matches the first user message")
        index = script.turn_index(body)
        record["script"], record["turn"] = chosen.name, index
        self._check_state(body, chosen, index)
        fault = self._schedule.next(index, chosen.name)
        if fault is not None:
            record["fault"] = fault.kind
        if fault is not None and fault.kind == "status":
            return sending.refused(fault, record)
        message = self._message(body, self._book.answer(chosen, body, index), f"{chosen.name}:{index}")
        record["usage"] = message["usage"]
        content_type = stream_type if body.get("stream") is True else sending.JSON
        return await sending.send(request, Answer.of(message, content_type), fault, record)

    def _check_state(self, body: Json, chosen: script.Script, index: int) -> None:
        """Refuse what depends on the model or on earlier answers: size, prefill, changed thinking."""
        model = self._known[body["model"]]
        tokens = prompt_tokens(body)
        if tokens > model.context_tokens:
            raise invalid(f"prompt is too long: {tokens} tokens > {model.context_tokens} maximum")
        ends_with_reply = body["messages"][-1]["role"] == "assistant"
        if ends_with_reply and chosen.turn(body["messages"], index - 1).stop_reason != "pause_turn":
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
        message = {
            "id": "msg_" + hashlib.sha256(seed.encode()).hexdigest()[:24],
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": content,
            "stop_reason": turn.stop_reason,
            "stop_sequence": None,
            "usage": usage,
        }
        return message if turn.stop_details is None else {**message, "stop_details": turn.stop_details}

    async def _count(self, request: web.Request) -> web.Response:
        """How many tokens a request would hold; nothing is recorded and nothing is billed."""
        try:
            rules.check_headers(request.headers, self._api_key)
            features.check_counting(self._book.without)
            body = _parse(await request.read())
            rules.check_body({"max_tokens": 1, **body} if isinstance(body, dict) else body, self._known)
        except Refusal as refusal:
            return web.json_response(refusal.body("req_standin_count"), status=refusal.status)
        return web.json_response({"input_tokens": prompt_tokens(body)})

    async def _models(self, request: web.Request) -> web.Response:
        """The models that are known here, or one of them."""
        wanted = request.match_info.get("model")
        try:
            rules.check_headers(request.headers, self._api_key)
            if wanted is not None and wanted not in self._known:
                raise Refusal(404, "not_found_error", f"model: {wanted}")
        except Refusal as refusal:
            return web.json_response(refusal.body("req_standin_models"), status=refusal.status)
        if wanted is not None:
            return web.json_response(self._known[wanted].described(wanted))
        data = [model.described(name) for name, model in self._known.items()]
        page = {"data": data, "has_more": False, "first_id": data[0]["id"], "last_id": data[-1]["id"]}
        return web.json_response(page)

    async def _show_requests(self, _request: web.Request) -> web.Response:
        """Everything that was asked so far, without keys."""
        return web.json_response({"requests": self.requests})

    async def _forget_requests(self, _request: web.Request) -> web.Response:
        """Begin a new record."""
        self.requests.clear()
        return web.Response(status=204)

    async def _show_bill(self, request: web.Request) -> web.Response:
        """The bill by session; the body may hold `multipliers` by model."""
        asked = json.loads(await request.read() or b"{}")
        return web.json_response({"sessions": self.bill(asked.get("multipliers"))})

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
    for name in ("authorization", "x-api-key", "api-key"):
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
