"""Hidden markers by which we know our own writes again, and nobody can forge them without the key."""

import hashlib
import hmac
from typing import Final

VERSION: Final = "1"
MAC_HEX_CHARS: Final = 32


def marker(key: bytes, operation_key: str) -> str:
    """The hidden HTML comment for *operation_key*: the same for the same key, every time.

    Raises:
        ValueError: *key* is empty.
    """
    if not key:
        raise ValueError("a marker needs a key")
    said = f"issuewright:{VERSION}:{operation_key}".encode()
    mac = hmac.new(key, said, hashlib.sha256).hexdigest()[:MAC_HEX_CHARS]
    return f"<!-- issuewright:{VERSION}:{mac} -->"


def has_marker(body: str, key: bytes, operation_key: str) -> bool:
    """Whether *body* holds the marker of *operation_key*; its author's id must be checked as well."""
    return marker(key, operation_key) in body
