"""Pictures that people put into a thread: which addresses are GitHub's own, and which bytes are a picture.

Where attachments lie: https://docs.github.com/en/get-started/writing-on-github/working-with-advanced-formatting/attaching-files
"""

import re
from dataclasses import dataclass
from html import unescape
from typing import Final
from urllib.parse import urlsplit

MAX_IMAGES: Final = 4
MAX_IMAGE_BYTES: Final = 2 * 1024 * 1024
"""Well below what the Messages API takes (5 MB encoded): a transcript holds them for a month."""

_GITHUB: Final = "https://github.com"
_CONTENT_HOSTS: Final = frozenset(
    {
        "objects.githubusercontent.com",
        "private-user-images.githubusercontent.com",
        "user-images.githubusercontent.com",
        "github-production-user-asset-6210df.s3.amazonaws.com",
    }
)
_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ASSET: Final = re.compile(_UUID)
_OLD: Final = r"https://user-images\.githubusercontent\.com/\d{1,20}/[\w.-]{1,200}"
_SOURCE: Final = re.compile(r'src="([^"]{1,4000})"')
_SIGNATURES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture's bytes, and what kind it is by those bytes alone."""

    media_type: str
    data: bytes


def attachments(text: str, github_url: str) -> tuple[str, ...]:
    """The addresses in *text* that are attachments of this GitHub, each once; at most MAX_IMAGES."""
    root = re.escape(github_url)
    forms = [rf"{root}/user-attachments/assets/{_UUID}", rf"{root}/[\w.-]+/[\w.-]+/assets/\d{{1,20}}/{_UUID}"]
    if github_url == _GITHUB:
        forms.append(_OLD)
    found = re.findall(rf"(?<![\w/.-])(?:{'|'.join(forms)})(?![\w-])", text, re.ASCII)
    return tuple(dict.fromkeys(found))[:MAX_IMAGES]


def asset_of(url: str) -> str | None:
    """What an attachment is called in every address that it has: a public one, or one that is signed."""
    found = _ASSET.search(url)
    return found.group() if found else None


def signed(html: str, asset: str, github_url: str) -> str | None:
    """The address under which rendered *html* shows *asset*: that of a private one is signed for minutes."""
    for found in _SOURCE.findall(html):
        url = unescape(found)
        if asset in url and may_be_asked(url, github_url):
            return url
    return None


def may_be_asked(url: str, github_url: str) -> bool:
    """Whether *url* lies on this GitHub, or where it keeps attachments: scheme, host and port exactly."""
    try:
        asked, home = urlsplit(url), urlsplit(github_url)
        port = asked.port
    except ValueError:
        return False
    if asked.username is not None or asked.password is not None:
        return False
    if (asked.scheme, asked.hostname, port) == (home.scheme, home.hostname, home.port):
        return True
    hosts = _CONTENT_HOSTS if github_url == _GITHUB else {f"media.{home.hostname}"}
    return asked.scheme == "https" and port is None and asked.hostname in hosts


def picture_of(data: bytes) -> Picture | None:
    """*data* as a picture of a kind that models read; None when it is none, or too big."""
    if len(data) > MAX_IMAGE_BYTES:
        return None
    for signature, media_type in _SIGNATURES:
        if data.startswith(signature):
            return Picture(media_type, data)
    is_webp = data.startswith(b"RIFF") and data[8:12] == b"WEBP"
    return Picture("image/webp", data) if is_webp else None
