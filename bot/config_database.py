"""The address of the database: Prisma's, libpq's and SQLAlchemy's forms in, one form out."""

import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from bot.config_forms import BadValue, split_address

# What Prisma and libpq write that says nothing to asyncpg, or that our own pool decides.
# https://www.prisma.io/docs/orm/overview/databases/postgresql
_DROPPED = frozenset(
    {"schema", "connection_limit", "pool_timeout", "connect_timeout", "socket_timeout"}
    | {"statement_cache_size", "application_name", "channel_binding"}
)
_KEPT = frozenset({"host", "ssl", "target_session_attrs"})
# https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-SSLMODE-STATEMENTS
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_FORM = "write postgresql://user:password@host:5432/name or sqlite:///path/to/file.db, or leave it out"


def database_url(text: str) -> str:
    """Return *text* in the form of our drivers (asyncpg, aiosqlite); the second time changes nothing.

    Raises:
        BadValue: It is no such address; the words never hold the user or the password.
    """
    parts = split_address(text)
    scheme = parts.scheme.split("+", 1)[0] if parts else ""
    if scheme in {"sqlite", "file"}:
        return _sqlite(text)
    if parts is None or scheme not in {"postgres", "postgresql"}:
        raise BadValue("it is neither a PostgreSQL nor a SQLite address", _FORM)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not parts.path.strip("/") or not (parts.hostname or query.get("host")):
        raise BadValue("the host or the name of the database is missing", _FORM)
    kept = urlencode(_understood(query))
    return f"postgresql+asyncpg://{parts.netloc}{parts.path}" + (f"?{kept}" if kept else "")


def default_database_url(data_dir: Path) -> str:
    """Return the address of the SQLite file in *data_dir*."""
    return f"sqlite+aiosqlite:///{data_dir / 'issuewright.db'}"


def masked_url(url: str) -> str:
    """Return *url* with stars in place of a password, for messages."""
    return re.sub(r"(://[^:/@]*):[^/?#]*@", r"\1:********@", url)


def passwords(url: str) -> tuple[str, ...]:
    """Return the password in *url* as it stands there and as it is meant; none where there is none."""
    written = urlsplit(url).password
    return tuple({written, unquote(written)}) if written else ()


def _sqlite(text: str) -> str:
    path = re.sub(r"\A(sqlite(\+\w+)?:(///)?|file:(//(?=/))?)", "", text, flags=re.IGNORECASE)
    if path in {"", ":memory:", "//"}:
        raise BadValue("a database in memory is lost at every stop", "name a file: sqlite:///path/to/file.db")
    if set(path) & set("?#%") or path.startswith("//"):
        raise BadValue("the path of the SQLite file holds ?, #, % or a host", _FORM)
    return f"sqlite+aiosqlite:///{Path(path).expanduser().absolute()}"


def _understood(query: dict[str, str]) -> dict[str, str]:
    """Translate the parameters of a PostgreSQL address; refuse what we cannot keep."""
    if query.get("schema", "public") != "public":
        raise BadValue("?schema= names another schema than public", "leave ?schema= out")
    if query.get("pgbouncer", "false") != "false":
        raise BadValue(
            "it leads to a PgBouncer that shares sessions", "give the direct address (Prisma's DIRECT_URL)"
        )
    known = _DROPPED | _KEPT | {"sslmode", "pgbouncer"}
    unknown = sorted(set(query) - known)
    if unknown:
        raise BadValue(f"the parameter {unknown[0]!r} is not understood", "leave it out")
    kept = {name: value for name, value in query.items() if name in _KEPT}
    if "sslmode" in query:
        kept["ssl"] = query["sslmode"]
    if kept.get("ssl", "prefer") not in _SSL_MODES:
        raise BadValue("sslmode has an unknown value", f"use one of {', '.join(_SSL_MODES)}")
    return kept
