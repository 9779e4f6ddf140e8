"""A change that adds a secret is withheld, however the secret is dressed up."""

import pytest

from bot.domain.enums import Cause
from bot.domain.values import FileChange
from bot.runner.freezing import Voice, withheld
from bot.runner.outcome import Outcome
from tests.runner.test_last_look import change

TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
VOICE = Voice(("known-value-7c41d90a5b",), "https://forge.example/o/r", "", b"key")


def outcome(new: str, *, old: str | None = None, path: str = "notes.txt") -> Outcome:
    """The outcome of a change of one file from *old* to *new*."""
    return Outcome(Cause.PULL_REQUEST, changes=(change(path, old, new),))


@pytest.mark.parametrize(
    "line",
    [
        TOKEN,
        f"++{TOKEN}",
        f"++ {TOKEN}",
        f"x\r{TOKEN}",
        f"x\u2028{TOKEN}",
        f"x\x0c{TOKEN}",
        f"x\x1c{TOKEN}",
        f"{TOKEN[:20]}\u200b{TOKEN[20:]}",
        "known-value-7c41d90a5b",
    ],
)
@pytest.mark.parametrize("old", [None, "one\ntwo\nthree\n"])
def test_an_added_secret_is_seen(line: str, old: str | None) -> None:
    assert withheld(outcome(f"{old or ''}{line}\n", old=old), VOICE)


@pytest.mark.parametrize("head", ["", "--- a/notes.txt\n+++ b/notes.txt\n"])
@pytest.mark.parametrize("hunk", ["@@ -1 +1,2 @@", "@@ -1,1 +1,2 @@ def bark():"])
def test_an_added_secret_is_seen_with_and_without_a_files_head(head: str, hunk: str) -> None:
    patch = f"{head}{hunk}\n one\n+{TOKEN}\n"
    one = FileChange("notes.txt", f"one\n{TOKEN}\n", False, False, patch, 1, 0)
    assert withheld(Outcome(Cause.PULL_REQUEST, changes=(one,)), VOICE)


def test_a_secret_in_a_path_is_seen() -> None:
    assert withheld(outcome("x\n", path=f"docs/{TOKEN}.txt"), VOICE)


def test_what_was_there_before_is_no_reason() -> None:
    assert withheld(outcome(f"{TOKEN}\nnew\n", old=f"{TOKEN}\nold\n"), VOICE) == ()
    assert withheld(outcome("new\n", old=f"{TOKEN}\n"), VOICE) == ()


def test_a_change_without_secrets_is_let_through() -> None:
    assert withheld(outcome("++i;\n@@ -1 +1 @@\n", old="+++ a\n"), VOICE) == ()
    assert withheld(outcome(""), VOICE) == ()
