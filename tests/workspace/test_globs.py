"""What `exclude:` covers, and that neither case nor spelling gets round it."""

import pytest

from bot.workspace.toolhost.beneath import Trouble
from bot.workspace.toolhost.globs import Exclusion


@pytest.mark.parametrize(
    ("glob", "path", "is_covered"),
    [
        ("*.pem", "a/b/key.pem", True),
        ("*.pem", "a/b/KEY.PEM", True),
        ("*.pem", "key.pem.txt", False),
        ("secrets", "a/secrets/b/c", True),
        ("secrets/", "a/secrets", True),
        ("/secrets", "secrets/x", True),
        ("/secrets", "a/secrets/x", False),
        ("a/*/c", "a/b/c/d", True),
        ("a/*/c", "a/b/b/c", False),
        ("a/**/c", "a/c", True),
        ("a/**", "a", False),
        ("a/**", "a/b", True),
        ("Straße", "STRASSE/x", True),
        ("key", "\uff4bey", True),
        ("  ", "a", False),
        ("/", "a", False),
    ],
)
def test_an_exclusion_covers_what_it_says_and_all_below_it(glob: str, path: str, is_covered: bool) -> None:
    assert Exclusion([glob])(tuple(path.split("/"))) is is_covered


def test_the_root_is_never_covered() -> None:
    assert not Exclusion(["*", "**"])(())


def test_half_a_list_covers_nothing() -> None:
    with pytest.raises(Trouble, match="not well formed"):
        Exclusion(["*.pem", "[z-a]"])
