"""The word that stands around text of strangers in a prompt, so that they cannot end their own section."""

import secrets
from typing import Final

MIN_CHARS: Final = 16


def new() -> str:
    """A word that nobody can guess; made up for one job or one call."""
    return f"text-{secrets.token_hex(12)}"


def check(delimiter: str) -> None:
    """Raise ValueError where *delimiter* is too short to be unguessable."""
    if len(delimiter) < MIN_CHARS:
        raise ValueError(f"a delimiter needs at least {MIN_CHARS} characters")


def inert(text: str, delimiter: str) -> str:
    """*text* without *delimiter*, and otherwise as it is; the second time changes nothing."""
    return text.replace(delimiter, "[delimiter]")
