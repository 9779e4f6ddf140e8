"""The forms that a value of the environment may have: text in, checked value out."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import SplitResult, urlsplit

from bot.domain.money import micro_usd
from bot.errors import Problem

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_MAX_SHOWN_CHARS = 20
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_WIDE = frozenset({"/", "/home", "/opt", "/root", "/srv", "/tmp", "/var"})  # noqa: S108 - refused
_PRIVATE = ("/boot", "/dev", "/etc", "/proc", "/run", "/sys")
_SECRET_NAMES = frozenset({".ssh", ".aws", ".azure", ".config", ".docker", ".gnupg", ".kube", ".netrc"})
_MODEL_NAME = re.compile(r"[A-Za-z0-9][\w.:/@-]*\Z")
_DOLLARS = re.compile(r"[0-9]{1,7}(\.[0-9]{1,6})?")
MODEL_NAMES: Mapping[str, str] = MappingProxyType(
    {"haiku": "claude-haiku-5-5", "sonnet": "claude-sonnet-5-5", "opus": "claude-opus-5-5"}
)
"""The classes of models, and the model that each stands for where nothing else is set."""
MODEL_CLASSES = tuple(MODEL_NAMES)


@dataclass(frozen=True, slots=True)
class Option:
    """One environment variable: the field of Settings it fills, how it is read, its line in the docs.

    `default` is the text that has the same effect as leaving the variable out; "" means that
    there is none, or that `about` says what happens then.
    """

    name: str
    field: str
    read: Callable[[str], Any]
    default: str
    about: str
    is_secret: bool = False


class Secret:
    """A text that shows itself only when asked by `reveal`; printed, it is a row of stars."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Keep *text* out of sight."""
        self._text = text

    def reveal(self) -> str:
        """Return the text itself, for the one place that needs it."""
        return self._text

    def __repr__(self) -> str:
        """Show that there is a secret, never which."""
        return "Secret('********')"

    def __str__(self) -> str:
        """Show stars."""
        return "********"

    def __eq__(self, other: object) -> bool:
        """Compare by content (not in constant time: signatures are compared elsewhere)."""
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self._text)


class BadValue(ValueError):
    """A value that has not the form it must have: what is wrong, and what to do."""

    def __init__(self, wrong: str, remedy: str) -> None:
        """Keep both halves of the sentence; neither may hold a secret."""
        super().__init__(f"{wrong}; {remedy}")
        self.wrong = wrong
        self.remedy = remedy

    def problems(self, key: str) -> tuple[Problem, ...]:
        """What is to be reported of the setting *key*."""
        return (Problem(key, self.wrong, self.remedy),)


class BadFile(BadValue):
    """A file with mistakes in several places: (place, what is wrong, what to do) of each."""

    def __init__(self, *faults: tuple[str, str, str]) -> None:
        """Keep all of them."""
        super().__init__(*faults[0][1:])
        self.faults = faults

    def problems(self, key: str) -> tuple[Problem, ...]:
        """One for each mistake, with its place behind the setting."""
        return tuple(Problem(f"{key}: {place}", wrong, remedy) for place, wrong, remedy in self.faults)


def secret(text: str) -> Secret:
    """Hide *text*."""
    return Secret(text)


def switch(text: str) -> bool:
    """Read `true` or `false`, or one of their usual spellings."""
    lowered = text.lower()
    if lowered not in _TRUE | _FALSE:
        raise BadValue(f"{_shown(text)} is neither true nor false", "write true or false")
    return lowered in _TRUE


def whole(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """Make a reader of whole numbers from *minimum* to *maximum*, both included."""
    wanted = (
        f"a whole number from {minimum} to {maximum}" if maximum else f"a whole number, {minimum} or more"
    )

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or not minimum <= int(text) <= (maximum or int(text)):
            raise BadValue(f"{_shown(text)} cannot be used here", f"write {wanted}")
        return int(text)

    return read


def seconds(*, zero_allowed: bool) -> Callable[[str], float]:
    """Make a reader of durations in seconds; fractions are fine, infinity is not."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or number < 0 or (number == 0 and not zero_allowed):
            least = "0 or more" if zero_allowed else "more than 0"
            raise BadValue(
                f"{_shown(text)} is not a number of seconds, {least}", "write seconds, like 30 or 0.5"
            )
        return number

    return read


def model_name(text: str) -> str:
    """Read `haiku`, `sonnet`, `opus` or the full name of a model."""
    if not _MODEL_NAME.match(text):
        raise BadValue(
            f"{_shown(text)} is not the name of a model", "write haiku, sonnet, opus or a full name"
        )
    return text


def full_model_name(text: str) -> str:
    """Read the full name of a model, as its server knows it."""
    if model_name(text) in MODEL_CLASSES:
        raise BadValue(f"{_shown(text)} is a class of models, not a model", "write a model's full name")
    return text


def dollars(text: str) -> int:
    """Read an amount of US dollars as whole micro-USD; 0 says that there is no limit."""
    if not _DOLLARS.fullmatch(text):
        raise BadValue(
            f"{_shown(text)} is no amount of US dollars", "write it like 25 or 0.50; 0 for no limit"
        )
    return micro_usd(text)


def directory(text: str) -> Path:
    """Read the path of a folder that may not exist yet, and make it absolute."""
    path = Path(text).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise BadValue(f"{str(path)!r} is a file", "name a folder, or one that may be created")
    if set(str(path)) & set("?#%"):
        raise BadValue(f"{str(path)!r} holds ?, # or %", "choose a path without them")
    return path


def folders(text: str) -> tuple[str, ...]:
    """Read absolute paths of folders that strangers' code may read, colons between; links are resolved."""
    words = (word.strip() for word in text.split(":"))
    return tuple(dict.fromkeys(_shared_folder(word) for word in words if word))


def _shared_folder(word: str) -> str:
    path = Path(word)
    if not path.is_absolute() or not path.is_dir():
        raise BadValue(f"{word!r} is not the absolute path of a folder", "name folders that exist")
    path, home = path.resolve(), Path.home().resolve()
    is_wide = home.is_relative_to(path) or str(path) in _WIDE
    is_private = any(path.is_relative_to(place) for place in _PRIVATE)
    names = {*path.parts, *(entry.name for entry in path.iterdir())}
    if is_wide or is_private or not names.isdisjoint(_SECRET_NAMES):
        raise BadValue(f"{word!r} holds more than a toolchain", "name the toolchain's own folder")
    return str(path)


def base_url(*, plain_http: bool) -> Callable[[str], str]:
    """Make a reader of web addresses; *plain_http* also allows http beyond this machine."""

    def read(text: str) -> str:
        parts = split_address(text)
        if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
            raise BadValue("it is not a web address", "write it like https://host.example")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise BadValue("it holds a user, a password, ? or #", "leave only https://host/path")
        if parts.scheme == "http" and not plain_http and parts.hostname not in _LOOPBACK:
            raise BadValue(f"http to {parts.hostname} would send tokens in clear text", "use https")
        return text.rstrip("/")

    return read


def split_address(text: str) -> SplitResult | None:
    """Split an address, or return None when it is none (a bad port, a broken bracket)."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _shown(text: str) -> str:
    """Quote the beginning of a bad value: enough to find it, not enough to give a pasted secret away."""
    return repr(text if len(text) <= _MAX_SHOWN_CHARS else f"{text[: _MAX_SHOWN_CHARS // 2]}…")
