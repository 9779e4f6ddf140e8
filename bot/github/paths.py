"""Names that go into a URL: checked here, so that no value can lead a request to another path.

Each of them is then percent-encoded as one segment by the URI template, slashes included.
"""

import re
from typing import Final

from bot.errors import Invalid

# Enterprise-managed accounts hold an underscore, Apps end in [bot].
_LOGIN: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,99})(?:\[bot\])?")
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_SHA: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_BAD_IN_BRANCH: Final = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|$)")


def is_login(value: str) -> bool:
    """Whether *value* has the form of an account's name."""
    return _LOGIN.fullmatch(value) is not None


def split_full_name(full_name: str) -> tuple[str, str]:
    """Owner and name of `owner/name`.

    Raises:
        Invalid: It has another form.
    """
    owner, slash, name = full_name.partition("/")
    if not (slash and is_login(owner) and _REPOSITORY.fullmatch(name)) or name in {".", ".."}:
        raise Invalid(f"not a repository's name: {full_name[:120]!r}")
    return owner, name


def checked_sha(value: str) -> str:
    """*value* when it is a whole object id (40 or 64 hex digits).

    Raises:
        Invalid: It is not.
    """
    if _SHA.fullmatch(value) is None:
        raise Invalid(f"not an object id: {value[:80]!r}")
    return value


def checked_branch(value: str) -> str:
    """*value* when git would take it as a branch (https://git-scm.com/docs/git-check-ref-format).

    Raises:
        Invalid: It would not.
    """
    is_odd = not value or len(value) > 240 or value[0] in "/.-" or value[-1] in "/." or value == "@"
    if is_odd or _BAD_IN_BRANCH.search(value):
        raise Invalid(f"not a branch name: {value[:80]!r}")
    return value


def checked_path(value: str) -> str:
    """*value* when it is a plain relative path inside a tree: no empty, `.`, `..` or `.git` part.

    Raises:
        Invalid: It is not.
    """
    parts = value.split("/")
    if any(part in {"", ".", ".."} or part.lower() == ".git" for part in parts) or "\x00" in value:
        raise Invalid(f"not a path inside a repository: {value[:120]!r}")
    return value
