"""The address of Redis as its client wants it, the waits that go with the host, and its troubles in words."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from redis.asyncio.connection import ConnectionPool
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
)
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import TimeoutError as NoAnswer

from bot.errors import ConfigError, Problem

_CONNECT_SECONDS: Final = 5
_UPSTASH: Final = "upstash.io"
_WORDS: Final = (
    (
        (AuthenticationError, AuthorizationError, NoPermissionError),
        ("WRONGPASS", "NOAUTH", "NOPERM", "Authentication required"),
        (
            "Redis refuses the user or the password of REDIS_URL (a read-only token of Upstash needs the user"
            " default_ro, and cannot carry a queue)"
        ),
    ),
    (OutOfMemoryError, ("OOM",), "Redis is full (maxmemory) and takes no new jobs"),
    (ReadOnlyError, ("READONLY",), "Redis is a read-only replica"),
    (BusyLoadingError, (), "Redis is still loading its data"),
    ((NoAnswer, TimeoutError), (), "Redis does not answer"),
    ((ConnectionLost, OSError), (), "Redis cannot be reached"),
)


@dataclass(frozen=True, slots=True)
class Waits:
    """How long the engine waits for Redis, in seconds.

    An answer has to be awaited longer than Redis is asked to hold the request back (*drain*), else each
    idle wait ends as an error: redis-py's own default does that to BullMQ.
    """

    drain_seconds: float
    answer_seconds: float
    lock_seconds: float
    stalled_seconds: float
    push_seconds: float = 5.0
    close_seconds: float = 3.0

    @classmethod
    def for_url(cls, url: str, *, lock_seconds: float) -> "Waits":
        """The waits that suit the server at *url*; Upstash counts commands, so there they are long."""
        if is_upstash(url):
            return cls(60, 90, max(lock_seconds, 60), max(lock_seconds, 60))
        return cls(2, 30, lock_seconds, lock_seconds / 2)


def is_upstash(url: str) -> bool:
    """Whether *url* names a server of Upstash."""
    host = urlsplit(url).hostname or ""
    return host == _UPSTASH or host.endswith(f".{_UPSTASH}")


def address(url: str, waits: Waits) -> str:
    """*url* with the options that the engine needs; what else it says (a database, a CA) stays.

    Raises:
        ConfigError: The client does not understand the URL; the words do not repeat it.
    """
    parts = urlsplit(url)
    options = {
        "socket_connect_timeout": str(_CONNECT_SECONDS),
        "socket_keepalive": "yes",
        **dict(parse_qsl(parts.query)),
        "socket_timeout": str(waits.answer_seconds),
        # What others wrote into the queue is no error of the connection, whatever its bytes are.
        "encoding_errors": "replace",
    }
    if parts.scheme == "unix":
        del options["socket_keepalive"]
    full = parts._replace(query=urlencode(options)).geturl()
    try:
        ConnectionPool.from_url(full).make_connection()  # type: ignore[no-untyped-call] # the library's gap
    except (ValueError, TypeError) as error:
        raise ConfigError(
            Problem(
                "REDIS_URL",
                "one of its options is not known, or has a value of another form",
                "write redis://host:6379/0, and behind a ? only options of redis-py's from_url",
            )
        ) from error
    return full


def in_words(error: Exception) -> str:
    """What is wrong with Redis, as the operator reads it; nothing of the error's own text."""
    # What a server says at the greeting, the client wraps into an error of the connection.
    for cause in (error.__cause__, error):
        for kinds, beginnings, words in _WORDS:
            if isinstance(cause, kinds) or str(cause).startswith(beginnings):
                return words
    return f"Redis answers with an error ({type(error).__name__})"
