"""The settings about who serves the model."""

import pytest

from bot.config_forms import BadValue
from bot.config_provider import PROVIDERS, place, problems, provider


def test_a_provider_is_one_that_the_client_knows() -> None:
    assert all(provider(name) == name for name in PROVIDERS)
    assert provider("Bedrock") == "bedrock"
    with pytest.raises(BadValue, match="use anthropic, bedrock, vertex, foundry"):
        provider("openai")


@pytest.mark.parametrize("text", ["us-east-1", "global", "a", "my-project-123"])
def test_a_place_is_a_name(text: str) -> None:
    assert place(text) == text


@pytest.mark.parametrize("text", ["evil.example/", "a.b", "a@b", "-a", "a-", "a b", "a:1", "a" * 64, "ü"])
def test_a_place_cannot_change_the_address(text: str) -> None:
    with pytest.raises(BadValue, match="letters, digits and hyphens"):
        place(text)


@pytest.mark.parametrize(
    ("values", "keys"),
    [
        ({}, []),
        ({"anthropic_provider": "bedrock"}, ["ANTHROPIC_REGION"]),
        ({"anthropic_provider": "vertex"}, ["ANTHROPIC_REGION", "ANTHROPIC_PROJECT"]),
        ({"anthropic_provider": "foundry"}, ["ANTHROPIC_RESOURCE"]),
        ({"anthropic_provider": "foundry", "anthropic_base_url": "https://x"}, []),
        ({"anthropic_provider": "bedrock", "anthropic_region": "r"}, []),
    ],
)
def test_what_a_provider_needs_is_told_at_the_start(values: dict[str, str], keys: list[str]) -> None:
    assert [problem.key for problem in problems(values)] == keys
