"""Names, addresses and the token, before any process starts."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.errors import Permanent, RetryLater
from bot.workspace.remote import (
    Remote,
    checked_name,
    checked_sha,
    is_loopback,
    token_config,
    without_token,
)
from bot.workspace.workspace import Workspace
from tests.workspace.conftest import REPOSITORY
from tests.workspace.githttp import TOKEN

HOSTILE = [
    "--upload-pack=touch x",
    "-x",
    "ext::sh -c id",
    "file:///etc",
    "ssh://-oProxyCommand=id",
    "http://host\\@evil",
    "$(touch x)",
    "`id`",
    "a;b",
    "a\u3000;id",
    'a"b',
    "..",
    "a\r\nb",
    "a\0b",
    "",
]


@pytest.mark.parametrize("check", [checked_sha, checked_name])
@pytest.mark.parametrize(
    "text", [*HOSTILE, "A" * 40, "a" * 39, "g" * 40, "a" * 40 + "\n", "refs/heads/main^{}"]
)
def test_hostile_references_and_names_are_rejected(check: Callable[[str], str], text: str) -> None:
    with pytest.raises(Permanent):
        check(text)


@pytest.mark.parametrize("text", HOSTILE)
async def test_a_hostile_reference_or_name_starts_no_process(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    started: list[object] = []

    async def start(*words: object, **options: object) -> None:
        started.append(words)
        raise OSError("nothing is started here")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    for repository, sha in ((REPOSITORY, text), (replace(REPOSITORY, full_name=text), "a" * 40)):
        with pytest.raises(Permanent):
            await workspace.checkout(repository, sha, TOKEN, "job")
    assert started == []
    with pytest.raises((OSError, RetryLater, Permanent)):
        await workspace.checkout(REPOSITORY, "a" * 40, TOKEN, "job")
    assert started, "a sound name and reference start git"


@pytest.mark.parametrize(
    "name", ["a/b/c", "a/..", "a/.", "/b", "a/", "-a/b", "a/b c", "ä/b", "a" * 101 + "/b"]
)
def test_a_repository_name_is_owner_slash_name(name: str) -> None:
    with pytest.raises(Permanent, match="no repository name"):
        checked_name(name)


def test_good_names_pass_unchanged() -> None:
    assert checked_name("octo-org/hello.world_1") == "octo-org/hello.world_1"
    assert checked_name("octo/.github") == "octo/.github"
    assert checked_sha("a" * 40) == "a" * 40
    assert checked_sha("0" * 64) == "0" * 64


@pytest.mark.parametrize(
    "url",
    [
        "http://github.com",
        "http://github.com.evil.example",
        "http://127.0.0.1.evil.example",
        "https://user:secret@github.com",
        "https://github.com?x=y",
        "https://github.com#x",
        "ext::sh",
        "file:///srv/git",
        "ssh://git@github.com",
        'https://github.com/"]',
        "https://git hub.com",
        "https://",
        "",
    ],
)
def test_only_https_and_this_machine_are_talked_to(url: str) -> None:
    with pytest.raises(ValueError, match="git address"):
        Remote(url)


@pytest.mark.parametrize(
    ("base", "url", "scheme"),
    [
        ("https://github.com", "https://github.com/octo/hello.git", "https"),
        ("https://ghe.example:8443/git/", "https://ghe.example:8443/git/octo/hello.git", "https"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/octo/hello.git", "http"),
        ("http://localhost:1", "http://localhost:1/octo/hello.git", "http"),
        ("http://[::1]:1", "http://[::1]:1/octo/hello.git", "http"),
    ],
)
def test_the_address_of_a_repository(base: str, url: str, scheme: str) -> None:
    remote = Remote(base)
    assert (remote.url("octo/hello"), remote.scheme) == (url, scheme)


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("10.0.0.1", False),
        ("x", False),
    ],
)
def test_this_machine_is_known_by_name_and_number(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer


def test_the_token_lies_in_memory_and_is_bound_to_its_address() -> None:
    with token_config("https://github.com/octo/hello.git", "ghs_secret") as fd:
        assert str(Path(f"/proc/self/fd/{fd}").readlink()).startswith("/memfd:")
        text = os.pread(fd, 4096, 0).decode()
    assert text.startswith(
        '[http "https://github.com/octo/hello.git"]\n\textraHeader = "Authorization: Basic '
    )
    assert "ghs_secret" not in text


@pytest.mark.parametrize("token", ["", "a b", 'a"b', "a\nb", "é"])
def test_a_token_of_no_known_shape_is_not_used(token: str) -> None:
    with pytest.raises(Permanent, match="shape that no token has"), token_config("https://x/y.git", token):
        raise AssertionError


def test_the_token_is_taken_out_of_words() -> None:
    text = "fatal: ghs_x eC1hY2Nlc3MtdG9rZW46Z2hzX3g= end"
    assert without_token(text, "ghs_x") == "fatal: *** *** end"
