"""The signature of a webhook: GitHub's own vector first, then everything that must not pass."""

import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.intake.signature import verify

# https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
SECRET = "It's a Secret to Everybody"
BODY = b"Hello, World!"
DIGEST = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


def sign(body: bytes, secret: str) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def test_githubs_published_vector_is_accepted() -> None:
    assert verify((BODY,), f"sha256={DIGEST}", [SECRET]) == 0


def test_any_changed_bit_of_the_body_is_refused() -> None:
    for bit in range(8 * len(BODY)):
        changed = bytearray(BODY)
        changed[bit // 8] ^= 1 << bit % 8
        assert verify((bytes(changed),), f"sha256={DIGEST}", [SECRET]) is None


def test_any_changed_bit_of_the_digest_is_refused() -> None:
    for bit in range(256):
        changed = bytearray.fromhex(DIGEST)
        changed[bit // 8] ^= 1 << bit % 8
        assert verify((BODY,), f"sha256={changed.hex()}", [SECRET]) is None


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "sha256=",
        DIGEST,
        f"sha1={hashlib.sha1(BODY).hexdigest()}",
        "sha1=" + hmac.new(SECRET.encode(), BODY, hashlib.sha1).hexdigest(),
        f"sha1={DIGEST}",
        f"sha256={DIGEST.upper()}",
        f"SHA256={DIGEST}",
        f"sha256={DIGEST[:-1]}",
        f"sha256={DIGEST}0",
        f"sha256={DIGEST[:-1]}g",
        f"sha256={DIGEST[:-1]}é",
        f"sha256={DIGEST[:-1]}\N{FULLWIDTH DIGIT SEVEN}",
        f"sha256={DIGEST[:-1]}\udcff",
        f" sha256={DIGEST}",
        f"sha256={DIGEST} ",
        f"sha256={DIGEST}\n",
        f"sha256= {DIGEST}",
        f"sha256={DIGEST},sha256={DIGEST}",
        f"sha256={DIGEST}, sha256={DIGEST}",
        f"sha1=00,sha256={DIGEST}",
        f"sha512={DIGEST}{DIGEST}",
    ],
)
def test_any_other_form_of_the_header_is_refused(header: str | None) -> None:
    assert verify((BODY,), header, [SECRET]) is None


def test_the_raw_bytes_count_not_what_they_mean() -> None:
    body = b'{"b": 1, "a": 2}'
    header = sign(body, SECRET)
    loaded = json.loads(body)
    assert verify((body,), header, [SECRET]) == 0
    assert verify((json.dumps(loaded, sort_keys=True).encode(),), header, [SECRET]) is None
    assert verify((json.dumps(loaded, separators=(",", ":")).encode(),), header, [SECRET]) is None


def test_during_a_rotation_both_secrets_are_accepted_and_told_apart() -> None:
    assert verify((BODY,), sign(BODY, "new" * 8), ["new" * 8, "old" * 8]) == 0
    assert verify((BODY,), sign(BODY, "old" * 8), ["new" * 8, "old" * 8]) == 1
    assert verify((BODY,), sign(BODY, "old" * 8), ["new" * 8]) is None


def test_the_first_of_two_equal_secrets_is_named() -> None:
    assert verify((BODY,), sign(BODY, SECRET), ["other", SECRET, SECRET]) == 1


def test_an_empty_secret_accepts_nothing() -> None:
    assert verify((BODY,), sign(BODY, ""), ["", ""]) is None
    assert verify((BODY,), sign(BODY, SECRET), []) is None


def test_an_empty_body_can_be_signed() -> None:
    assert verify((b"",), sign(b"", SECRET), [SECRET]) == 0


@given(st.binary(max_size=200), st.text(max_size=100), st.lists(st.text("abcé", max_size=20), max_size=3))
def test_no_header_makes_it_raise_or_pass(body: bytes, header: str, secrets: list[str]) -> None:
    assert verify((body,), header, secrets) is None
    assert verify((body,), f"sha256={header}", secrets) is None
