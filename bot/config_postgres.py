"""The address of a Postgres server: every usual form in, one form and its parts out."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

from bot.config_forms import BadValue, switch, whole

DEFAULT_PORT: Final = 5432
FORM: Final = "write postgresql://user:password@host:5432/name or sqlite:///path/to/file.db, or leave it out"
# What Prisma, libpq and SQLAlchemy write that says nothing to asyncpg, or that we decide ourselves.
# https://www.prisma.io/docs/orm/overview/databases/postgresql
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
_DROPPED: Final = frozenset(
    {"pool_timeout", "socket_timeout", "statement_cache_size", "prepared_statement_cache_size"}
    | {
        "channel_binding",
        "client_encoding",
        "gssencmode",
        "sslcompression",
        "sslsni",
        "fallback_application_name",
    }
    | {"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"}
    | {"connect_timeout"}
)
_ORDER: Final = (
    "host", "sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs",
    "application_name", "options", "connection_limit", "pgbouncer",
)  # fmt: skip
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_ATTRIBUTES: Final = ("any", "read-write", "primary", "prefer-standby")
_URI: Final = re.compile(
    r"[\w+.-]+://(?:(?P<who>[^/?#]*)@)?(?P<hosts>[^/?#@]*)(?:/(?P<name>[^?#]*))?(?:\?(?P<query>[^#]*))?\Z"
)
_PAIR: Final = re.compile(r"\s*(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)(?:\s+|\Z)")
_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^\[\]:]*)(?::(?P<port>\d*))?\Z")


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """An address in its parts; a host that begins with a slash is the folder of a socket."""

    hosts: tuple[tuple[str, int], ...]
    database: str
    user: str | None
    password: str | None
    options: dict[str, str]

    @property
    def is_pooled(self) -> bool:
        """Whether a PgBouncer lends us another session for each transaction, so that none is ours."""
        return self.options.get("pgbouncer") == "true"


def is_key_value(text: str) -> bool:
    """Whether *text* has libpq's other form: `host=… dbname=…`."""
    return "://" not in text.split("'", 1)[0].split(" ", 1)[0] and bool(re.match(r"\s*\w+\s*=", text))


def postgres_url(text: str) -> str:
    """Return *text* in one form that `read` understands; the second time changes nothing.

    Raises:
        BadValue: It cannot be used; the words never hold the user or the password.
    """
    given = _pairs(text) if is_key_value(text) else _uri(text)
    hosts = _hosts(given)
    name = given.pop("dbname", "")
    if not name or not hosts:
        raise BadValue("the host or the name of the database is missing", FORM)
    who = given.pop("user", None)
    password = given.pop("password", None)
    options = _understood(given)
    if len(hosts) > 1:
        # One of them is the primary, and a standby takes no write.
        options.setdefault("target_session_attrs", "read-write")
    credentials = "" if who is None else quote(who, safe="")
    credentials += "" if password is None else f":{quote(password, safe='')}"
    at = f"{credentials}@" if credentials else ""
    folders = [host for host, _ in hosts if host.startswith("/")]
    if folders and len(hosts) > 1:
        raise BadValue("a socket's folder stands beside other hosts", "name one socket, or hosts alone")
    if folders:
        options["host"] = folders[0] if hosts[0][1] == DEFAULT_PORT else f"{folders[0]}:{hosts[0][1]}"
    place = "" if folders else ",".join(_written(host, port) for host, port in hosts)
    query = urlencode([(str(key), options[key]) for key in _ORDER if key in options])
    return f"postgresql+asyncpg://{at}{place}/{quote(name, safe='')}" + (f"?{query}" if query else "")


def read(url: str) -> PostgresAddress:
    """Take what `postgres_url` wrote apart.

    Raises:
        BadValue: It did not write that.
    """
    given = _uri(url)
    hosts = tuple(_hosts(given))
    options = {key: value for key, value in given.items() if key in _ORDER}
    return PostgresAddress(hosts, given.get("dbname", ""), given.get("user"), given.get("password"), options)


def _uri(text: str) -> dict[str, str]:
    """A URI as libpq's keywords; `host` and `port` are lists with commas."""
    found = _URI.match(text)
    if found is None:
        raise BadValue("it is neither a PostgreSQL nor a SQLite address", FORM)
    given = dict(parse_qsl(found["query"] or "", keep_blank_values=True))
    user, _, password = (found["who"] or "").partition(":")
    from_place = {
        "user": unquote(user),
        "password": unquote(password),
        "dbname": unquote(found["name"] or ""),
    }
    from_place["host"] = found["hosts"]
    return {key: value for key, value in from_place.items() if value} | given


def _pairs(text: str) -> dict[str, str]:
    """`key=value` pairs, with quotes and backslashes as libpq reads them."""
    given: dict[str, str] = {}
    at = 0
    while at < len(text.rstrip()):
        found = _PAIR.match(text, at)
        if found is None:
            raise BadValue("it is neither a PostgreSQL nor a SQLite address", FORM)
        value = found[2][1:-1] if found[2].startswith("'") else found[2]
        given[found[1]] = re.sub(r"\\(.)", r"\1", value)
        at = found.end()
    return given


def _hosts(given: dict[str, str]) -> list[tuple[str, int]]:
    """The hosts with their ports, taken out of *given*."""
    texts = [host for host in (given.pop("host", "") or given.pop("hostaddr", "")).split(",") if host]
    given.pop("hostaddr", None)
    ports = given.pop("port", "").split(",")
    if len(ports) not in {1, len(texts)}:
        raise BadValue("there are not as many ports as hosts", FORM)
    ports = ports * len(texts) if len(ports) == 1 else ports
    return [_host(text, port) for text, port in zip(texts, ports, strict=True)]


def _host(text: str, port: str) -> tuple[str, int]:
    """One host; a port that stands beside it counts more than *port*."""
    text = unquote(text)
    if text.count(":") > 1 and "[" not in text and not text.startswith("/"):
        text = f"[{text}]"
    found = _HOST.match(text)
    chosen = (found["port"] if found else "") or port or str(DEFAULT_PORT)
    if found is None or not found["host"] or not chosen.isdigit() or not 0 < int(chosen) < 2**16:
        raise BadValue("it is neither a PostgreSQL nor a SQLite address", FORM)
    return found["host"].strip("[]"), int(chosen)


def _written(host: str, port: int) -> str:
    """A host as it stands in a URI."""
    shown = f"[{host}]" if ":" in host else quote(host, safe="")
    return shown if port == DEFAULT_PORT else f"{shown}:{port}"


def _understood(given: dict[str, str]) -> dict[str, str]:
    """The options that we keep, each in its one spelling; what we cannot keep is refused."""
    if given.pop("schema", "public") != "public":
        raise BadValue("?schema= names another schema than public", "leave ?schema= out")
    kept = _tls(given)
    for key, check in _CHECKS.items():
        if key in given:
            kept[key] = check(given.pop(key))
    if kept.get("pgbouncer") == "false":
        del kept["pgbouncer"]
    unknown = sorted(set(given) - _DROPPED)
    if unknown:
        raise BadValue(f"the parameter {unknown[0][:40]!r} is not understood", "leave it out")
    if "pgbouncer" in kept and "options" in kept:
        raise BadValue("PgBouncer takes no ?options=", "leave ?options= out, or give the direct address")
    return kept


def _tls(given: dict[str, str]) -> dict[str, str]:
    """The encryption: libpq's words, and Prisma's turned into them.

    Prisma's `sslcert` alone is the server's authority; libpq's stands beside an `sslkey` and is ours.
    https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-SSLMODE-STATEMENTS
    """
    for key in ("sslidentity", "sslpassword", "sslcrl", "sslcrldir"):
        if given.pop(key, ""):
            raise BadValue(
                f"?{key}= cannot be used", "give sslrootcert, sslcert and an unencrypted sslkey as PEM files"
            )
    mode = given.pop("sslmode", "") or given.pop("ssl", "")
    given.pop("ssl", None)
    mode = {"true": "require", "false": "disable"}.get(mode, mode)
    if mode and mode not in _SSL_MODES:
        raise BadValue("sslmode has an unknown value", f"use one of {', '.join(_SSL_MODES)}")
    files = {key: given.pop(key) for key in ("sslrootcert", "sslcert", "sslkey") if given.get(key)}
    if "sslcert" in files and "sslkey" not in files and "sslrootcert" not in files:
        files["sslrootcert"] = files.pop("sslcert")
    accept = given.pop("sslaccept", "")
    if accept == "strict" and mode in {"", "prefer", "require"}:
        mode = "verify-full"
    if accept == "accept_invalid_certs" and mode == "require":
        files.pop("sslrootcert", None)
    kept = {"sslmode": mode} if mode else {}
    return kept | _certificates(mode, files)


def _certificates(mode: str, files: dict[str, str]) -> dict[str, str]:
    """The files that *mode* needs, each one readable; raises BadValue."""
    if ("sslcert" in files) != ("sslkey" in files):
        raise BadValue("sslcert and sslkey are a pair, and one of them is missing", "give both, or neither")
    if files and mode in {"disable", "allow"}:
        raise BadValue(f"certificates are given, and sslmode is {mode}", "use sslmode=verify-full")
    if files and mode in {"", "prefer"}:
        raise BadValue("certificates are given, and sslmode would go without", "add sslmode=verify-full")
    if mode == "verify-ca" and files.get("sslrootcert", "system") == "system":
        wrong = "sslmode=verify-ca without sslrootcert would trust every public authority"
        raise BadValue(wrong, "give sslrootcert, or use sslmode=verify-full")
    for key, name in files.items():
        if (key, name) != ("sslrootcert", "system"):
            files[key] = _readable(key, name)
    return files


def _readable(key: str, name: str) -> str:
    """The absolute path of the file *name*."""
    path = Path(name).expanduser().absolute()
    try:
        with path.open("rb"):
            return str(path)
    except OSError:
        raise BadValue(f"{key} names a file that cannot be read", "name a PEM file of this user") from None


def _one_of(key: str, values: tuple[str, ...]) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in values:
            raise BadValue(f"{key} has an unknown value", f"use one of {', '.join(values)}")
        return text

    return check


_LIMIT: Final = whole(1, 500)
_CHECKS: Final[dict[str, Callable[[str], str]]] = {
    "target_session_attrs": _one_of("target_session_attrs", _ATTRIBUTES),
    "application_name": str,
    "options": str,
    "connection_limit": lambda text: str(_LIMIT(text)),
    "pgbouncer": lambda text: str(switch(text)).lower(),
}
