"""The tools that look, on a real directory."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.domain.paths import RefusedPath
from bot.workspace.toolhost.beneath import Tree, Trouble
from bot.workspace.toolhost.globs import glob_pattern
from bot.workspace.toolhost.reading import Looker
from bot.workspace.toolhost.reply import MAX_REPLY_CHARS, clip
from bot.workspace.toolhost.walk import _entry, entries


@pytest.fixture
def looker(tmp_path: Path) -> Iterator[Looker]:
    """A small repository to look at."""
    files = {
        "README.md": "# Hello\nhello world\n",
        "src/app.py": "import os\n\ndef main():\n    return os.name\n",
        "src/deep/er/mod.py": "VALUE = 1  # main\n",
        "src/crlf.txt": "one\r\ntwo\r\n",
        "empty": "",
        ".git/config": "[secret]\n",
        "sub/.GIT/x": "secret\n",
        "a[b].txt": "x\n",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(text.encode())
    (tmp_path / "logo.png").write_bytes(b"\x89PNG\0secret")
    (tmp_path / "latin").write_bytes("é main".encode("latin-1"))
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "dirlink").symlink_to("/etc")
    os.mkfifo(tmp_path / "fifo")
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield Looker(Tree(fd))
    os.close(fd)


def test_read_file_numbers_the_lines(looker: Looker) -> None:
    assert looker.read_file("README.md") == "README.md, lines 1-2 of 2\n     1\t# Hello\n     2\thello world"


def test_read_file_goes_on_where_it_is_told(looker: Looker) -> None:
    part = looker.read_file("src/app.py", offset_line=2, limit_lines=2)
    assert part == "src/app.py, lines 2-3 of 4 (go on with offset_line=4)\n     2\t\n     3\tdef main():"


def test_read_file_says_when_lines_end_with_crlf(looker: Looker) -> None:
    assert looker.read_file("src/crlf.txt").startswith("src/crlf.txt, lines 1-2 of 2, lines end with CRLF\n")


def test_a_long_file_comes_in_pages_that_together_are_whole(looker: Looker, tmp_path: Path) -> None:
    lines = [f"line {n} " + "x" * 90 for n in range(1000)]
    (tmp_path / "long").write_text("\n".join(lines))
    seen: list[str] = []
    while len(seen) < 1000:
        page = looker.read_file("long", offset_line=len(seen) + 1)
        assert len(page) < MAX_REPLY_CHARS + 200
        seen += [line.split("\t", 1)[1] for line in page.split("\n")[1:]]
    assert seen == lines


def test_one_endless_line_is_cut_in_the_middle_and_says_so(looker: Looker, tmp_path: Path) -> None:
    (tmp_path / "min.js").write_text("x" * 100_000)
    assert "[… 70000 characters left out …]" in looker.read_file("min.js")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("logo.png", "binary"),
        ("latin", "not UTF-8"),
        ("absent", "nothing at"),
        ("src", "list_directory"),
    ],
)
def test_what_is_no_text_is_an_error_in_words(looker: Looker, path: str, words: str) -> None:
    with pytest.raises(Trouble, match=words):
        looker.read_file(path)


@pytest.mark.parametrize("numbers", [{"offset_line": 0}, {"limit_lines": 0}, {"offset_line": 9}])
def test_lines_that_do_not_exist_are_an_error(looker: Looker, numbers: dict[str, int]) -> None:
    with pytest.raises(Trouble, match=r"at least 1|no line 9"):
        looker.read_file("README.md", **numbers)


def test_an_empty_file_is_called_empty(looker: Looker) -> None:
    assert looker.read_file("empty") == "empty is empty."


@pytest.mark.parametrize("path", ["link", "dirlink/passwd", "fifo", ".git/config", "sub/.GIT/x", "/x"])
def test_the_way_out_is_refused(looker: Looker, path: str) -> None:
    with pytest.raises(RefusedPath):
        looker.read_file(path)


def test_a_directory_lists_links_and_special_files_without_touching_them(looker: Looker) -> None:
    listed = looker.list_directory().split("\n")
    assert "link -> /etc/passwd (link, not followed)" in listed
    assert "dirlink -> /etc (link, not followed)" in listed
    assert "fifo (special file)" in listed
    assert "src/" in listed
    assert not any(line.startswith(".git") for line in listed)
    assert "src/app.py" not in listed


def test_a_directory_is_listed_as_deep_as_asked(looker: Looker) -> None:
    assert "src/deep/" in looker.list_directory("src", depth=1)
    assert "src/deep/er/" not in looker.list_directory("src", depth=1)
    assert "src/deep/er/mod.py" in looker.list_directory("src", depth=3)


def test_an_empty_directory_says_so(looker: Looker, tmp_path: Path) -> None:
    (tmp_path / "void").mkdir()
    assert looker.list_directory("void") == "The directory is empty."


def test_many_entries_are_counted_out(looker: Looker, tmp_path: Path) -> None:
    for number in range(1001):
        (tmp_path / "src" / f"{number:04}").touch()
    first = looker.list_directory("src")
    assert first.endswith("\n[1-1000; there are more: go on with skip=1000]")
    rest = looker.list_directory("src", skip=1000).split("\n")
    assert len(first.split("\n")[:-1] + rest) == 1004
    assert looker.list_directory("src", skip=2000) == "There are only 1004; nothing is left after skip=2000."


def test_found_files_come_in_pages_too(looker: Looker, tmp_path: Path) -> None:
    for number in range(501):
        (tmp_path / "src" / f"{number:04}.x").touch()
    assert looker.search_files("*.x").endswith("\n[1-500; there are more: go on with skip=500]")
    assert looker.search_files("*.x", skip=500) == "src/0500.x"
    with pytest.raises(Trouble, match="skip must be at least 0"):
        looker.search_files("*.x", skip=-1)


def test_a_tree_without_end_is_an_error_in_words(looker: Looker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.workspace.toolhost.walk.MAX_VISITED_ENTRIES", 3)
    with pytest.raises(Trouble, match="too many files"):
        looker.search_files("*")


def test_what_vanishes_during_a_walk_is_left_out(looker: Looker, tmp_path: Path) -> None:
    walk = entries(looker._tree, ())
    first = next(walk)
    for name in ("src", "sub"):
        (tmp_path / name).rename(tmp_path.parent / name)
    rest = ["/".join(entry.parts) for entry in walk]
    assert first.label == "README.md"
    assert "src" in rest
    assert not any(path.startswith("src/") for path in rest)
    with looker._tree.directory(()) as root_fd:
        assert _entry(root_fd, (), "gone") is None


def test_names_that_are_no_text_are_shown_with_a_replacement(looker: Looker, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"bad\xff")).touch()
    looker.list_directory().encode("utf-8")


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("*.py", "src/app.py\nsrc/deep/er/mod.py"),
        ("src/*.py", "src/app.py"),
        ("src/**/*.py", "src/app.py\nsrc/deep/er/mod.py"),
        ("**/mod.py", "src/deep/er/mod.py"),
        ("src/**", "src/app.py\nsrc/crlf.txt\nsrc/deep/er/mod.py"),
        ("./README.md", "README.md"),
        ("READM?.md", "README.md"),
        ("[A-R]*.md", "README.md"),
        ("[!A-R]*.md", "No file matches."),
        ("a[[]b].txt", "a[b].txt"),
        ("--pre=sh", "No file matches."),
        ("config", "No file matches."),
    ],
)
def test_globs_find_what_people_expect(looker: Looker, glob: str, found: str) -> None:
    assert looker.search_files(glob) == found


def test_a_broken_glob_is_an_error() -> None:
    with pytest.raises(Trouble, match="not well formed"):
        glob_pattern("[z-a]")


def test_clip_keeps_head_and_tail() -> None:
    assert clip("a" * 10, 10) == "a" * 10
    assert clip("a" * 10 + "b" * 10, 10) == "aaaaa\n[… 10 characters left out …]\nbbbbb"
