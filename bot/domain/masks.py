"""Secrets of certain shape, and the values of `.env` files, masked before a model reads them; pure rules.

What only looks random is left alone, and so are well-known dummies: code must stay readable.
"""

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from bot.domain.secret_shapes import SHAPES

MASK: Final = re.compile(r"\[secret: [A-Za-z -]{2,40}\]")
"""What stands where a secret stood."""

Form: TypeAlias = Callable[[str], str]

# Each shape begins with one of these, so that text without any of them needs no second look.
_BEGINNINGS: Final = (
    *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "sk-", "AKIA", "ASIA", "ABIA", "ACCA"),
    *("xox", "xapp-", "hooks.slack.com/", "PRIVATE KEY", "eyJ", "AIza", "GOCSPX-", "k_live_", "whsec_"),
    *("npm_", "pypi-", "glpat-", "gldt-", "glrt-", "SG.", "hf_", "doo_v1_", "dop_v1_", "dor_v1_"),
)
_ENCODED: Final = tuple(beginning.encode() for beginning in _BEGINNINGS)
_CERTAIN: Final = frozenset(
    {
        "GitHub token",
        "GitHub fine-grained token",
        "Anthropic key",
        "OpenAI key",
        "AWS access key id",
        "Slack token",
        "Slack webhook",
        "JSON web token",
        "Google API key",
        "Google OAuth secret",
        "npm token",
        "PyPI token",
        "GitLab token",
        "SendGrid key",
        "Hugging Face token",
        "DigitalOcean token",
    }
)
_PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY[A-Z ]{0,20}-----(?=[\s\S]{0,400}?[A-Za-z0-9+/]{40})[\s\S]{0,20000}?"
    r"(?:-----END [A-Z ]{0,40}PRIVATE KEY[A-Z ]{0,20}-----|\Z)"
)
_STRIPE: Final = re.compile(r"(?<![A-Za-z0-9])(?:(?:sk|rk)_live_[0-9A-Za-z]{16,}|whsec_[A-Za-z0-9]{24,})")
_SHAPES: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    ("private key", _PRIVATE_KEY),
    ("Stripe key", _STRIPE),
    *(
        (name, re.compile(rf"(?<![A-Za-z0-9])(?:{pattern.pattern})[A-Za-z0-9_-]*"))
        for name, pattern in SHAPES
        if name in _CERTAIN
    ),
)
_DUMMY: Final = re.compile(
    r"(?i)example|dummy|fake|sample|placeholder|redacted|changeme|your|x{4}|\*{4}|0{6}|12345678|abcdefgh"
)
_MIN_DISTINCT: Final = 10
_LETTER: Final = re.compile(r"[^\n]")
_ENV_NAME: Final = re.compile(r"(?i)\.env(?:rc)?(?:\..+)?|.*\.env")
_ENV_TEMPLATE: Final = re.compile(r"(?i).*\.(?:example|sample|template|tmpl|dist|defaults?|md)")
_ENV_VALUE: Final = re.compile(
    r"(?m)^([+ \t-]*(?:export[ \t]+)?[\w.-]+[ \t]*[=:][ \t]*)"
    r"(?:\"[^\"]{0,20000}\"|'[^']{0,20000}'|[^\s#][^\n]*)"
)


def shown_mask(kind: str) -> str:
    """The mask as a model reads it."""
    return f"[secret: {kind}]"


def mask(text: str, form: Form = shown_mask) -> tuple[str, int]:
    """*text* with each secret of certain shape replaced by *form* of its kind, and how many there were.

    The number of lines stays the same; the second time changes nothing.
    """
    return _covered(text, lambda kind, secret: form(kind) + "\n" * secret.count("\n"))


def blot(text: str) -> str:
    """*text* with a NUL for each character that `mask` hides but line ends: every place stays where it is."""
    return _covered(text, lambda _, secret: _LETTER.sub("\0", secret))[0]


def mask_values(text: str, form: Form = shown_mask) -> tuple[str, int]:
    """The text of an `.env` file with each value replaced, and how many there were; lines stay lines."""
    count = 0

    def replacement(match: re.Match[str]) -> str:
        nonlocal count
        if MASK.fullmatch(match[0][len(match[1]) :].strip()):
            return match[0]
        count += 1
        return match[1] + form("value") + "\n" * match[0].count("\n")

    return _ENV_VALUE.sub(replacement, text), count


def mask_file(name: str, text: str, form: Form = shown_mask) -> tuple[str, int]:
    """The text of the file *name* as a model may read it, and how many secrets were masked."""
    if not is_env_file(name):
        return mask(text, form)
    text, values = mask_values(text, form)
    text, others = mask(text, form)
    return text, values + others


def is_env_file(name: str) -> bool:
    """Whether a file of this *name* holds an environment, and is not the template of one."""
    return _ENV_NAME.fullmatch(name) is not None and _ENV_TEMPLATE.fullmatch(name) is None


def is_suspicious(data: bytes) -> bool:
    """Whether a secret of certain shape may stand in *data*; quick, and never wrong about a no."""
    return any(beginning in data for beginning in _ENCODED)


def _covered(text: str, cover: Callable[[str, str], str]) -> tuple[str, int]:
    """*text* with what *cover* makes of the kind and the text of each certain secret; how many there were."""
    if not any(beginning in text for beginning in _BEGINNINGS):
        return text, 0
    count = 0
    for name, pattern in _SHAPES:

        def replacement(match: re.Match[str], name: str = name) -> str:
            nonlocal count
            if _is_dummy(name, match[0]):
                return match[0]
            count += 1
            return cover(name, match[0])

        text = pattern.sub(replacement, text)
    return text, count


def _is_dummy(name: str, value: str) -> bool:
    if name == "private key":
        return False
    return _DUMMY.search(value) is not None or len(set(value)) < _MIN_DISTINCT
