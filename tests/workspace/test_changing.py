"""The tools that change files, and the account of it."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot.domain import masks
from bot.domain.paths import RefusedPath
from bot.workspace.toolhost import diff
from bot.workspace.toolhost.beneath import MAX_FILE_BYTES, Tree, Trouble
from bot.workspace.toolhost.changing import Editor
from bot.workspace.toolhost.originals import MAX_TOUCHED_FILES, Originals


class Desk:
    """A tree, a directory of originals, and editors on them."""

    def __init__(self, place: Path) -> None:
        self.tree = place / "tree"
        self.originals = place / "originals"
        self.tree.mkdir()
        self.originals.mkdir()
        self._fds = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (self.tree, self.originals)]
        self.editor = self.reopened()

    def reopened(self) -> Editor:
        """An editor as a new process would make it."""
        return Editor(Tree(self._fds[0]), Originals(self._fds[1]))

    def put(self, path: str, content: bytes) -> Path:
        """A file of the repository."""
        file = self.tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def close(self) -> None:
        for fd in self._fds:
            os.close(fd)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk with one Python file on it."""
    desk = Desk(tmp_path)
    desk.put("a.py", b"x = 1\ny = 1\n")
    yield desk
    desk.close()


def test_an_edit_replaces_the_one_place_and_keeps_the_mode(desk: Desk) -> None:
    file = desk.put("run.sh", b"echo one\n")
    file.chmod(0o755)
    assert desk.editor.edit_file("run.sh", "one", "two") == "Edited run.sh at line 1."
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"echo two\n", 0o755)
    assert desk.editor.changes()[0]["is_executable"] is True


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("= 1", "= 2", r"occurs 2 times \(lines 1, 2\)"),
        ("z", "y", "does not occur in the file. Read the file again"),
        ("  x = 1", "y", "first line stands at line 1; compare spaces"),
        ("", "y", "old is empty"),
        ("x", "x", "are the same"),
        ("x", "\0", "NUL"),
        ("x", "\ud800", "surrogate"),
        ("x", "y" * MAX_FILE_BYTES, "at most 1048576"),
    ],
)
def test_an_edit_that_is_not_clear_changes_nothing_and_says_why(
    desk: Desk, old: str, new: str, words: str
) -> None:
    with pytest.raises(Trouble, match=words):
        desk.editor.edit_file("a.py", old, new)
    assert (desk.tree / "a.py").read_bytes() == b"x = 1\ny = 1\n"
    assert desk.editor.changes() == []


def test_overlapping_places_are_more_than_one(desk: Desk) -> None:
    desk.put("b", b"aaa")
    with pytest.raises(Trouble, match="occurs 2 times"):
        desk.editor.edit_file("b", "aa", "b")


def test_crlf_files_stay_crlf_to_the_byte(desk: Desk) -> None:
    file = desk.put("w.txt", b"one\r\ntwo\r\nthree\r\n")
    desk.editor.edit_file("w.txt", "one\ntwo", "eins\nzwei\ndrei")
    assert file.read_bytes() == b"eins\r\nzwei\r\ndrei\r\nthree\r\n"
    desk.editor.edit_file("w.txt", "three\r\n", "3\r\n")
    assert file.read_bytes().endswith(b"drei\r\n3\r\n")


def test_a_file_of_mixed_line_ends_is_taken_as_it_is(desk: Desk) -> None:
    file = desk.put("m.txt", b"one\r\ntwo\nthree\n")
    desk.editor.edit_file("m.txt", "two\nthree", "2\n3")
    assert file.read_bytes() == b"one\r\n2\n3\n"


def test_writing_makes_directories_and_counts_as_new(desk: Desk) -> None:
    assert desk.editor.write_file("new/deep/b.py", "b\n") == "Created new/deep/b.py (2 characters)."
    assert desk.editor.write_file("a.py", "z\n") == "Wrote a.py (2 characters)."
    assert [(c["path"], c["is_new"], c["content"]) for c in desk.editor.changes()] == [
        ("a.py", False, "z\n"),
        ("new/deep/b.py", True, "b\n"),
    ]


def test_deleting_removes_the_file_and_directories_that_it_leaves_empty(desk: Desk) -> None:
    desk.put("d/e/f.py", b"f\n")
    desk.put("d/keep", b"k\n")
    assert desk.editor.delete_file("d/e/f.py") == "Deleted d/e/f.py."
    assert not (desk.tree / "d/e").exists()
    assert (desk.tree / "d/keep").exists()
    change = desk.editor.changes()[0]
    assert (change["content"], change["removed_lines"], change["is_new"]) == (None, 1, False)


def test_a_file_made_equal_again_is_left_out(desk: Desk) -> None:
    desk.editor.edit_file("a.py", "x = 1", "x = 2")
    desk.editor.write_file("new", "n")
    assert len(desk.editor.changes()) == 2
    desk.editor.edit_file("a.py", "x = 2", "x = 1")
    desk.editor.delete_file("new")
    assert desk.editor.changes() == []
    assert desk.editor.git_diff() == "Nothing is changed."


def test_only_what_has_changed_since_the_last_account_is_compared_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []
    make = diff.make

    def counted(path: str, *texts: str | None, **options: Any) -> diff.Patch:
        compared.append(path)
        return make(path, *texts, **options)

    monkeypatch.setattr(diff, "make", counted)
    script = desk.put("run.sh", b"one\n")
    desk.editor.edit_file("a.py", "x = 1", "x = 2")
    desk.editor.edit_file("run.sh", "one", "two")
    assert desk.editor.changes() == desk.editor.changes() == desk.reopened().changes()
    assert compared == ["a.py", "run.sh"] * 2
    desk.editor.edit_file("a.py", "x = 2", "x = 3")
    assert "+x = 3" in desk.editor.changes()[0]["patch"]
    script.chmod(0o755)
    assert [change["is_executable"] for change in desk.editor.changes()] == [False, True]
    assert compared == ["a.py", "run.sh"] * 3


def test_a_file_deleted_and_written_again_keeps_its_mode(desk: Desk) -> None:
    file = desk.put("run.sh", b"one\n")
    file.chmod(0o755)
    desk.editor.delete_file("run.sh")
    desk.editor.write_file("run.sh", "two\n")
    assert file.stat().st_mode & 0o777 == 0o755


def test_git_diff_is_the_whole_change_and_git_takes_it(desk: Desk, tmp_path: Path) -> None:
    desk.put("gone.txt", b"bye")
    before = tmp_path / "before"
    subprocess.run(["cp", "-a", desk.tree, before], check=True)
    desk.editor.edit_file("a.py", "y = 1", "y = 2")
    desk.editor.delete_file("gone.txt")
    desk.editor.write_file("n/new file.txt", "new\n")
    environment = {"PATH": "/usr/bin:/bin", "GIT_CEILING_DIRECTORIES": str(tmp_path)}
    patch = desk.editor.git_diff().encode()
    subprocess.run(["git", "apply", "-"], cwd=before, input=patch, env=environment, check=True)
    subprocess.run(["diff", "-r", before, desk.tree], check=True)


def test_another_process_goes_on_from_the_same_originals(desk: Desk) -> None:
    desk.editor.edit_file("a.py", "x = 1", "x = 2")
    again = desk.reopened()
    again.edit_file("a.py", "x = 2", "x = 3")
    again.write_file("b", "b")
    assert [c["path"] for c in desk.reopened().changes()] == ["a.py", "b"]
    assert "-x = 1\n+x = 3\n" in again.git_diff()


@pytest.mark.parametrize(
    "path", ["link", "linked/x", "hard", "fifo", ".git/config", ".GIT/hooks/x", "../x", "/x"]
)
def test_no_write_and_no_delete_gets_out(desk: Desk, tmp_path: Path, path: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(b"canary")
    (desk.tree / "link").symlink_to(outside / "x")
    (desk.tree / "linked").symlink_to(outside)
    (desk.tree / "hard").hardlink_to(outside / "x")
    os.mkfifo(desk.tree / "fifo")
    for attempt in (
        partial(desk.editor.write_file, path, "owned"),
        partial(desk.editor.edit_file, path, "canary", "owned"),
        partial(desk.editor.delete_file, path),
    ):
        with pytest.raises(RefusedPath):
            attempt()
    assert (outside / "x").read_bytes() == b"canary"
    assert not (tmp_path / "x").exists()


def test_protected_files_can_be_read_about_but_not_changed(desk: Desk) -> None:
    desk.put(".github/workflows/ci.yml", b"on: push\n")
    with pytest.raises(RefusedPath, match="protected"):
        desk.editor.edit_file(".github/workflows/ci.yml", "push", "pull_request_target")
    with pytest.raises(RefusedPath, match="protected"):
        desk.editor.delete_file(".github/workflows/ci.yml")
    with pytest.raises(RefusedPath, match="protected"):
        desk.editor.write_file(".github/workflows/x.yml", "")


@pytest.mark.parametrize("path", ["logo.png", "latin.txt"])
def test_what_is_no_text_is_neither_overwritten_nor_deleted(desk: Desk, path: str) -> None:
    desk.put("logo.png", b"\0")
    desk.put("latin.txt", b"\xe9")
    for attempt in (partial(desk.editor.write_file, path, ""), partial(desk.editor.delete_file, path)):
        with pytest.raises(Trouble, match="the tools handle"):
            attempt()


def test_a_directory_is_no_file(desk: Desk) -> None:
    desk.put("d/x", b"")
    with pytest.raises(Trouble, match="name a file"):
        desk.editor.write_file("d/", "")
    with pytest.raises(Trouble, match="This is a directory"):
        desk.editor.write_file("d", "")
    with pytest.raises(Trouble, match="not a directory"):
        desk.editor.write_file("a.py/x", "")


def test_one_job_touches_a_bounded_number_of_files(desk: Desk) -> None:
    for number in range(MAX_TOUCHED_FILES):
        desk.editor.write_file(f"f{number}", "")
    with pytest.raises(Trouble, match="More than 200 files"):
        desk.editor.write_file("one more", "")
    desk.editor.write_file("f0", "again")


def test_swapping_file_and_link_while_writing_300_times_never_changes_the_outside(
    desk: Desk, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"canary")
    spare = desk.tree / "spare"
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            spare.symlink_to(outside)
            spare.replace(desk.tree / "raced")
            spare.write_bytes(b"honest")
            spare.replace(desk.tree / "raced")

    swapper = threading.Thread(target=swap)
    swapper.start()
    for number in range(300):
        with suppress(RefusedPath):
            desk.editor.write_file("raced", str(number))
    stop.set()
    swapper.join()
    assert outside.read_bytes() == b"canary"


@pytest.mark.parametrize("path", [".env", "app/.env.local", "prod.env"])
@pytest.mark.parametrize("old", ["KEY=a", "KEY=b"])
def test_whether_an_edit_fits_tells_nothing_of_a_hidden_value(desk: Desk, path: str, old: str) -> None:
    desk.put(path, b"KEY=abc\n")
    with pytest.raises(Trouble, match="are hidden, so no part of it can be edited"):
        desk.editor.edit_file(path, old, "KEY=")


TOKEN = "ghp_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC2"
KEY = "-----BEGIN PRIVATE KEY-----\n" + (TOKEN[4:] * 2 + "\n") * 4 + "-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize("guess", ["ghp_", TOKEN[:9], TOKEN[9:20], TOKEN, f"'{TOKEN}'", "ghp", "B3d"])
def test_an_edit_that_fits_into_a_secret_is_answered_as_one_that_fits_nowhere(desk: Desk, guess: str) -> None:
    desk.put("conf.py", f"a = 1\ntoken = '{TOKEN}'\n".encode())
    answers = set()
    for old in (guess, f"token = '{guess}", "wrong_" + guess.swapcase()):
        with pytest.raises(Trouble, match="old does not occur in the file") as caught:
            desk.editor.edit_file("conf.py", old, "x")
        answers.add(str(caught.value))
    assert len(answers) == 1


def test_a_line_of_a_secret_gives_no_hint_and_no_count(desk: Desk) -> None:
    desk.put("key.py", f"k = 1\n{KEY}{TOKEN[4:8]} = 1\n".encode())
    for old in (f"{TOKEN[4:] * 2}\nx", "\0" * 72, "\0" * 27 + "\nx"):
        with pytest.raises(Trouble, match="does not occur") as caught:
            desk.editor.edit_file("key.py", old, "x")
        assert "stands at line" not in str(caught.value)
    assert desk.editor.edit_file("key.py", TOKEN[4:8], "name") == "Edited key.py at line 8."


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("token = '", "token = 'x"),
        ("'  # ours", "example'  # ours"),
        ("'  # ours", "'"),
        ("\nend", "x\nend"),
        ("\n-", "-"),
        ("hooks = ''", "hooks = 'hooks.slack.com/services/" + "a" * 20),
    ],
)
def test_no_edit_makes_a_secret_look_like_none(desk: Desk, old: str, new: str) -> None:
    text = f"hooks = ''\ntoken = '{TOKEN}'  # ours\n-\n{KEY}end\n"
    file = desk.put("conf.py", text.encode())
    with suppress(Trouble):
        desk.editor.edit_file("conf.py", old, new)
    assert all(masks.blot(file.read_text()).count(part) == 0 for part in ("aB3d", "1bC2"))


def test_what_stands_near_a_secret_can_be_edited(desk: Desk) -> None:
    file = desk.put("conf.py", f"a = 1\ntoken = '{TOKEN}'\nb = 2\n{KEY}\nc = 3\n".encode())
    for old, new in (("a = 1\ntoken =", "a = 2\nname ="), ("b = 2", "b = 3"), ("c = 3", "c = 4")):
        desk.editor.edit_file("conf.py", old, new)
    assert file.read_text() == f"a = 2\nname = '{TOKEN}'\nb = 3\n{KEY}\nc = 4\n"
    with pytest.raises(Trouble, match="ends at a secret"):
        desk.editor.edit_file("conf.py", "name = '", "name = ''")


def test_the_context_of_a_change_shows_no_part_of_a_secret_that_began_before_it(desk: Desk) -> None:
    desk.put("key.py", f"{KEY}\nc = 3\n".encode())
    desk.editor.edit_file("key.py", "c = 3", "c = 4")
    shown = desk.editor.git_diff()
    assert TOKEN[4:20] not in shown
    assert shown.endswith("-c = 3\n+c = 4\n")
    assert TOKEN[4:20] in desk.editor.changes()[0]["patch"]


def test_the_template_of_an_environment_can_be_edited(desk: Desk) -> None:
    file = desk.put(".env.example", b"KEY=abc\n")
    desk.editor.edit_file(".env.example", "abc", "def")
    assert file.read_bytes() == b"KEY=def\n"
