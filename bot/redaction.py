"""Blanks secrets in text on its way out of a process: values that we know, and shapes that we recognise."""

import re
from collections.abc import Iterable
from typing import Final

BLANK: Final = "[withheld]"
# Anything shorter would blank ordinary words.
_MIN_KNOWN_CHARS: Final = 8
# A line of a key that is worth recognising by itself.
_MIN_LINE_CHARS: Final = 16

# Prefixes: <https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github#githubs-token-formats>,
# <https://docs.claude.com/en/api/overview>; the others are the forms of RFC 7468, 7519, 7617 and 6750.
_SHAPES: Final = re.compile(
    r"""
    -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | \b(?:ghs_[A-Za-z0-9_.-]{16,4096} | gh[pour]_[A-Za-z0-9]{16,255} | github_pat_[A-Za-z0-9_]{16,255})
    | \bsk-ant-[A-Za-z0-9_-]{8,255}
    | \beyJ[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{2,4096}\.[A-Za-z0-9_-]{2,4096}
    | (?<=[Bb]earer\ )[A-Za-z0-9._~+/=-]{8,4096}
    | (?<=[Bb]asic\ )[A-Za-z0-9+/=]{8,4096}
    | (?<=://)[^\s/@:"']{0,255}:[^\s/@"']{1,255}(?=@)
    """,
    re.VERBOSE | re.DOTALL,
)
# One of these stands in every such shape; to look for them is ten times cheaper.
_MARKS: Final = ("gh", "github_pat_", "sk-ant-", "eyJ", "earer ", "asic ", "://", "-----BEGIN ")


class Redactor:
    """Replaces known secret values and secret shapes by `BLANK`; doing it twice changes nothing more."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Know *secrets*, each also line by line, as keys are printed."""
        known: set[str] = set()
        for secret in secrets:
            lines = [line.strip() for line in secret.splitlines()]
            known |= {text for text in (secret, secret.strip()) if len(text) >= _MIN_KNOWN_CHARS}
            known |= {line for line in lines if len(line) >= _MIN_LINE_CHARS and not line.startswith("-----")}
        # The longest first, so that no part is left of a value that holds another one.
        self._known = re.compile("|".join(re.escape(text) for text in sorted(known, key=len, reverse=True)))
        self._has_known = bool(known)

    def redact(self, text: str) -> str:
        """Return *text* without secrets."""
        if self._has_known:
            text = self._known.sub(BLANK, text)
        return _SHAPES.sub(BLANK, text) if any(mark in text for mark in _MARKS) else text
