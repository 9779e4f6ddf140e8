"""The App's private keys and webhook secrets, in every form in which people keep them."""

import base64
import binascii
import re
import textwrap
from pathlib import Path

from bot.config_forms import BadValue, Secret

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_KINDS = frozenset({"RSA PRIVATE KEY", "PRIVATE KEY"})
_REMEDY = "give the .pem file that GitHub let you download: its text, its path, or the text as base64"
# Fewer are refused; fewer than the second are taken with a warning at every start.
_MIN_WEBHOOK_SECRET_CHARS = 8
SAFE_WEBHOOK_SECRET_CHARS = 16
_MAX_KEY_BYTES = 65_536
_DER_SEQUENCE = 0x30
_DER_LONG_FORM = 0x82


def private_keys(text: str) -> tuple[Secret, ...]:
    r"""Read one or more private keys and return each as clean PEM text, in the order given.

    Forms: PEM text (also with ``\n`` written out, or flattened to one line), base64 of such a
    text, or the path of a file; several stand below each other, base64 and paths also with a
    comma between them. The shape is checked, so that a cut-off key is found at the start.

    Raises:
        BadValue: A part is no key; the words never hold any of it.
    """
    if "-----BEGIN" in text:
        return _keys_in_text(text)
    parts = [part.strip() for part in re.split(r",|\n\s*\n", text) if part.strip()]
    if not parts:
        raise BadValue("there is no key in it", _REMEDY)
    return tuple(key for part in parts for key in _keys_in_text(_decoded(part) or _read(part)))


def webhook_secrets(text: str) -> tuple[Secret, ...]:
    """Read secrets with commas between them; each must have at least 8 characters."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or min(map(len, parts)) < _MIN_WEBHOOK_SECRET_CHARS:
        raise BadValue(
            f"a secret has fewer than {_MIN_WEBHOOK_SECRET_CHARS} characters",
            "make one with `openssl rand -hex 32` and set the same in the App's webhook settings",
        )
    return tuple(Secret(part) for part in parts)


def _keys_in_text(text: str) -> tuple[Secret, ...]:
    flat = text.replace("\\r", "").replace("\\n", "\n")
    keys = tuple(_clean(match.group(1), match.group(2)) for match in _BLOCK.finditer(flat))
    if not keys or flat.count("-----BEGIN") != len(keys):
        raise BadValue("it is no complete PEM key (BEGIN line, text, END line)", _REMEDY)
    return keys


def _clean(kind: str, body: str) -> Secret:
    if kind not in _KINDS:
        raise BadValue(f"it holds a {kind.lower()}, not an RSA private key without a password", _REMEDY)
    packed = re.sub(r"\s+", "", body)
    try:
        der = base64.b64decode(packed, validate=True)
    except binascii.Error:
        der = b""
    if not _is_whole_sequence(der):
        raise BadValue("the key is cut off, changed, or protected by a password", _REMEDY)
    lines = "\n".join(textwrap.wrap(packed, 64))
    return Secret(f"-----BEGIN {kind}-----\n{lines}\n-----END {kind}-----\n")


def _is_whole_sequence(der: bytes) -> bool:
    """Whether *der* is one ASN.1 sequence of 256 to 65,535 bytes and nothing more.

    https://www.rfc-editor.org/rfc/rfc8017#appendix-A.1.2
    """
    head = (_DER_SEQUENCE, _DER_LONG_FORM)
    return tuple(der[:2]) == head and int.from_bytes(der[2:4], "big") == len(der) - len(head) - 2


def _decoded(part: str) -> str | None:
    """Return the text behind base64, or None when *part* is something else (a path)."""
    try:
        text = base64.b64decode(re.sub(r"\s+", "", part), validate=True).decode()
    except ValueError:
        return None
    return text if "-----BEGIN" in text else None


def _read(part: str) -> str:
    try:
        with Path(part).expanduser().open("rb") as file:
            return file.read(_MAX_KEY_BYTES).decode()
    except (OSError, ValueError, RuntimeError):  # RuntimeError: `~name` of a user who is not there
        # The part may be a mangled key and no path at all, so it is not shown.
        raise BadValue(
            "it is neither PEM text, nor base64 of it, nor the path of a readable file", _REMEDY
        ) from None
