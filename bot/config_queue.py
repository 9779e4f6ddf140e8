"""The address of Redis: a native URL, or the two variables of Upstash turned into one."""

from urllib.parse import parse_qs, quote, unquote, urlsplit

from bot.config_forms import BadValue, Secret, split_address

_SCHEMES = frozenset({"redis", "rediss", "unix"})
_FORM = "write redis://host:6379/0, rediss://user:password@host:6379 or unix:///path/to.sock, or leave it out"
_UPSTASH_PORT = 6379


def redis_url(text: str) -> Secret:
    """Return the address of a Redis server, hidden: it may hold a password.

    Raises:
        BadValue: It is no such address; the words never hold the password.
    """
    parts = split_address(text)
    if parts is None or parts.scheme not in _SCHEMES:
        raise BadValue("it is no Redis address", _FORM)
    has_place = parts.path if parts.scheme == "unix" else parts.hostname
    if not has_place:
        raise BadValue("the host (or the socket's path) is missing", _FORM)
    return Secret(text)


def redis_passwords(url: str) -> tuple[str, ...]:
    """Return the passwords in *url* as they stand there and as they are meant; none where there is none.

    The client also takes them behind the question mark.
    """
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    given = [parts.password or "", *options.get("password", ()), *options.get("ssl_password", ())]
    return tuple({form for word in given if word for form in (word, unquote(word), quote(word, safe=""))})


def upstash_url(rest_url: str, token: Secret) -> Secret:
    """Return the native address that belongs to Upstash's REST address: the token is the password.

    https://upstash.com/docs/redis/howto/connectclient
    """
    host = urlsplit(rest_url).hostname or ""
    return Secret(f"rediss://default:{quote(token.reveal(), safe='')}@{host}:{_UPSTASH_PORT}")
