"""search_code on a real directory: what matches, in which order, in which pages; and that both ways agree."""

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.paths import RefusedPath
from bot.workspace.toolhost import corpus as corpus_module
from bot.workspace.toolhost.beneath import Tree, Trouble
from bot.workspace.toolhost.corpus import Corpus
from bot.workspace.toolhost.finding import Finder
from bot.workspace.toolhost.patterns import FOLDING_INTO_ASCII, compiled
from bot.workspace.toolhost.reply import MAX_REPLY_CHARS
from bot.workspace.toolhost.search import hits, plain_hits

FILES = {
    ".github/ci.yml": b"on: main\n",
    ".gitignore": b"*.log\n",
    ".ripgreprc": b"--pre=sh\n",
    "README.md": b"# Hello\nhello world\n",
    "a-b/x.py": b"main = 1\n",
    "a.log": b"main ignored\n",
    "a/x.py": b"import os\r\n\r\ndef main():\r\n    return os.name\r\n",
    "crlf.txt": b"one\r\ntwo\r\n",
    "latin": "é main".encode("latin-1"),
    "logo.png": b"\x89PNG\0main",
    ".git/config": b"main\n",
    "sub/.GIT/x": b"main\n",
}
SECRET = "ghp_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC2"


def write(root: Path, files: dict[str, bytes]) -> None:
    """Make *files* below *root*."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


@pytest.fixture
def finder(tmp_path: Path) -> Iterator[Finder]:
    """A small tree to search."""
    write(tmp_path, FILES)
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "dirlink").symlink_to("a")
    os.link(tmp_path / "README.md", tmp_path / "hard")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "hard").unlink()
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    tree = Tree(fd)
    yield Finder(tree, Corpus(tree))
    os.close(fd)


def test_hidden_and_ignored_files_are_searched_and_git_binaries_and_links_are_not(finder: Finder) -> None:
    assert finder.search_code("main").split("\n") == [
        ".github/ci.yml:1: on: main",
        "a/x.py:3: def main():",
        "a-b/x.py:1: main = 1",
        "a.log:1: main ignored",
        "latin:1: \ufffd main",
    ]
    assert finder.search_code("root:") == "No line matches."


def test_search_is_literal_unless_told_and_minds_case_unless_told(finder: Finder) -> None:
    assert finder.search_code("main()") == "a/x.py:3: def main():"
    assert finder.search_code(r"main\(\)", regex=True) == "a/x.py:3: def main():"
    assert finder.search_code("HELLO") == "No line matches."
    found = finder.search_code("HELLO", ignore_case=True)
    assert found == "README.md:1: # Hello\nREADME.md:2: hello world"
    assert finder.search_code("two$", regex=True) == "crlf.txt:2: two"
    assert (
        finder.search_code("^on|^two$", regex=True)
        == ".github/ci.yml:1: on: main\ncrlf.txt:1: one\ncrlf.txt:2: two"
    )


@pytest.mark.parametrize("flag", ["--pre=sh", "-e", "--config=.ripgreprc", "-f/etc/passwd"])
def test_what_looks_like_a_flag_is_text(finder: Finder, flag: str) -> None:
    shown = finder.search_code(flag)
    assert shown in {".ripgreprc:1: --pre=sh", "No line matches."}
    assert finder.search_code("x", glob=flag) == "No line matches."
    with pytest.raises(Trouble, match="nothing at"):
        finder.search_code("x", path=flag)


def test_search_looks_below_a_path_into_one_file_or_at_a_glob(finder: Finder) -> None:
    assert finder.search_code("main", path="a") == "a/x.py:3: def main():"
    assert finder.search_code("hello", path="README.md") == "README.md:2: hello world"
    assert finder.search_code("main", glob="*.py") == "a/x.py:3: def main():\na-b/x.py:1: main = 1"
    assert finder.search_code("main", glob="a/**") == "a/x.py:3: def main():"


@pytest.mark.parametrize("path", ["absent", "a/absent", "logo.png/x"])
def test_a_path_that_is_not_there_is_an_error(finder: Finder, path: str) -> None:
    with pytest.raises(Trouble, match=r"nothing at|not a directory"):
        finder.search_code("x", path=path)


@pytest.mark.parametrize("path", ["link", "dirlink", "fifo", ".git", "sub/.GIT/x", "/etc", "../x"])
def test_the_way_out_is_refused(finder: Finder, path: str) -> None:
    with pytest.raises(RefusedPath):
        finder.search_code("x", path=path)


def test_hits_come_in_pages_that_together_are_whole(finder: Finder, tmp_path: Path) -> None:
    write(tmp_path, {"many": b"".join(b"needle %d\n" % n for n in range(250))})
    pages = [finder.search_code("needle", skip=skip).split("\n") for skip in (0, 100, 200)]
    assert pages[0][-1] == "[hits 1-100; there are more: go on with skip=100]"
    hit_lines = [line for page in pages for line in page if not line.startswith("[")]
    assert hit_lines == [f"many:{n + 1}: needle {n}" for n in range(250)]
    assert finder.search_code("needle", skip=999) == "Only 250 lines match; nothing is left after skip=999."


def test_a_page_is_bounded_in_characters_and_a_long_line_shows_its_match(
    finder: Finder, tmp_path: Path
) -> None:
    write(tmp_path, {"min.js": (b"x" * 5_000 + b"needle" + b"y" * 5_000 + b"\n") * 90})
    found = finder.search_code("needle", limit=500)
    assert len(found) < MAX_REPLY_CHARS + 2_000
    assert "needle" in found.split("\n")[0]
    assert "[… 4900 characters …]xxx" in found
    assert re.search(r"go on with skip=\d+\]$", found)


def test_context_shows_the_neighbours_once_and_says_where_lines_are_left_out(
    finder: Finder, tmp_path: Path
) -> None:
    write(tmp_path, {"c": b"1\n2\nhit 3\n4\nhit 5\n6\n7\n8\nhit 9\n"})
    assert finder.search_code("hit", context=1, path="c").split("\n") == [
        *("--", "c-2- 2", "c:3: hit 3", "c-4- 4", "c:5: hit 5", "c-6- 6"),
        *("--", "c-8- 8", "c:9: hit 9"),
    ]


def test_a_file_that_is_too_large_is_named_and_not_searched(finder: Finder, tmp_path: Path) -> None:
    write(tmp_path, {"huge": b"needle\n" * 200_000})
    assert finder.search_code("needle") == "No line matches.\n[not searched, above 1048576 bytes: huge]"


def test_what_changed_since_the_last_search_is_found_as_it_is_now(finder: Finder, tmp_path: Path) -> None:
    write(tmp_path, {"n/one": b"needle\n"})
    assert finder.search_code("needle") == "n/one:1: needle"
    write(tmp_path, {"n/one": b"eldeen\n", "n/two": b"needle\n"})
    assert finder.search_code("needle") == "n/two:1: needle"
    (tmp_path / "n").rename(tmp_path / "m")
    assert finder.search_code("needle") == "m/two:1: needle"
    (tmp_path / "m/two").unlink()
    assert finder.search_code("needle") == "No line matches."


def test_a_file_swapped_for_a_link_after_it_was_listed_is_not_read(finder: Finder, tmp_path: Path) -> None:
    outside = tmp_path.parent / "outside"
    outside.mkdir()
    (outside / "x.py").write_text("needle\n")
    corpus = finder._corpus
    corpus.refresh()
    (tmp_path / "a").rename(tmp_path.parent / "gone")
    (tmp_path / "a").symlink_to(outside)
    (tmp_path / "a.log").unlink()
    (tmp_path / "a.log").symlink_to(outside / "x.py")
    assert list(hits(corpus, (), compiled("needle", is_regex=False, ignores_case=False), bool)) == []


def test_more_text_than_may_be_held_is_searched_all_the_same(finder: Finder, tmp_path: Path) -> None:
    write(tmp_path, {f"big/{n}": b"x" * 90_000 + b"\nneedle\n" for n in range(20)})
    finder._corpus._max_held_bytes = 600_000
    for _ in range(2):
        assert finder.search_code("needle").count("\n") == 19
    assert sum(len(block.data) for block in finder._corpus._held.values()) <= 600_000


def test_a_tree_without_end_is_an_error_in_words(finder: Finder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_module, "MAX_FILES", 3)
    with pytest.raises(Trouble, match="too many files"):
        finder.search_code("x")


@pytest.mark.parametrize(
    ("pattern", "words"), [("", "empty"), ("(", "not well formed"), ("a\nb", "line feed")]
)
def test_a_pattern_that_cannot_be_searched_is_an_error(finder: Finder, pattern: str, words: str) -> None:
    with pytest.raises(Trouble, match=words):
        finder.search_code(pattern, regex=True)


def test_a_secret_is_masked_and_no_pattern_can_spell_it_out(finder: Finder, tmp_path: Path) -> None:
    write(tmp_path, {"conf": f"token = {SECRET} # ours\n".encode(), ".env": b"export KEY=hunter22\n"})
    assert finder.search_code("token =") == "conf:1: token = [secret: GitHub token] # ours"
    assert finder.search_code("KEY") == ".env:1: export KEY=[secret: value]"
    oracles = [
        r"ghp_",
        r"ghp_a",
        r"\bghp",
        r"zqz|ghp_aB",
        r"\w{30}",
        r"=h",
        "hunter",
        r"\w\w\w_aB3",
        r"k$|=$|^\W",
    ]
    oracles += [r"(?=.*ghp_)zqz|aB3d", r"\[secret: (?:zqz|GitHub)", "\0"]
    for pattern in oracles:
        for ignore_case in (False, True):
            found = finder.search_code(pattern, regex=True, ignore_case=ignore_case, glob="conf")
            assert "ghp" not in found
            other = SECRET[::-1].replace("_phg", "X")
            write(tmp_path, {"conf": f"token = ghp_{other} # ours\n".encode()})
            assert finder.search_code(pattern, regex=True, ignore_case=ignore_case, glob="conf") == found
            write(tmp_path, {"conf": f"token = {SECRET} # ours\n".encode()})
    assert "hunter" not in finder.search_code("hunter|KEY|22", regex=True)


def test_the_characters_that_fold_into_ascii_are_all_known() -> None:
    letters = re.compile("[a-z]", re.IGNORECASE)
    found = {chr(c) for c in range(128, 0x110000) if not 0xD800 <= c < 0xE000 and letters.match(chr(c))}
    assert found == set(FOLDING_INTO_ASCII)


def test_letters_beyond_ascii_that_fold_into_it_are_found(finder: Finder, tmp_path: Path) -> None:
    write(tmp_path, {"fold": "\u212ai\u017fs\nK\u0130SS\nk\u0131ss\nkiss\nmiss\n".encode()})
    found = finder.search_code("kiss", ignore_case=True).split("\n")
    assert [line.split(":")[1] for line in found] == ["1", "2", "3", "4"]


def test_a_change_within_the_grain_of_the_clock_is_seen(
    finder: Finder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_module, "_stamp", lambda status: (status.st_ino, status.st_size, 0, 0))
    write(tmp_path, {"now": b"needle\n"})
    assert finder.search_code("needle") == "now:1: needle"
    write(tmp_path, {"now": b"eldeen\n"})
    assert finder.search_code("needle") == "No line matches."


PIECES = [
    "a",
    "b",
    "foo",
    "FOO",
    "bar",
    " ",
    "\t",
    ".",
    "(",
    "_",
    "0",
    "é",
    "ß",
    "İ",
    "K",
    "ſ",
    "\r",
    "\r\n",
    "\n",
    "\n\n",
]
PATTERNS = [
    *(
        "foo",
        "a",
        "oo b",
        "é",
        "K",
        "s",
        ".",
        "foo|bar",
        r"fo+\s*b",
        r"^foo$",
        r"\bfoo\b",
        r"(?i:foo)bar",
        r"\w+\d",
    ),
    *(
        r"[^a]b",
        r"\s",
        r"\S+$",
        r"^\s*$",
        r"^$",
        r"(foo|ba)r?",
        r"(?<=a)b",
        r"(?<!a)b",
        r"(?!foo)b",
        r"(a)\1",
    ),
    *(
        *(r"\A.", r".\Z", r"\A\w", r"\A$"),
        r"\Afoo",
        r"foo\Z",
        r"(?:foo){2}",
        r"(?:foo)?bar",
        r"fo*",
        r"b*",
        r"[fF]oo|é",
        r"a.b",
        r"\r",
        r"\W",
        r"[\n]",
    ),
    *(
        r"(?>fo+)o",
        r"fo++b",
        r"(?x) foo # c",
        r"(?s)a.b",
        r"(?a)\bé",
        r"(?P<n>foo)(?P=n)",
        r"\x66oo",
        r"k|s|i",
    ),
    *(r"foo{0}bar", r"(?:foo|)bar", r"f[o]o", r"ß|ss", r"(?:(?:foo)+bar|0)", r"\D\d", r"[^\W]b", "\ufffd"),
]
TEXT = st.lists(st.sampled_from([*(piece.encode() for piece in PIECES), b"\xff", b"\xc3"]), max_size=25).map(
    b"".join
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["a", "b/c", "b/d", "b.e", "f"]), TEXT, min_size=1),
    st.sampled_from(PATTERNS)
    | st.lists(st.sampled_from(["foo", "b", ".", r"\s", "+", "?", "|", "é", "^", "$"])).map("".join),
    st.booleans(),
    st.booleans(),
)
def test_the_quick_way_and_the_plain_way_find_the_same_lines(
    files: dict[str, bytes], pattern: str, is_regex: bool, ignores_case: bool
) -> None:
    _agree(files, pattern, is_regex=is_regex, ignores_case=ignores_case)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_both_ways_agree_on_every_pattern(pattern: str) -> None:
    lines = [
        "foo",
        "",
        "a b",
        "foo bar",
        "xfoo1",
        "FOObar",
        "foofoo",
        "\u00e9 foo\r",
        "a_b\t",
        " ",
        "0",
        "bfooo",
        "ss aa",
    ]
    files = {"a": "\n".join(lines).encode(), "b": "\n\n".join(lines[::-1]).encode() + b"\n", "c": b"\n"}
    for is_regex in (True, False):
        for ignores_case in (True, False):
            _agree(files, pattern, is_regex=is_regex, ignores_case=ignores_case)


def _agree(files: dict[str, bytes], pattern: str, *, is_regex: bool, ignores_case: bool) -> None:
    with tempfile.TemporaryDirectory() as place:
        write(Path(place), files)
        fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            sought = compiled(pattern, is_regex=is_regex, ignores_case=ignores_case)
        except Trouble:
            return
        finally:
            corpus = Corpus(Tree(fd))
            corpus.refresh()
            blocks = list(corpus.blocks(()))
            os.close(fd)
        corpus.blocks = lambda parts: iter(blocks if not parts else ())  # type: ignore[method-assign]
        expected = list(_expected(files, _tester(pattern, is_regex=is_regex, ignores_case=ignores_case)))
        for way in (hits, plain_hits):
            found = [
                (hit.member.path, hit.number, hit.line) for hit in way(corpus, (), sought, lambda _: True)
            ]
            assert found == expected


def _tester(pattern: str, *, is_regex: bool, ignores_case: bool) -> Callable[[str], object]:
    source = pattern if is_regex else re.escape(pattern)
    return re.compile(source, re.IGNORECASE if ignores_case else 0).search


def _expected(files: dict[str, bytes], matches: Callable[[str], object]) -> Iterator[tuple[str, int, str]]:
    """What grep would say, in the plainest words."""
    for path in sorted(files, key=lambda path: path.split("/")):
        lines = files[path].split(b"\n")
        for number, raw in enumerate(lines if lines[-1] else lines[:-1], start=1):
            line = raw.decode("utf-8", "replace").removesuffix("\r")
            if matches(line):
                yield path, number, line
