"""How asyncpg is opened for an address: hosts, encryption, time limits, and what a PgBouncer bears."""

import contextlib
import socket
import ssl
from typing import Any, Final

from sqlalchemy.exc import InvalidatePoolError

from bot.config_postgres import PostgresAddress, read

CONNECT_SECONDS: Final = 10.0
COMMAND_SECONDS: Final = 30.0
"""After which a statement counts as lost: also the end of a connection whose other side is gone."""
POOL_SIZE: Final = 15
"""Connections of one process at most. They are opened when they are needed, and kept: to open one costs
more than all that most transactions do, and it begins with no prepared statement."""
# A process that is stopped or frozen inside a transaction holds its locks no longer than this.
_IDLE_IN_TRANSACTION: Final = "10s"
# Seconds and tries: https://man7.org/linux/man-pages/man7/tcp.7.html
_KEEPALIVE: Final = (
    ("TCP_KEEPIDLE", 10),
    ("TCP_KEEPINTVL", 5),
    ("TCP_KEEPCNT", 3),
    ("TCP_USER_TIMEOUT", 20_000),
)


def engine_arguments(url: str, *, command_seconds: float | None = COMMAND_SECONDS) -> dict[str, Any]:
    """The arguments of `create_async_engine` for *url*; no *command_seconds*: a statement may take long.

    Raises:
        OSError: A certificate cannot be used (also: ssl.SSLError).
    """
    address = read(url)
    connect: dict[str, Any] = {
        "async_creator_fn": _connect,
        "host": [host for host, _ in address.hosts],
        "port": [port for _, port in address.hosts],
        "database": address.database,
        "timeout": CONNECT_SECONDS,
        "command_timeout": command_seconds,
        "server_settings": _server_settings(address),
    }
    optional = {
        "user": address.user,
        "password": address.password,
        "target_session_attrs": address.options.get("target_session_attrs"),
        "ssl": _encryption(address.options),
    }
    connect |= {name: value for name, value in optional.items() if value is not None}
    if address.is_pooled:
        # Another session for each transaction: nothing that was prepared is there the next time.
        connect |= {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
    size = int(address.options.get("connection_limit", POOL_SIZE))
    # The one that was used last knows most statements.
    pool = {"pool_size": size, "max_overflow": 0, "pool_use_lifo": True}
    return {"connect_args": connect, **pool}


async def _connect(**options: Any) -> Any:
    """Connect; a server that is not there is that in one kind of error.

    Raises:
        OSError: It cannot be reached, or none of several takes writes.
    """
    # Here, so that a service on SQLite does without it.
    import asyncpg

    try:
        return await asyncpg.connect(**options)
    except FileNotFoundError as error:
        message = f"there is no socket in {options['host'][0]}"
        raise ConnectionRefusedError(message) from error
    except asyncpg.InternalClientError as error:
        message = "none of the servers takes writes"
        raise ConnectionRefusedError(message) from error


def keep_alive(dbapi_connection: Any, _record: object) -> None:
    """Let the kernel notice within half a minute that the other side is gone; a socket file has no need."""
    transport = dbapi_connection.driver_connection._transport  # noqa: SLF001 - asyncpg shows it nowhere
    raw = transport.get_extra_info("socket")
    if raw is None or raw.family == getattr(socket, "AF_UNIX", None):
        return
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        # What a platform does not know, it has its own default for.
        with contextlib.suppress(OSError, AttributeError):
            raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def refuse_closed(dbapi_connection: Any, _record: object, _fairy: object) -> None:
    """Let the pool replace connections that the server has ended, which is known here without asking it.

    A ping would be three more exchanges before each transaction. One whose other side is gone without a
    word is closed by `keep_alive`, or fails as it would while it is pinged.

    Raises:
        InvalidatePoolError: It is closed; what ended it has ended the others too, most likely.
    """
    if dbapi_connection.driver_connection.is_closed():
        raise InvalidatePoolError


def _server_settings(address: PostgresAddress) -> dict[str, str]:
    """What each session is told at its start; PgBouncer passes on only the first two.

    https://www.pgbouncer.org/config.html#ignore_startup_parameters
    """
    given = address.options
    settings = {"timezone": "UTC", "application_name": given.get("application_name", "issuewright")}
    if address.is_pooled:
        return settings
    settings["idle_in_transaction_session_timeout"] = _IDLE_IN_TRANSACTION
    return settings | ({"options": given["options"]} if "options" in given else {})


def _encryption(options: dict[str, str]) -> ssl.SSLContext | str | None:
    """What asyncpg is told: a context of ours where something is to be checked, None for its default.

    https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-SSLMODE-STATEMENTS
    """
    mode, root = options.get("sslmode"), options.get("sslrootcert")
    if mode not in {"require", "verify-ca", "verify-full"}:
        return mode
    context = ssl.create_default_context(cafile=None if root == "system" else root)
    context.check_hostname = mode == "verify-full" or root == "system"
    if mode == "require" and root is None:
        context.verify_mode = ssl.CERT_NONE
    if "sslcert" in options:
        context.load_cert_chain(options["sslcert"], options["sslkey"])
    return context
