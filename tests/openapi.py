"""Is an exchange with the forge what GitHub documents: requests of ours and answers alike.

`samples/openapi-subset.json` is cut from GitHub's own description. `check_all(forge.requests)` at the end of
a test validates everything that was asked and answered. Where the description is wrong, `_repaired` says how;
what it omits stands in one table, `UNDOCUMENTED`. A test that sends nonsense on purpose marks the request
with the header `X-Malformed-On-Purpose`.
"""

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote

from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_schema_validator import OAS30Validator
from werkzeug.datastructures import Headers, ImmutableMultiDict

from bot.standin.forge.record import Exchange

SAMPLE = Path(__file__).parent / "samples" / "openapi-subset.json"
ON_PURPOSE = "X-Malformed-On-Purpose"
_ORIGIN = "https://api.github.com"
_BODY_IS_NO_JSON = ("application/vnd.github.raw", "application/vnd.github.sha")

_VOLATILE = re.compile(r"authorization|date|etag|if-none-match|last-modified|x-github-request-id")
_MAX_KNOWN = 5_000
_known: dict[Any, list[str]] = {}

# Statuses that GitHub sends although the description of the operation omits them: why, and for which
# operations (a pattern over "METHOD /path/{template}"). Their body must be a `basic-error`.
UNDOCUMENTED: dict[int, tuple[str, str]] = {
    400: ("the body is no JSON object, or the API version is unknown", r"."),
    401: ("no, unknown, expired or revoked credentials", r"."),
    403: ("permission missing, suspended, locked, archived, or a rate limit", r"."),
    404: ("not there, or not to be seen with this token", r"."),
    301: ("the repository has another name by now", r"^GET "),
    307: ("the same, for a write", r"^(POST|PUT|PATCH|DELETE) "),
    409: ("the repository is empty", r"/(git|commits|compare)\b"),
    410: ("the issue was deleted", r"/issues/"),
    422: ("the cursor or the value cannot be processed", r"^(POST|PUT|PATCH|DELETE) "),
    429: ("a rate limit", r"."),
    500: ("GitHub failed", r"."),
    502: ("GitHub failed", r"."),
    503: ("GitHub is overloaded", r"."),
    504: ("GitHub took too long", r"."),
}

# Parameters whose value may hold slashes; the description does not say so (trap 1).
_SLASHES = re.compile(
    r"(?P<head>/repos/[^/]+/[^/]+/(?:contents|git/refs?|git/matching-refs|branches|compare|commits))"
    r"/(?P<value>.*?)(?P<tail>/(?:protection|check-runs|status|pulls))?"
)


class Operation(NamedTuple):
    """One documented operation and its path template."""

    template: str
    described: Mapping[str, Any]


class _Request:
    """The parts of a request that openapi-core asks for."""

    host_url = _ORIGIN

    def __init__(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> None:
        self.method = method.lower()
        self.path = path
        self.content_type = headers.get("Content-Type", "application/json").lower()
        self.body = body or None
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(parse_qsl(query, keep_blank_values=True)), header=Headers(dict(headers))
        )


class _Response:
    """The parts of an answer that openapi-core asks for."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status_code = status
        self.headers = Headers(dict(headers))
        self.content_type = headers.get("Content-Type", "application/json").lower()
        self.data = body or None


@cache
def _description() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(SAMPLE.read_text(encoding="utf-8"))
    return _repaired(found)


def _repaired(found: dict[str, Any]) -> dict[str, Any]:
    """The description without its known mistakes (traps 2, 3, 4; an account is a user or an enterprise)."""
    listed = found["paths"]["/app/installations"]["get"]["responses"]["200"]["content"]["application/json"]
    account = listed["schema"]["items"]["properties"]["account"]
    account["anyOf"] = account.pop("allOf")
    _straighten(found)
    for path, method, status in (("contents/{path}", "put", "409"), ("git/blobs", "post", "422")):
        answer = found["paths"]["/repos/{owner}/{repo}/" + path][method]["responses"][status]
        schema = answer["content"]["application/json"]["schema"]
        schema["anyOf"] = schema.pop("oneOf")
    reply = found["paths"]["/repos/{owner}/{repo}/pulls/{pull_number}/comments"]["post"]["requestBody"]
    review = reply["content"]["application/json"]["schema"]
    review["anyOf"] = [{"required": review.pop("required")}, {"required": ["body", "in_reply_to"]}]
    return found


def _straighten(node: Any) -> None:
    """Let nullable mean nullable, and let `oneOf` decide where a discriminator cannot (arrays)."""
    if isinstance(node, dict):
        if "propertyName" in node.get("discriminator", ()):
            del node["discriminator"]
        if node.get("nullable"):
            _allow_null(node)
        for child in node.values():
            _straighten(child)
    elif isinstance(node, list):
        for child in node:
            _straighten(child)


def _allow_null(schema: dict[str, Any]) -> None:
    """Make null valid for a nullable enum and for a nullable choice without a type of its own."""
    if "enum" in schema and None not in schema["enum"]:
        schema["enum"].append(None)
    for key in ("oneOf", "anyOf"):
        if key in schema and "type" not in schema:
            schema[key].append({"type": "string", "nullable": True, "enum": [None]})


@cache
def _openapi() -> OpenAPI:
    return OpenAPI.from_dict(_description())


@cache
def _templates() -> list[tuple[re.Pattern[str], str]]:
    """Patterns of all paths, those with more fixed parts first."""
    paths = sorted(_description()["paths"], key=lambda path: path.count("{"))
    return [(re.compile(re.sub(r"\\{[^/]+?\\}", "[^/]+", re.escape(path))), path) for path in paths]


def _sealed(path: str) -> str:
    """The path with the slashes of its last value percent-encoded (trap 1).

    A repository's number may stand for its names: redirects lead there, and nobody documents it.
    """
    path = re.sub(r"^/repositories/[0-9]+", "/repos/by/number", path)
    match = _SLASHES.fullmatch(f"{path}/" if path.endswith("/contents") else path)
    if match is None:
        return path
    value = quote(unquote(match["value"]), safe="") or "."
    return f"{match['head']}/{value}{match['tail'] or ''}"


def find_operation(method: str, path: str) -> Operation | None:
    """The documented operation of a request, or None."""
    sealed = _sealed(path)
    for pattern, template in _templates():
        described = _description()["paths"][template].get(method.lower())
        if described is not None and pattern.fullmatch(sealed):
            return Operation(template, described)
    return None


def problems(exchange: Exchange) -> list[str]:
    """Everything in which an exchange differs from the description; empty when it conforms.

    Most of what a suite exchanges was exchanged before to the byte: that is looked at once.
    """
    said = (exchange.method, exchange.path, exchange.query, exchange.request_body)
    answered = (exchange.status, exchange.response_body)
    key = (said, _steady(exchange.request_headers), answered, _steady(exchange.response_headers))
    if key not in _known:
        if len(_known) >= _MAX_KNOWN:
            _known.clear()
        _known[key] = _problems(exchange)
    return _known[key]


def _steady(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The headers, without the values that differ each time and that the description says nothing of.

    Of the limits it says that they are numbers, not which.
    """
    shown = {name: "" if _VOLATILE.fullmatch(name.lower()) else text for name, text in headers.items()}
    limits = {name: re.sub(r"[0-9]+", "0", text) for name, text in shown.items() if "RateLimit" in name}
    return tuple(sorted({**shown, **limits}.items()))


def _problems(exchange: Exchange) -> list[str]:
    operation = find_operation(exchange.method, exchange.path)
    if operation is None:
        return ["no such operation is documented"]
    request = _Request(
        exchange.method,
        _sealed(exchange.path),
        exchange.query,
        exchange.request_headers,
        exchange.request_body,
    )
    found = []
    if ON_PURPOSE not in exchange.request_headers:
        found += [f"request: {error}" for error in _chain(_openapi().iter_request_errors(request))]
        found += _unknown_names(operation, request)
    if exchange.status is not None:
        found += [f"answer: {error}" for error in _answer_problems(exchange, operation, request)]
    return found


def _answer_problems(exchange: Exchange, operation: Operation, request: _Request) -> list[str]:
    status = exchange.status or 0
    content_type = exchange.response_headers.get("Content-Type", "")
    if str(status) not in operation.described["responses"]:
        return _undocumented_problems(exchange, operation)
    if status == HTTPStatus.OK and content_type.startswith(_BODY_IS_NO_JSON):
        return []
    response = _Response(status, exchange.response_headers, exchange.response_body)
    return _chain(_openapi().iter_response_errors(request, response))


def _undocumented_problems(exchange: Exchange, operation: Operation) -> list[str]:
    name = f"{exchange.method} {operation.template}"
    reason, pattern = UNDOCUMENTED.get(exchange.status or 0, ("", r"(?!)"))
    if not reason or not re.search(pattern, name):
        return [f"status {exchange.status} is neither documented for {name} nor in UNDOCUMENTED"]
    schema = {**_description()["components"]["schemas"]["basic-error"], "required": ["message"]}
    try:
        body = json.loads(exchange.response_body)
    except ValueError:
        return [f"status {exchange.status}: the body is no JSON"]
    return [error.message for error in OAS30Validator(schema).iter_errors(body)]


def _unknown_names(operation: Operation, request: _Request) -> list[str]:
    """Query parameters and top-level body fields that nobody documents (trap 5)."""
    parameters = [_resolved(one) for one in operation.described.get("parameters", ())]
    known = {one["name"] for one in parameters if one["in"] == "query"}
    found = [f"query parameter {name!r} is unknown" for name in request.parameters.query if name not in known]
    body = _body(request)
    content = _resolved(operation.described.get("requestBody", {})).get("content", {})
    fields = _fields(content.get("application/json", {}).get("schema", {}))
    return found + [f"body field {name!r} is unknown" for name in body if name not in fields]


def _body(request: _Request) -> dict[str, Any]:
    try:
        found = json.loads(request.body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _fields(schema: Mapping[str, Any]) -> set[str]:
    whole = _resolved(schema)
    found = set(whole.get("properties", ()))
    for key in ("oneOf", "anyOf", "allOf"):
        for part in whole.get(key, ()):
            found |= _fields(part)
    return found


def _resolved(node: Mapping[str, Any]) -> Mapping[str, Any]:
    target: Any = node
    while "$ref" in target:
        path = target["$ref"].removeprefix("#/").split("/")
        target = _description()
        for part in path:
            target = target[part]
    return dict(target)


def _chain(errors: Iterable[Exception]) -> list[str]:
    """Errors of openapi-core with the schema errors that they hold."""
    found = []
    for error in errors:
        cause = error.__cause__ or error
        inner = getattr(cause, "schema_errors", None) or [error]
        found += [_sentence(one) for one in inner]
    return found


def _sentence(error: Exception) -> str:
    path = "/".join(str(part) for part in getattr(error, "absolute_path", ()))
    return f"{path}: {getattr(error, 'message', None) or error}"[:500]


def validate_exchange(
    method: str,
    path: str,
    query: str,
    request_headers: Mapping[str, str],
    request_body: bytes,
    status: int | None,
    response_headers: Mapping[str, str],
    response_body: bytes,
) -> None:
    """Raise AssertionError with everything that differs; with status None only the request counts."""
    exchange = Exchange(
        number=0,
        kind="rest",
        at=0.0,
        method=method,
        path=path,
        query=query,
        request_headers=dict(request_headers),
        request_body=request_body,
        status=status,
        response_headers=dict(response_headers),
        response_body=response_body,
    )
    check_all([exchange])


def check_all(requests: Iterable[Exchange]) -> None:
    """Validate every recorded REST exchange; raises AssertionError that names each wrong one.

    Answers with a body that a fault rule made up are not GitHub's and are left out; their requests are not.
    """
    report = []
    for exchange in requests:
        if exchange.kind != "rest":
            continue
        shown = exchange.fault == "Reply" and not exchange.response_body.startswith(b'{"message"')
        found = [line for line in problems(exchange) if not (shown and line.startswith("answer: "))]
        where = f"{exchange.method} {exchange.path} -> {exchange.status}"
        report += [f"{where}: {line}" for line in found]
    assert not report, "\n".join(report)
