"""Bedrock, Vertex and Foundry through the SDK's own client classes, on loopback; and what a start says."""

import sys
from types import SimpleNamespace
from typing import Any

import anthropic
import pytest

from bot.domain.values import Json
from bot.errors import AccountRefused, ConfigError, OutcomeUnknown, RateLimited
from bot.llm import providers
from bot.llm.client import AnthropicModel
from bot.llm.providers import Provider
from bot.standin.model.server import ModelServer
from tests.llm.conftest import KEY, SONNET, request

CALL: Json = {"type": "tool_use", "id": "t", "name": "read_file", "input": {"path": "ü.py"}}
PLACES = {
    "bedrock": ({"region": "us-east-1"}, "", "/model/claude-sonnet-5-5/invoke-with-response-stream"),
    "vertex": (
        {"region": "us-east5", "project": "p"},
        "",
        "/projects/p/locations/us-east5/publishers/anthropic/models/claude-sonnet-5-5:streamRawPredict",
    ),
    "foundry": ({"resource": "r"}, "/anthropic/", "/anthropic/v1/messages"),
}
CLASSES = {
    "bedrock": anthropic.AsyncAnthropicBedrock,
    "vertex": anthropic.AsyncAnthropicVertex,
    "foundry": anthropic.AsyncAnthropicFoundry,
}


def connected(server: ModelServer, name: str, key: str = KEY) -> AnthropicModel:
    place, path, _ = PLACES[name]
    return AnthropicModel(key, server.url + path, provider=Provider(name, **place))


def play(server: ModelServer, **book: Any) -> None:
    server.play({"scripts": [{"turns": [{"content": [CALL]}], "repeat": True}], **book})


@pytest.mark.parametrize("name", PLACES)
async def test_a_provider_is_asked_at_its_own_door_by_the_sdks_own_class(
    server: ModelServer, name: str
) -> None:
    play(server)
    model = connected(server, name)
    reply = await model.complete(request(), timeout_seconds=20)
    await model.close()
    assert (reply.content, reply.stop_reason) == ([CALL], "tool_use")
    assert isinstance(model._client, CLASSES[name])
    record = server.requests[0]
    assert (record["path"], record["body"]["model"], record["body"]["stream"]) == (
        PLACES[name][2],
        SONNET,
        True,
    )


@pytest.mark.parametrize("name", PLACES)
async def test_a_providers_stream_that_is_cut_is_no_reply(server: ModelServer, name: str) -> None:
    model = connected(server, name)
    for count in range(6):
        play(server, faults=[{"kind": "cut", "after_event": count, "is_clean": True}])
        with pytest.raises(OutcomeUnknown):
            await model.complete(request(), timeout_seconds=20)
    await model.close()


@pytest.mark.parametrize("name", PLACES)
async def test_errors_and_missing_features_are_the_same_everywhere(server: ModelServer, name: str) -> None:
    play(server, without=["output_config"], faults=[{"kind": "status", "status": 429, "retry_after": 3}])
    model = connected(server, name)
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    with pytest.raises(RateLimited):
        await model.complete(request(), timeout_seconds=20)
    await model.complete(request(output_schema=schema), timeout_seconds=20)
    await model.close()
    assert [record["status"] for record in server.requests] == [429, 400, 200]
    refused = connected(server, name, key="another")
    with pytest.raises(AccountRefused):
        await refused.complete(request(), timeout_seconds=20)
    await refused.close()


WRONG = {
    "unknown": (Provider("openai"), "k", "ANTHROPIC_PROVIDER"),
    "bedrock without a region": (Provider("bedrock"), "k", "ANTHROPIC_REGION"),
    "vertex without a project": (Provider("vertex", region="eu"), "k", "ANTHROPIC_PROJECT"),
    "foundry without a key": (Provider("foundry", resource="r"), "", "ANTHROPIC_API_KEY"),
    "foundry without a resource": (Provider("foundry"), "k", "ANTHROPIC_RESOURCE"),
}


@pytest.mark.parametrize(("provider", "key", "named"), WRONG.values(), ids=WRONG)
def test_a_provider_that_cannot_be_asked_is_told_at_the_start(
    provider: Provider, key: str, named: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        AnthropicModel(key, provider=provider)
    assert [problem.key for problem in caught.value.problems] == [named]


@pytest.mark.parametrize(
    ("provider", "extra"),
    [
        (Provider("bedrock", region="r"), "anthropic[bedrock]"),
        (Provider("vertex", region="r", project="p"), "anthropic[vertex]"),
    ],
)
def test_a_missing_package_is_told_at_the_start_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, provider: Provider, extra: str
) -> None:
    monkeypatch.setattr(providers, "_is_installed", lambda _package: False)
    with pytest.raises(ConfigError) as caught:
        AnthropicModel("", provider=provider)
    assert extra in caught.value.problems[0].remedy


@pytest.mark.parametrize(
    ("provider", "address"),
    [
        (Provider(), "https://api.anthropic.com"),
        (Provider("bedrock", region="eu-west-1"), "https://bedrock-runtime.eu-west-1.amazonaws.com"),
        (Provider("vertex", "global", "p"), "https://aiplatform.googleapis.com/v1/"),
        (Provider("vertex", "eu", "p"), "https://aiplatform.eu.rep.googleapis.com/v1/"),
        (Provider("vertex", "us-east5", "p"), "https://us-east5-aiplatform.googleapis.com/v1/"),
        (Provider("foundry", resource="r"), "https://r.services.ai.azure.com/anthropic/"),
    ],
)
def test_the_address_is_ours_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, provider: Provider, address: str
) -> None:
    for name in ("", "BEDROCK_", "VERTEX_", "FOUNDRY_"):
        monkeypatch.setenv(f"ANTHROPIC_{name}BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "x-stray: 1")
    sdk = AnthropicModel("k", provider=provider)._client
    assert str(sdk.base_url) == address
    assert "x-stray" not in sdk.default_headers


@pytest.mark.parametrize(
    ("name", "module", "error"),
    [
        ("bedrock", "botocore.exceptions", "BotoCoreError"),
        ("vertex", "google.auth.exceptions", "GoogleAuthError"),
    ],
)
def test_what_the_clouds_own_packages_raise_is_known_where_they_are_installed(
    monkeypatch: pytest.MonkeyPatch, name: str, module: str, error: str
) -> None:
    kind = type(error, (Exception,), {})
    monkeypatch.setattr(providers, "_is_installed", lambda _package: False)
    assert providers.credential_errors(Provider(name)) == ()
    monkeypatch.setattr(providers, "_is_installed", lambda _package: True)
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(**{error: kind}))
    assert providers.credential_errors(Provider(name)) == (RuntimeError, kind)
    assert providers.credential_errors(Provider()) == ()


def test_a_package_below_a_missing_one_is_not_installed() -> None:
    assert not providers._is_installed("no_such_cloud.auth")
    assert providers._is_installed("anthropic")


async def test_credentials_that_cannot_be_had_are_for_the_operator(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_options: object) -> None:
        raise RuntimeError("could not resolve credentials from session")

    monkeypatch.setattr(providers, "credential_errors", lambda _provider: (RuntimeError,))
    model = connected(server, "bedrock")
    monkeypatch.setattr(model._client, "_prepare_request", fail)
    with pytest.raises(AccountRefused, match="RuntimeError"):
        await model.complete(request(), timeout_seconds=20)
    await model.close()
    assert server.requests == []
