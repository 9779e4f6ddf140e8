"""Our patches, judged by git itself."""

import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.workspace.toolhost import diff

_LINE = st.text(alphabet=st.sampled_from("ab \t\r\x0b\x0c\u2028\u0085é+-@\\"), max_size=6)
_TEXT = st.builds(
    lambda lines, end: "\n".join(lines) + end, st.lists(_LINE, max_size=30), st.sampled_from(["", "\n"])
)
_NAMES = [
    "plain.txt",
    "dir/with space.txt",
    'quo"te.txt',
    "back\\slash",
    "tab\there",
    "é/ü.txt",
    "-x",
    " lead",
    "a b/c ",
]
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "GIT_CONFIG_GLOBAL": "/dev/null"}
_STATE = st.one_of(st.none(), _TEXT)


def _patch(path: str, old: str | None, new: str | None, *, is_executable: bool = False) -> str:
    return diff.make(path, old, new, is_executable=is_executable).text


def _apply(patch: str, place: Path) -> None:
    subprocess.run(
        ["git", "apply", "--whitespace=nowarn", "-"],
        cwd=place,
        input=patch.encode(),
        env={
            "PATH": "/usr/bin:/bin",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CEILING_DIRECTORIES": str(place.parent),
        },
        check=True,
        capture_output=True,
    )


def _write(place: Path, path: str, text: str | None) -> None:
    if text is not None:
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(text.encode())


def _read(place: Path, path: str) -> str | None:
    file = place / path
    return file.read_bytes().decode() if file.exists() else None


@settings(max_examples=120, deadline=None)
@given(st.dictionaries(st.sampled_from(_NAMES), st.tuples(_STATE, _STATE), min_size=1))
@example({"a": ("", None), "b": (None, ""), "c": ("x", "x\n"), "d": ("x\n", ""), "e": ("", "x")})
def test_git_turns_the_old_files_into_the_new_ones(states: dict[str, tuple[str | None, str | None]]) -> None:
    changed = {path: (old, new) for path, (old, new) in states.items() if old != new}
    patch = "".join(
        diff.make(path, old, new, is_executable=False).text for path, (old, new) in sorted(changed.items())
    )
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for path, (old, _) in changed.items():
            _write(place, path, old)
        if patch:
            _apply(patch, place)
        assert {path: _read(place, path) for path in changed} == {
            path: new for path, (_, new) in changed.items()
        }


@given(_TEXT, _TEXT)
def test_the_counts_are_those_of_the_patch(old: str, new: str) -> None:
    patch = diff.make("x", old, new, is_executable=False)
    lines = patch.text.split("\n")[3:]
    assert patch.added_lines == sum(line.startswith("+") for line in lines)
    assert patch.removed_lines == sum(line.startswith("-") for line in lines)


def test_a_new_executable_and_a_deleted_file_say_their_mode() -> None:
    assert "new file mode 100755\n--- /dev/null\n+++ b/x\n" in _patch("x", None, "a\n", is_executable=True)
    assert "deleted file mode 100644\n--- a/x\n+++ /dev/null\n" in _patch("x", "a\n", None)


def test_far_changes_fall_into_hunks_of_their_own() -> None:
    old = "".join(f"{n}\n" for n in range(40))
    new = old.replace("2\n", "two\n", 1).replace("38\n", "x\n")
    assert diff.make("x", old, new, is_executable=False).text.count("@@ -") == 2


def test_two_huge_unlike_files_are_compared_quickly() -> None:
    old = "".join(f"{n % 7}\n" for n in range(60_000))
    new = "".join(f"{n % 5}\n" for n in range(60_000))
    patch = diff.make("x", "head\n" + old + "tail\n", "head\n" + new + "tail\n", is_executable=False)
    assert patch.added_lines <= 60_000
    assert patch.text.count("@@ -") == 1


@pytest.mark.parametrize(("old", "new"), [("a", "a"), (None, None), ("", "")])
def test_no_change_has_no_hunk(old: str | None, new: str | None) -> None:
    assert "@@" not in diff.make("x", old, new, is_executable=False).text
