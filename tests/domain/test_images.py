"""Which addresses are GitHub's own, and which bytes are a picture."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain import images

GITHUB = "https://github.com"
ASSET = "0a1b2c3d-0000-4000-8000-1234567890ab"
UPLOAD = f"{GITHUB}/user-attachments/assets/{ASSET}"
OLD = "https://user-images.githubusercontent.com/583231/shot-1.png"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


@pytest.mark.parametrize(
    "text",
    [
        f"![shot]({UPLOAD})",
        f'<img width="20" src="{UPLOAD}" />',
        f"see {UPLOAD}.",
        f"![a]({UPLOAD}) and again ![b]({UPLOAD})",
    ],
)
def test_an_attachment_is_found_in_markdown_and_html_once(text: str) -> None:
    assert images.attachments(text, GITHUB) == (UPLOAD,)


def test_older_forms_are_found_too() -> None:
    older = f"{GITHUB}/octo/pets/assets/583231/{ASSET}"
    assert images.attachments(f"{older}\n![]({OLD})", GITHUB) == (older, OLD)


@pytest.mark.parametrize(
    "url",
    [
        f"https://evil.example/user-attachments/assets/{ASSET}",
        f"https://github.com.evil.example/user-attachments/assets/{ASSET}",
        f"http://github.com/user-attachments/assets/{ASSET}",
        f"https://evil.example/?u={UPLOAD}".replace("?u=", "/"),
        f"{GITHUB}/user-attachments/assets/../../{ASSET}",
        f"{GITHUB}/octo/pets/raw/main/shot.png",
        "https://camo.githubusercontent.com/abc/def",
        "http://169.254.169.254/latest",
    ],
)
def test_no_other_address_is_an_attachment(url: str) -> None:
    assert images.attachments(f"![x]({url})", GITHUB) == ()


def test_an_enterprise_server_has_its_own_attachments_only() -> None:
    mine = f"https://git.corp.example/user-attachments/assets/{ASSET}"
    assert images.attachments(f"{UPLOAD} {OLD} {mine}", "https://git.corp.example") == (mine,)


def test_only_the_first_few_are_taken() -> None:
    many = " ".join(UPLOAD.replace("0a1b2c3d", f"{number:08x}") for number in range(30))
    assert len(images.attachments(many, GITHUB)) == images.MAX_IMAGES


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        (UPLOAD, True),
        (OLD, True),
        ("https://private-user-images.githubusercontent.com/1/2.png?jwt=x", True),
        ("https://github.com:8443/x", False),
        ("https://user@github.com/x", False),
        ("https://github.com@evil.example/x", False),
        ("https://evil.example/github.com", False),
        ("http://user-images.githubusercontent.com/1/2.png", False),
        ("http://127.0.0.1/", False),
        ("file:///etc/passwd", False),
        ("https://github.com:notaport/", False),
    ],
)
def test_only_github_and_where_it_keeps_attachments_may_be_asked(url: str, is_allowed: bool) -> None:
    assert images.may_be_asked(url, GITHUB) is is_allowed


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"GIF89a....", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
    ],
)
def test_a_picture_is_known_by_its_bytes(data: bytes, kind: str) -> None:
    picture = images.picture_of(data)
    assert picture is not None
    assert picture.media_type == kind


@pytest.mark.parametrize(
    "data", [b"", b"<svg xmlns=", b"<html>", b"RIFF....AVI ", PNG + b"\0" * images.MAX_IMAGE_BYTES]
)
def test_what_is_no_picture_or_too_big_is_none(data: bytes) -> None:
    assert images.picture_of(data) is None


@given(st.text(max_size=200))
def test_every_attachment_that_is_found_may_be_asked(text: str) -> None:
    for url in images.attachments(text + UPLOAD, GITHUB):
        assert images.may_be_asked(url, GITHUB)
