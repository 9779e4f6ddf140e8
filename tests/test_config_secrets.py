"""Whatever is a secret among the settings is known to whoever keeps secrets in."""

from dataclasses import fields
from pathlib import Path

import pytest

from bot.config import SETTINGS, Role, Settings, load
from bot.config_secrets import secrets_of
from tests.keys import new_key

GIVEN = {
    "GITHUB_PRIVATE_KEY": (f"{new_key()}\n{new_key(number=1)}", {new_key(), new_key(number=1)}),
    "GITHUB_WEBHOOK_SECRET": ("first-of-two-hooks,second-of-two-hooks", {"first-of-two-hooks"}),
    "ANTHROPIC_API_KEY": ("key-of-the-model", {"key-of-the-model"}),
    "DATABASE_URL": ("postgresql://me:p%40ss-word@database.example/x", {"p@ss-word", "p%40ss-word"}),
    "REDIS_URL": ("rediss://me:w%40rd-of-redis@redis.example:6379", {"w@rd-of-redis", "w%40rd-of-redis"}),
    "UPSTASH_REDIS_REST_TOKEN": ("token/of-upstash", {"token/of-upstash", "token%2Fof-upstash"}),
    "ISSUEWRIGHT_METRICS_TOKEN": ("token-of-the-scraper", {"token-of-the-scraper"}),
}


def held(environ: dict[str, str]) -> set[str]:
    """The secrets of a start with nothing but *environ*."""
    return set(secrets_of(load(environ, role=Role.MIGRATE)))


@pytest.mark.parametrize("name", [option.name for option in SETTINGS if option.is_secret])
def test_every_secret_setting_is_known_by_its_value(name: str) -> None:
    text, expected = GIVEN[name]
    beside = {"GITHUB_APP_ID": "1"} if name == "GITHUB_PRIVATE_KEY" else {}
    if name == "UPSTASH_REDIS_REST_TOKEN":
        beside = {"UPSTASH_REDIS_REST_URL": "https://upstash.example"}
    assert held({name: text, **beside}) >= expected


def test_a_setting_that_is_kept_as_a_secret_is_marked_as_one() -> None:
    marked = {option.field for option in SETTINGS if option.is_secret}
    assert {item.name for item in fields(Settings) if "Secret" in str(item.type)} <= marked


def test_of_two_webhook_secrets_both_are_known() -> None:
    assert held({"GITHUB_WEBHOOK_SECRET": GIVEN["GITHUB_WEBHOOK_SECRET"][0]}) == {
        "first-of-two-hooks",
        "second-of-two-hooks",
    }


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://127.0.0.1:6379/0", set()),
        ("redis://:only-a-word@127.0.0.1:6379/0", {"only-a-word"}),
        ("redis://127.0.0.1:6379?password=behind%2Fthe-mark", {"behind/the-mark", "behind%2Fthe-mark"}),
        ("unix://me:word-of-socket@/run/redis.sock", {"word-of-socket"}),
    ],
)
def test_of_an_address_only_the_password_is_a_secret(url: str, expected: set[str]) -> None:
    assert held({"REDIS_URL": url}) == expected


def test_a_start_without_secrets_holds_none(tmp_path: Path) -> None:
    assert held({"ISSUEWRIGHT_DATA_DIR": str(tmp_path)}) == set()
