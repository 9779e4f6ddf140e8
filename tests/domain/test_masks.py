"""What is masked before a model reads it, and what is left alone."""

import re
import unicodedata

import pytest

from bot.domain.masks import MASK, blot, is_env_file, is_suspicious, mask, mask_file, mask_values
from bot.domain.paths import is_git_spelling

BODY = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC2"
SECRETS = {
    "GitHub token": "ghp_" + BODY,
    "GitHub fine-grained token": "github_pat_" + BODY,
    "Anthropic key": "sk-ant-api03-" + BODY,
    "OpenAI key": "sk-proj-" + BODY,
    "AWS access key id": "AKIA" + "Q3EGRIZN7WKB2T5M",
    "Slack token": "xoxb-" + "123-" + BODY,
    "Slack webhook": "hooks.slack.com/services/T01/B02/" + BODY,
    "JSON web token": "eyJ" + BODY + ".eyJ" + BODY + "." + BODY,
    "Google API key": "AIza" + BODY[:35],
    "Google OAuth secret": "GOCSPX-" + BODY[:28],
    "Stripe key": "sk_" + "live_" + BODY,
    "npm token": "npm_" + BODY,
    "PyPI token": "pypi-" + BODY + BODY,
    "GitLab token": "glpat-" + BODY,
    "SendGrid key": "SG." + BODY[:22] + "." + BODY,
    "Hugging Face token": "hf_" + BODY,
    "DigitalOcean token": "dop_v1_" + "0a1b2c3d4e5f6798" * 4,
}
KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + (BODY * 2 + "\n") * 3 + "-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(("kind", "secret"), SECRETS.items())
def test_each_certain_shape_is_masked_whole_and_what_is_around_it_stays(kind: str, secret: str) -> None:
    text, count = mask(f"key = '{secret}'  # of the shop\n")
    assert (text, count) == (f"key = '[secret: {kind}]'  # of the shop\n", 1)
    assert MASK.search(text)
    assert is_suspicious(secret.encode())


def test_a_private_key_is_masked_to_its_end_and_lines_keep_their_numbers() -> None:
    text, count = mask(f"a\n{KEY}\nb\n")
    assert (text, count) == ("a\n[secret: private key]" + "\n" * 4 + "\nb\n", 1)
    cut = mask(KEY[:120])[0]
    assert BODY not in cut


@pytest.mark.parametrize(
    "dummy",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "a1A" * 12,
        "ghp_example" + BODY,
        "sk_test_" + BODY,
        "task-" + "abc" * 20,
        "-----BEGIN PRIVATE KEY-----",
        "eyJ is how a token begins",
        "password = 'hunter2'",
        "sha256:" + "0a1b2c3d" * 8,
    ],
)
def test_dummies_and_what_only_looks_random_stay_readable(dummy: str) -> None:
    assert mask(dummy) == (dummy, 0)


def test_masking_twice_is_masking_once() -> None:
    once, _ = mask("\n".join([*SECRETS.values(), KEY]))
    assert mask(once) == (once, 0)


@pytest.mark.parametrize("secret", [*SECRETS.values(), KEY])
def test_a_blot_covers_what_is_masked_and_leaves_every_place_where_it_is(secret: str) -> None:
    text = f"key = '{secret}'\n# of the shop\n"
    blotted = blot(text)
    assert re.sub(r"\0(?:\0|\n(?=\0))*", "SECRET", blotted) == "key = 'SECRET'\n# of the shop\n"
    assert [place for place, letter in enumerate(blotted) if letter == "\n"] == [
        place for place, letter in enumerate(text) if letter == "\n"
    ]
    assert len(blotted) == len(text)


def test_an_environment_file_shows_its_names_and_no_value() -> None:
    text = "# shop\nexport DB=postgres://u:p@h/d\nEMPTY=\nTOKEN = 'two\nlines' # c\nlist: x\n"
    masked, count = mask_values(text)
    assert masked == (
        "# shop\nexport DB=[secret: value]\nEMPTY=\nTOKEN = [secret: value]\n # c\nlist: [secret: value]\n"
    )
    assert count == 3
    assert mask_values(masked) == (masked, 0)
    assert mask_file(".env", text) == (masked, 3)
    assert mask_file("a.py", text) == (text, 0)


@pytest.mark.parametrize("name", [".env", ".ENV", ".env.production", "prod.env", ".envrc", ".env.local"])
def test_environment_files_are_known_by_name(name: str) -> None:
    assert is_env_file(name)


@pytest.mark.parametrize("name", ["env", ".env.example", ".env.sample", "env.py", ".env.dist", "dot.env.md"])
def test_templates_and_code_are_no_environment_files(name: str) -> None:
    assert not is_env_file(name)


def test_the_short_way_to_say_that_a_name_is_not_git_is_never_wrong() -> None:
    shapes = [
        ".git",
        ".g\x01it",
        "git~1",
        "GIT~2",
        ".git.",
        ".GIT ",
        "a:.git",
        ".git:x",
        "\\.git",
        ".g\u200cit",
    ]
    assert [name for name in shapes if is_git_spelling(name)] == [name for name in shapes if name != "a:.git"]
    odd = [chr(code) for code in range(0x3000) if unicodedata.category(chr(code)) != "Cs"]
    assert not any(is_git_spelling(character + "x") for character in odd)
