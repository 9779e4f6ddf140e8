"""The last look at a change, rule by rule: what is told, where, and what is left in peace."""

import pytest

from bot.domain.values import FileChange
from bot.runner.last_look import MAX_FINDINGS, is_hollow, look
from bot.workspace.toolhost import diff


def change(path: str, old: str | None, new: str | None) -> FileChange:
    """What the tool host says of a file that became *new*."""
    patch = diff.make(path, old, new, is_executable=False)
    return FileChange(path, new, old is None, False, patch.text, patch.added_lines, patch.removed_lines)


def told(path: str, old: str | None, new: str | None) -> list[str]:
    """The findings in one file, as the agent reads them."""
    return [f"{where}: {what}" for where, what in look([change(path, old, new)])]


BODY = "".join(f"line{number} = {number}\n" for number in range(1, 9))


@pytest.mark.parametrize(
    ("path", "line", "words"),
    [
        ("app.py", "    breakpoint()", "looks like a trace of debugging"),
        ("app.py", "import pdb; pdb.set_trace()", "looks like a trace of debugging"),
        ("app.py", "    print('DEBUG', x)", "looks like a trace of debugging"),
        ("app.ts", "  debugger;", "looks like a trace of debugging"),
        ("lib.rs", "    dbg!(x);", "looks like a trace of debugging"),
        ("app.rb", "  binding.pry", "looks like a trace of debugging"),
        ("app.py", "    print(x)", "prints, which nothing else in this file does"),
        ("app.js", "  console.log(x)", "prints, which nothing else in this file does"),
        ("app.py", "# TODO: later", "puts work off"),
        ("notes.txt", "<<<<<<< HEAD", "holds a conflict marker"),
        ("a.txt", "=======", "holds a conflict marker"),
        ("data.json", "x" * 2001, "is a line of 2001 characters"),
    ],
)
def test_a_line_that_is_ashamed_of_itself_is_told_with_its_place(path: str, line: str, words: str) -> None:
    assert told(path, BODY, BODY.replace("line3 = 3\n", f"line3 = 3\n{line}\n")) == [f"{path}:4: {words}"]


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("app.py", "print(1)\nx = 1\n", "print(1)\nx = 1\nprint(x)\n"),
        ("cli/show.py", "x = 1\n", "x = 1\nprint(x)\n"),
        ("main.go", "a\n", "a\nfmt.Println(x)\n"),
        ("tests/test_a.py", "x = 1\n", "x = 1\nprint(x)\n"),
        ("new.py", None, "print(1)\n"),
        ("app.py", "def f():\n    breakpoint()\n", "def f():\n    if x:\n        breakpoint()\n"),
        ("README.md", "a\n", "a\nTitle\n===\nprint('debug')\n"),
        (
            "app.py",
            "a = 1\n",
            "a = 1\n# The total is kept: callers add to it\n# and never take away.\n# See above.\n",
        ),
        ("app.py", "if a:\n    b()\n", "if a:\n    if c:\n        b()\n"),
        ("app.py", "a\n", "a\nmethod = 'xxx-todo-list'\n"),
    ],
)
def test_what_is_usual_is_left_in_peace(path: str, old: str | None, new: str) -> None:
    assert told(path, old, new) == []


@pytest.mark.parametrize(
    "path",
    ["scratch.py", "tmp/debug_it.py", "src/temp.js", "repro.py", "a.py.orig", "b.rej", "out.log", "x.py~"],
)
def test_a_file_that_was_made_for_oneself_is_told(path: str) -> None:
    assert told(path, None, "x\n") == [f"{path}: looks like a file that you made for yourself"]
    assert not [words for words in told(path, "x\n", "y\n") if "for yourself" in words]


def test_code_that_is_commented_out_is_told_once_for_its_block() -> None:
    block = "# x = load(1)\n# y = x.go()\n# return y\n"
    assert told("app.py", "a = 1\n", "a = 1\n" + block) == ["app.py:2: adds 3 lines of commented-out code"]
    assert told("doc.md", "a\n", "a\n" + block) == []


def test_a_protected_file_a_huge_one_and_a_change_too_large_are_told() -> None:
    assert "is protected" in told(".github/workflows/ci.yml", "a\n", "b\n")[0]
    assert told("big.txt", None, "x\n" * 51_000)[1] == "big.txt: is a new file of 102000 characters"
    assert told("long.txt", None, "x\n" * 401)[0].startswith(
        "the whole change: touches 1 files and 401 lines;"
    )
    many = look([change(f"f{number}.txt", None, "x\n") for number in range(16)])
    assert many[0][1].startswith("touches 16 files")


def test_white_space_alone_is_told_and_indentation_that_means_something_is_not() -> None:
    words = "changes white space only; leave alone what need not change"
    assert told("a.js", "if (a) {\nb()\n}\n", "if (a) {\n  b()\n}\n") == [f"a.js:2: {words}"]
    assert told("a.py", "a = 1 \n", "a = 1\n") == [f"a.py:1: {words}"]
    assert told("a.py", "a = 1\n", "    a = 1\n") == []


def test_findings_are_bounded() -> None:
    assert len(told("app.py", "", "# TODO\n" * 100)) == MAX_FINDINGS


OLD = "def test_one():\n    assert f(1) == 1\n    assert f(2) == 2\n\n\ndef test_two():\n    assert g()\n"


@pytest.mark.parametrize(
    ("path", "old", "new", "words"),
    [
        ("tests/test_a.py", OLD, None, "tests/test_a.py: deletes this file of tests"),
        (
            "tests/test_a.py",
            OLD,
            OLD[: OLD.index("\n\n\n")] + "\n",
            "tests/test_a.py:4: takes the test 'test_two' away",
        ),
        (
            "tests/test_a.py",
            OLD,
            "@pytest.mark.skip\n" + OLD,
            "tests/test_a.py:1: skips a test, or all others",
        ),
        (
            "tests/test_a.py",
            OLD,
            OLD.replace("    assert f(2) == 2\n", ""),
            "tests/test_a.py:3: leaves 1 assertions fewer than there were",
        ),
        (
            "a_test.go",
            "func TestOne(t *testing.T) {\n}\n",
            "\n",
            "a_test.go:1: takes the test 'TestOne' away",
        ),
        (
            "a.test.ts",
            "it('adds', () => {})\n",
            "it.skip('adds', () => {})\n",
            "a.test.ts:1: skips a test, or all others",
        ),
    ],
)
def test_tests_that_are_taken_away_skipped_or_weakened_are_told(
    path: str, old: str, new: str | None, words: str
) -> None:
    assert words in told(path, old, new)


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("tests/test_a.py", OLD, OLD + "\n\ndef test_three():\n    assert h()\n"),
        ("tests/test_a.py", OLD, OLD.replace("f(1) == 1", "f(1) == 2")),
        ("app.py", "def test_me():\n    pass\n", "x = 1\n"),
    ],
)
def test_tests_that_grow_or_expect_something_else_are_not_called_weaker(
    path: str, old: str | None, new: str
) -> None:
    assert told(path, old, new) == []


def test_a_test_that_moves_to_another_file_is_not_taken_away() -> None:
    moved = [change("tests/test_a.py", OLD, None), change("tests/test_b.py", None, OLD)]
    assert look(moved) == []


def test_a_change_of_comments_alone_is_hollow() -> None:
    assert is_hollow([change("a.py", "x = 1\n", "# why\nx = 1\n\n")])
    assert is_hollow([change("a.py", "x = 1\n", "x = 1  # why\n")])
    assert is_hollow([change("a.js", "f(1)\n", "  f( 1 ) // why\n")])
    assert not is_hollow([change("a.py", "x = 'a'\n", "x = 'a #b'\n")])
    assert not is_hollow([change("a.py", "x = 9 // 2\n", "x = 9 // 3\n")])
    assert not is_hollow([change("a.py", "x = 1\n", "# why\nx = 2\n")])
    assert not is_hollow([change("README.md", "x\n", "# x\n")])
    assert not is_hollow([change("a.py", None, "# x\n")])
    assert not is_hollow([change("a.py", "if a:\n    b\n", "if a:\n    pass\nb\n")])
    assert not is_hollow([])
