"""The doors of the clouds, opened by the vendor's own client classes."""

import base64
import json
import struct
import zlib
from typing import Any

import aiohttp
import anthropic
import pytest

from bot.standin.model.server import ModelServer
from tests.standin.model.conftest import Json

ASKED: Any = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hi"}],
}
VERSIONED = {"max_tokens": 100, "messages": ASKED["messages"], "anthropic_version": "2026-10-21"}
SIGNED = "AWS4-HMAC-SHA256 Credential=key/20261122/us-east-1/bedrock/aws4_request, Signature=00"


def client(platform: str, url: str, key: str = "key") -> Any:
    if platform == "vertex":
        place = {"region": "us-east5", "project_id": "p", "base_url": url}
        return anthropic.AsyncAnthropicVertex(access_token=key, max_retries=0, **place)  # type: ignore[arg-type]
    if platform == "foundry":
        return anthropic.AsyncAnthropicFoundry(api_key=key, base_url=f"{url}/anthropic/", max_retries=0)
    if platform == "mantle":
        return anthropic.AsyncAnthropicBedrockMantle(
            api_key=key, base_url=f"{url}/anthropic", aws_region="us-east-1", max_retries=0
        )
    return anthropic.AsyncAnthropicBedrock(api_key=key, base_url=url, aws_region="us-east-1", max_retries=0)


@pytest.mark.parametrize("platform", ["vertex", "foundry", "mantle", "bedrock"])
async def test_the_vendors_clients_get_the_same_scripts(server: ModelServer, platform: str) -> None:
    asked = client(platform, server.url)
    whole = await asked.messages.create(**ASKED)
    assert whole.content[0].text == "Hello."
    assert server.requests[0]["body"] == ASKED
    if platform != "bedrock":  # its stream needs botocore
        async with asked.messages.stream(**ASKED) as stream:
            assert (await stream.get_final_message()).content[0].text == "Hello."
    await asked.close()


@pytest.mark.parametrize("platform", ["vertex", "foundry", "mantle", "bedrock"])
async def test_another_credential_is_refused(server: ModelServer, platform: str) -> None:
    asked = client(platform, server.url, key="stolen")
    with pytest.raises(anthropic.AuthenticationError):
        await asked.messages.create(**ASKED)
    await asked.close()
    assert "stolen" not in json.dumps(server.requests)


async def post_bedrock(
    server: ModelServer, session: aiohttp.ClientSession, way: str, body: Json, authorization: str = SIGNED
) -> tuple[int, bytes]:
    url = f"{server.url}/model/claude-sonnet-5-5/{way}"
    headers = {"Authorization": authorization}
    async with session.post(url, json=body, headers=headers) as response:
        return response.status, await response.read()


def frames(raw: bytes) -> list[Json]:
    """The events in Amazon's framing, both checksums checked."""
    found = []
    while raw:
        total, headers = struct.unpack("!II", raw[:8])
        assert struct.unpack("!I", raw[8:12])[0] == zlib.crc32(raw[:8])
        assert struct.unpack("!I", raw[total - 4 : total])[0] == zlib.crc32(raw[: total - 4])
        payload = json.loads(raw[12 + headers : total - 4])
        found.append(json.loads(base64.b64decode(payload["bytes"])))
        raw = raw[total:]
    return found


async def test_bedrock_streams_in_amazons_framing(
    server: ModelServer, session: aiohttp.ClientSession
) -> None:
    status, raw = await post_bedrock(server, session, "invoke-with-response-stream", VERSIONED)
    assert status == 200
    kinds = [event["type"] for event in frames(raw)]
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    assert server.requests[0]["body"]["stream"] is True


@pytest.mark.parametrize(
    ("body", "authorization", "status", "words"),
    [
        ({**VERSIONED, "anthropic_version": ""}, SIGNED, 400, "anthropic_version: Field required"),
        ({**VERSIONED, "model": "x"}, SIGNED, 400, "model: Extra inputs"),
        ([1], SIGNED, 400, "expected an object"),
        (VERSIONED, SIGNED.replace("key/", "other/"), 401, "not valid for bedrock"),
        (VERSIONED, "", 401, "not valid for bedrock"),
    ],
)
async def test_bedrock_refuses_what_it_does_not_know(
    server: ModelServer,
    session: aiohttp.ClientSession,
    body: Any,
    authorization: str,
    status: int,
    words: str,
) -> None:
    got, raw = await post_bedrock(server, session, "invoke", body, authorization)
    assert got == status and words in json.loads(raw)["error"]["message"]
