"""The shapes of secrets that must never be published, and known values in any of their spellings."""

import base64
import html
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

# Sources: https://docs.github.com/en/code-security/secret-scanning/introduction/supported-secret-scanning-patterns
# and the vendors' own pages. Installation tokens have dots since 2026 (https://github.blog/changelog/2026-05-15).
SHAPES: Final[tuple[tuple[str, re.Pattern[str]], ...]] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("GitHub token", r"gh[opusr]_(?=[\w.-]{0,80}\d)(?=[\w.-]{0,80}[A-Z])[\w.-]{20,}"),
        ("GitHub fine-grained token", r"github_pat_[A-Za-z0-9_]{22,}"),
        ("Anthropic key", r"sk-ant-[A-Za-z0-9_\-]{16,}"),
        (
            "OpenAI key",
            r"sk-(?:(?:proj|svcacct|admin)-[\w-]{24,}|(?=[A-Za-z0-9]{0,80}\d)[A-Za-z0-9]{32,})",
        ),
        ("AWS access key id", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
        (
            "AWS secret key",
            (
                r"(?i)(?:aws|secret)[\w\s-]{0,20}key[\w\s\"'`-]{0,20}[=:\s\"'`]{1,4}"
                r"(?=\S{0,39}\d)(?-i:(?=\S{0,39}[A-Z])[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])"
            ),
        ),
        ("Slack token", r"xox[abeprs]-(?:\d-)?[A-Za-z0-9-]{10,}|xapp-\d-[A-Za-z0-9-]{10,}"),
        ("Slack webhook", r"hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9_/+-]{20,}"),
        ("private key", r"-----BEGIN [A-Z ]*PRIVATE KEY[A-Z ]*-----[\s\S]{0,300}?[A-Za-z0-9+/]{40}"),
        ("JSON web token", r"eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10}"),
        ("Google API key", r"AIza[0-9A-Za-z_-]{35}"),
        ("Google OAuth secret", r"GOCSPX-[A-Za-z0-9_-]{28}"),
        ("Stripe key", r"(?:sk|rk)_(?:live|test)_[0-9A-Za-z]{16,}|whsec_[A-Za-z0-9]{24,}"),
        ("npm token", r"npm_[A-Za-z0-9]{36}"),
        ("PyPI token", r"pypi-[A-Za-z0-9_-]{40,}"),
        ("GitLab token", r"gl(?:pat|dt|rt|ptt|cbt)-[A-Za-z0-9_.-]{20,}"),
        ("SendGrid key", r"SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,}"),
        ("Twilio key", r"SK[0-9a-f]{32}(?![0-9a-f])"),
        ("Azure connection string", r"(?i)(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{40,}={0,2}"),
        ("Hugging Face token", r"hf_[A-Za-z0-9]{30,}"),
        ("DigitalOcean token", r"do[opr]_v1_[0-9a-f]{64}"),
    )
)
_URL_PASSWORD: Final = re.compile(
    r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s/@:`\"'<>]{0,200}:([^\s/@`\"'<>]{1,200})@"
)
_NAMED_VALUE: Final = re.compile(
    r"(?i)(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|credentials?)"
    r"[\"'`]?\s{0,3}(?:=|:|=>|:=)\s{0,3}[\"'`]?([A-Za-z0-9+/_=.!@#$%^&*~-]{12,})"
)
_DOTTED_NAME: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_PLACEHOLDER: Final = re.compile(
    r"(?i)pass(?:word|wd|phrase)?\d*|pw|pwd|secret|token|user|xxx+|\*+|\.{3}|\$\w+|\$?\{.*|%\w*.?|<.*|"
    r"(?:your|my|the|some|example|dummy|fake|test|sample)[\W_]?.*|change[\W_]?me.*|redacted|.*example.*"
)
MIN_ENTROPY_BITS: Final = 3.5
MIN_KNOWN_CHARS: Final = 8
# Known values of this length and more are found with up to 10 characters missing at either end.
LONG_KNOWN_CHARS: Final = 32
CUT_CHARS: Final = 10


def find_secrets(text: str, known: Sequence[str] = ()) -> tuple[str, ...]:
    """The names of what was found in *text*, sorted; never the values.

    *known* values are looked for as they are, in base64, in hex and reversed, also when they are
    spread over white space. Values shorter than 8 characters are not looked for.
    """
    found: set[str] = set()
    views = {text, _unescaped(text)}
    for view in views:
        found |= {name for name, pattern in SHAPES if pattern.search(view)}
        if any(not _PLACEHOLDER.fullmatch(match[1]) for match in _URL_PASSWORD.finditer(view)):
            found.add("password in a URL")
        if any(_is_random(match[1]) for match in _NAMED_VALUE.finditer(view)):
            found.add("named secret")
    if any(_holds_known(view, value) for view in views for value in known):
        found.add("known secret")
    return tuple(sorted(found))


def _unescaped(text: str) -> str:
    """*text* as Markdown shows it: entities decoded, backslashes before punctuation gone."""
    return re.sub(r"\\([^\w\s])|\\(_)", r"\1\2", html.unescape(text))


def _is_random(value: str) -> bool:
    """Whether *value* looks drawn by a machine: long, mixed, and neither a name nor a placeholder."""
    if len(value) < 16 or _DOTTED_NAME.fullmatch(value) or _PLACEHOLDER.fullmatch(value):
        return False
    kinds = sum(1 for kind in (r"[a-z]", r"[A-Z]", r"\d") if re.search(kind, value))
    return kinds >= 2 and re.search(r"\d", value) is not None and _entropy_bits(value) >= MIN_ENTROPY_BITS


def _entropy_bits(value: str) -> float:
    """Shannon entropy in bits a character."""
    return -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())


def _holds_known(text: str, value: str) -> bool:
    """Whether a known *value* stands in *text* in one of its spellings, white space ignored."""
    whole = "".join(value.split())
    if len(whole) < MIN_KNOWN_CHARS:
        return False
    core = whole[CUT_CHARS:-CUT_CHARS] if len(whole) >= LONG_KNOWN_CHARS else whole
    squeezed = "".join(text.split())
    if core in squeezed or core[::-1] in squeezed or core.encode().hex() in squeezed.lower():
        return True
    return any(spelling in squeezed for raw in (core, value) for spelling in _base64(raw))


def _base64(value: str) -> Iterator[str]:
    """The parts of both base64 alphabets that *value* makes at any position of a longer input."""
    for shift in range(3):
        data = b"\x00" * shift + value.encode()
        whole = len(data) - len(data) % 3
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(data[:whole]).decode()[4 if shift else 0 :]
