"""The doors of the clouds that sell the same API: where a request stands there, and how its key looks.

Paths and forms are those that the vendor's own client classes use: Bedrock (`/model/…/invoke`), Vertex
(`/projects/…:rawPredict`), Foundry and Bedrock's newer door (`/anthropic/v1/messages`).
"""

import base64
import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from bot.standin.model.refusal import Refusal, invalid

Json = dict[str, Any]
AWS_STREAM = "application/vnd.amazon.eventstream"
_SIGNED = "AWS4-HMAC-SHA256 Credential="


def plain_body(body: Any, model: str, *, is_stream: bool) -> Any:
    """The body as the API itself knows it: the model from the path, the version checked and taken out.

    Raises:
        Refusal: 400, the version is missing or a model stands in the body too.
    """
    if not isinstance(body, dict):
        return body
    if not body.get("anthropic_version"):
        raise invalid("anthropic_version: Field required")
    if "model" in body:
        raise invalid("model: Extra inputs are not permitted")
    rest = {name: value for name, value in body.items() if name not in {"anthropic_version", "stream"}}
    return {"model": unquote(model), **rest, **({"stream": True} if is_stream else {})}


def check_key(platform: str, headers: Mapping[str, str], expected: str | None) -> None:
    """Refuse a request whose credential has not the platform's form, or another value than *expected*.

    Bedrock takes a bearer key or a signature (whose access key id is compared), Vertex a bearer token,
    Foundry `api-key`, `x-api-key` or a bearer token.

    Raises:
        Refusal: 401.
    """
    authorization = headers.get("Authorization", "")
    given = authorization.removeprefix("Bearer ") if authorization.startswith("Bearer ") else ""
    if platform == "bedrock" and authorization.startswith(_SIGNED):
        given = authorization.removeprefix(_SIGNED).split("/", 1)[0]
    if platform == "foundry":
        given = headers.get("api-key") or headers.get("x-api-key") or given
    if not given or expected not in {None, given}:
        raise Refusal(401, "authentication_error", f"the credential is not valid for {platform}")


def aws_frame(event: Json) -> bytes:
    """One event in Amazon's binary framing.

    https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html
    """
    payload = json.dumps({"bytes": base64.b64encode(json.dumps(event).encode()).decode()}).encode()
    named = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(_aws_header(name, value) for name, value in named.items())
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    frame = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return frame + struct.pack("!I", zlib.crc32(frame))


def _aws_header(name: str, value: str) -> bytes:
    """A header of the type string (7)."""
    return struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
