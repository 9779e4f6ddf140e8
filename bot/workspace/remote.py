"""Where repositories come from, in which names, and how the read token travels; checked before git starts."""

import base64
import ipaddress
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bot.errors import Permanent

_PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
NETWORK_VARIABLES = frozenset(
    {
        *_PROXY_VARIABLES,
        *(name.lower() for name in _PROXY_VARIABLES),
        *("GIT_SSL_CAINFO", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    }
)
"""What of the operator's environment git may see; no other variable passes."""

KEPT_REFS = "refs/issuewright"
"""Where the mirror keeps the commits that were fetched."""
_SHA = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})")
_FULL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}/[A-Za-z0-9._-]{1,100}")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,4096}")


@dataclass(frozen=True, slots=True)
class Remote:
    """The server that repositories are fetched from, checked once."""

    base_url: str
    proxies: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Let only https pass, and plain http to this machine itself.

        Raises:
            ValueError: Another scheme, credentials, a query, or characters that no address needs.
        """
        parts = urlsplit(self.base_url)
        is_clean = (
            re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+(?:/[A-Za-z0-9._/-]*)?", self.base_url) is not None
        )
        if not is_clean or not (parts.scheme == "https" or is_loopback(parts.hostname or "")):
            raise ValueError(
                "the git address must be https://host[:port][/path] (http only for this machine)"
            )

    @property
    def scheme(self) -> str:
        """The only protocol that a fetch may speak: https, or http to this machine itself."""
        return urlsplit(self.base_url).scheme

    def url(self, full_name: str) -> str:
        """The address of the repository *full_name* (`owner/name`).

        Raises:
            Permanent: *full_name* is no repository name.
        """
        return f"{self.base_url.rstrip('/')}/{checked_name(full_name)}.git"


def checked_sha(sha: str) -> str:
    """*sha* when it is a whole object name.

    Raises:
        Permanent: It is not 40 or 64 lower-case hexadecimal digits.
    """
    if _SHA.fullmatch(sha) is None:
        raise Permanent("that is no commit id (40 or 64 hexadecimal digits)")
    return sha


def checked_name(full_name: str) -> str:
    """*full_name* when it is `owner/name` in GitHub's characters.

    Raises:
        Permanent: It is not.
    """
    if _FULL_NAME.fullmatch(full_name) is None or full_name.split("/", 1)[1] in {".", ".."}:
        raise Permanent("that is no repository name (owner/name)")
    return full_name


def kept_ref(sha: str) -> str:
    """The ref in the mirror that keeps *sha*."""
    return f"{KEPT_REFS}/{sha}"


def is_loopback(host: str) -> bool:
    """Whether *host* is this machine itself, by name or by number."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def token_config(url: str, token: str) -> Iterator[int]:
    """A git configuration in memory that sends *token* to *url* and nowhere else; yields its descriptor.

    Raises:
        Permanent: *token* has a shape that no token has.
    """
    if _TOKEN.fullmatch(token) is None:
        raise Permanent("the read token has a shape that no token has")
    fd = os.memfd_create("git-config", os.MFD_CLOEXEC)
    try:
        os.write(
            fd, f'[http "{url}"]\n\textraHeader = "Authorization: Basic {_credential(token)}"\n'.encode()
        )
        yield fd
    finally:
        os.close(fd)


def without_token(text: str, token: str) -> str:
    """*text* with every form of *token* that git knows taken out."""
    return text.replace(token, "***").replace(_credential(token), "***")


def _credential(token: str) -> str:
    return base64.b64encode(f"x-access-token:{token}".encode()).decode()
