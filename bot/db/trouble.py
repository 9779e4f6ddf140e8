"""What went wrong with the database, judged: whether the same thing may go well later, and in which words."""

import sqlite3
import ssl
from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

MAX_WORD_CHARS: Final = 200
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_PASSING_CLASSES: Final = ("08", "53", "57", "58")
_PASSING_STATES: Final = frozenset(
    {
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "55P03",  # lock_not_available
        "25006",  # read_only_sql_transaction: the primary has become a standby
        "25P03",  # idle_in_transaction_session_timeout
    }
)
# https://sqlite.org/rescode.html: BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN
_PASSING_SQLITE: Final = frozenset({5, 6, 8, 10, 13, 14})
_PRIMARY_CODE: Final = 0xFF


def is_passing(error: BaseException) -> bool:
    """Whether the database is away, full or busy, so that the same transaction may go well later.

    False for what only a person or a better program can mend: a wrong password, a statement that is wrong.
    """
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or _is_passing_origin(error.orig)
    if isinstance(error, NoConnectionFree):
        return True
    # asyncpg says so, with a bare ConnectionError, of a server that cannot encrypt.
    is_refusal = isinstance(error, ssl.SSLError | PermissionError) or type(error) is ConnectionError
    return isinstance(error, OSError) and not is_refusal


def words(error: BaseException) -> str:
    """What the database or the system said, on one line; it never holds the address or its password."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        # SQLAlchemy wraps the errors of asyncpg once more.
        kind, said = error.orig.__cause__ or error.orig, str(error.orig)
    else:
        kind, said = error, "" if isinstance(error, SQLAlchemyError) else str(error)
    said = " ".join(said.split())[:MAX_WORD_CHARS]
    return f"{type(kind).__name__}: {said}" if said else type(kind).__name__


def _is_passing_origin(origin: BaseException | None) -> bool:
    if isinstance(origin, sqlite3.OperationalError):
        return getattr(origin, "sqlite_errorcode", 0) & _PRIMARY_CODE in _PASSING_SQLITE
    state = str(getattr(origin, "sqlstate", None) or "")
    return state in _PASSING_STATES or state.startswith(_PASSING_CLASSES)
