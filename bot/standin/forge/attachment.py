"""One picture that somebody put into a text."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attachment:
    """One picture: its bytes, whether only people with access see it, and the signature that opens it."""

    data: bytes
    is_private: bool
    signature: str
