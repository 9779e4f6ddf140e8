"""Names and hidden markers by which we know our own writes again; nobody can forge them without the key."""

import hashlib
import hmac
from typing import Final

VERSION: Final = "1"
MAC_HEX_CHARS: Final = 32


def request_name(key: bytes, trigger_key: str) -> str:
    """What the writes of a request are named by: 32 hexadecimal characters, the same every time.

    It follows from what was asked, not from when we heard of it, so that a database restored from a
    backup comes to the same names; and from *key*, so that nobody can take a name before we do.

    Raises:
        ValueError: *key* is empty.
    """
    return _mac(key, f"request:{trigger_key}")


def marker(key: bytes, operation_key: str) -> str:
    """The hidden HTML comment for *operation_key*: the same for the same key, every time.

    Raises:
        ValueError: *key* is empty.
    """
    return f"<!-- issuewright:{VERSION}:{_mac(key, operation_key)} -->"


def has_marker(body: str, key: bytes, operation_key: str) -> bool:
    """Whether *body* holds the marker of *operation_key*; its author's id must be checked as well."""
    return marker(key, operation_key) in body


def _mac(key: bytes, words: str) -> str:
    if not key:
        raise ValueError("a marker needs a key")
    said = f"issuewright:{VERSION}:{words}".encode()
    return hmac.new(key, said, hashlib.sha256).hexdigest()[:MAC_HEX_CHARS]
