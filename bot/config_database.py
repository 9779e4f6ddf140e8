"""The address of the database: every usual form in, one form out; its password and its shape."""

import re
from pathlib import Path
from urllib.parse import quote

from bot import config_postgres
from bot.config_forms import BadValue
from bot.config_postgres import FORM


def database_url(text: str) -> str:
    """Return *text* in our form (for asyncpg or aiosqlite); the second time changes nothing.

    Raises:
        BadValue: It is no such address; the words never hold the user or the password.
    """
    scheme = re.split(r"[+:]", text, maxsplit=1)[0].lower()
    if scheme in {"sqlite", "file"}:
        return _sqlite(text)
    if scheme not in {"postgres", "postgresql"} and not config_postgres.is_key_value(text):
        raise BadValue("it is neither a PostgreSQL nor a SQLite address", FORM)
    return config_postgres.postgres_url(text)


def default_database_url(data_dir: Path) -> str:
    """Return the address of the SQLite file in *data_dir*."""
    return f"sqlite+aiosqlite:///{data_dir / 'issuewright.db'}"


def masked_url(url: str) -> str:
    """Return *url* with stars in place of a password, for messages."""
    return re.sub(r"(://[^:/@]*):[^/?#]*@", r"\1:********@", url)


def passwords(url: str) -> tuple[str, ...]:
    """Return the password in *url* as it stands there and as it is meant; none where there is none."""
    if url.startswith("sqlite"):
        return ()
    meant = config_postgres.read(url).password
    return tuple({meant, quote(meant, safe="")}) if meant else ()


def is_session_kept(url: str) -> bool:
    """Whether a connection keeps its session, so that it can LISTEN; not behind `?pgbouncer=true`."""
    return not url.startswith("sqlite") and not config_postgres.read(url).is_pooled


def _sqlite(text: str) -> str:
    path = re.sub(r"\A(sqlite(\+\w+)?:(///)?|file:(//(?=/))?)", "", text, flags=re.IGNORECASE)
    if path in {"", ":memory:", "//"}:
        raise BadValue("a database in memory is lost at every stop", "name a file: sqlite:///path/to/file.db")
    if set(path) & set("?#%") or path.startswith("//"):
        raise BadValue("the path of the SQLite file holds ?, #, % or a host", FORM)
    return f"sqlite+aiosqlite:///{Path(path).expanduser().absolute()}"
