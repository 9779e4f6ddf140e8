"""Secrets on their way out are blanked: known values, and shapes."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.redaction import _SHAPES, BLANK, Redactor
from tests.keys import new_key

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiI0MjQyIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "secret",
    [
        "ghp_" + "a1" * 18,
        "gho_" + "a1" * 18,
        "ghu_" + "a1" * 18,
        "ghr_" + "a1" * 18,
        "ghs_" + "a1" * 18,
        f"ghs_{JWT}",
        "github_pat_" + "a1" * 11 + "_" + "b2" * 30,
        "sk-ant-api03-" + "a-1_" * 20,
        JWT,
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\\nMIIE cut off",
    ],
)
def test_a_secret_is_known_by_its_shape(secret: str) -> None:
    assert Redactor().redact(f"before {secret}") == f"before {BLANK}"


@given(st.from_regex(_SHAPES))
def test_no_secret_of_a_known_shape_is_overlooked_by_the_quick_look(text: str) -> None:
    assert Redactor().redact(text) == _SHAPES.sub(BLANK, text) != text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Authorization: Bearer abc.def-123", f"Authorization: Bearer {BLANK}"),
        ("authorization: basic " + base64.b64encode(b"me:hunter2").decode(), f"authorization: basic {BLANK}"),
        ("postgresql://me:hunter2@db/x", f"postgresql://{BLANK}@db/x"),
        ("https://x-access-token:v1.abc@github.com/o/r", f"https://{BLANK}@github.com/o/r"),
    ],
)
def test_a_secret_is_known_by_its_place(text: str, clean: str) -> None:
    assert Redactor().redact(text) == clean


@pytest.mark.parametrize(
    "text",
    ["https://github.com/o/r/issues/1", "sha256=00ff", "a@b.c", "ghost_in_the_shell", "the bearer of news"],
)
def test_ordinary_text_stays(text: str) -> None:
    assert Redactor(["a-known-secret"]).redact(text) == text


def test_a_known_value_is_blanked_wherever_it_stands() -> None:
    assert Redactor(["It's a Secret"]).redact("xIt's a Secrety") == f"x{BLANK}y"


def test_each_line_of_a_known_key_is_blanked_by_itself() -> None:
    key = new_key()
    redactor = Redactor([key])
    for line in key.splitlines()[1:-1]:
        assert line not in redactor.redact(f"cut {line} off") or len(line) < 16


def test_a_short_value_is_no_secret() -> None:
    assert Redactor(["", "abc"]).redact("abcdef") == "abcdef"


def test_the_longer_of_two_values_is_blanked_whole() -> None:
    assert Redactor(["secret-1", "secret-1-and-more"]).redact("secret-1-and-more") == BLANK


@given(st.text(), st.text(min_size=8))
def test_no_known_value_is_left_and_twice_is_once(text: str, secret: str) -> None:
    redactor = Redactor([secret])
    clean = redactor.redact(f"{text}{secret}{text}")
    assert secret not in clean.replace(BLANK, "")
    assert redactor.redact(clean) == clean or secret in BLANK
