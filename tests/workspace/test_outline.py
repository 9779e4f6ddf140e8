"""Outlines and the map of the repository, on real directories."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.workspace.toolhost import corpus as corpus_module
from bot.workspace.toolhost.beneath import Tree, Trouble
from bot.workspace.toolhost.corpus import Corpus
from bot.workspace.toolhost.outline import MAX_DEFINITIONS, Outliner, definition_lines
from bot.workspace.toolhost.survey import survey

SECRET = "ghp_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC2"
PYTHON = '''"""def no(): ..."""
@wrapped
class Shop(Base):
    async def buy(self, count: int) -> None:
        def inner(): ...
if True:
    def late(): ...
else:
    try:
        class Other: ...
    finally:
        pass
'''


def write(root: Path, files: dict[str, str]) -> None:
    """Make *files* below *root*."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    """An empty tree."""
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield Tree(fd)
    os.close(fd)


@pytest.fixture
def outliner(tree: Tree) -> Outliner:
    """Outlines of the tree."""
    return Outliner(tree, Corpus(tree))


def test_python_is_outlined_by_its_syntax(outliner: Outliner, tmp_path: Path) -> None:
    write(tmp_path, {"shop.py": PYTHON})
    assert outliner.outline("shop.py").split("\n") == [
        "     3\tclass Shop(Base):",
        "     4\t    async def buy(self, count: int) -> None:",
        "     5\t        def inner(): ...",
        "     7\t    def late(): ...",
        "    10\t        class Other: ...",
    ]


@pytest.mark.parametrize(
    ("name", "text", "numbers"),
    [
        ("broken.py", "def a(:\n  class B\n", [1, 2]),
        (
            "a.ts",
            "export default class A {\n  private async get(x: number): Promise<T> {\n    if (x) {\n",
            [1, 2],
        ),
        (
            "a.js",
            "export const f = async (a, b) => 1\nconst g = x => x\nlet n = 7\nfunction* h() {\n",
            [1, 2, 4],
        ),
        ("a.go", "package a\nfunc (s *Shop) Buy(n int) error {\ntype Shop struct {\n", [2, 3]),
        ("a.rs", "pub(crate) async fn buy() {}\nimpl<T> Shop for T {\nlet fnord = 1;\n", [1, 2]),
        (
            "A.java",
            "public final class A {\n  public static List<String> of(int n) {\n    return of(1);\n",
            [1, 2],
        ),
        ("a.kt", "data class A(val x: Int)\nsuspend fun <T> buy(x: T) = 1\n", [1, 2]),
        ("a.cs", "namespace A.B {\n  public sealed record C(int X);\n", [1, 2]),
        (
            "a.c",
            "static int *buy(struct shop *s)\n{\n  buy(s);\n  return buy(s);\n#define MAX(a) a\n",
            [1, 5],
        ),
        ("a.hpp", "class Shop : public Base {\nint Shop::buy(int n) const {\n", [1, 2]),
        ("a.rb", "module A\n  class B < C\n    def self.buy!\n", [1, 2, 3]),
        ("a.php", "abstract class A\n  public function buy()\n", [1, 2]),
        ("a.sh", "buy() {\nfunction sell {\n  buy now\n", [1, 2]),
        ("a.ex", "defmodule A do\n  defp buy(x) do\n", [1, 2]),
        ("a.lua", "local function buy()\n", [1]),
        ("a.sql", "create or replace view shops as\nselect 1\n", [1]),
        ("a.proto", "message Shop {\n  rpc Buy(A) returns (B);\n", [1, 2]),
        ("a.tf", 'resource "aws_x" "y" {\n  a = 1\n', [1]),
        ("README.md", "# Shop\ntext\n## Buy\n", [1, 3]),
        ("a.toml", "[tool.x]\na = [1]\n[[y]]\n", [1, 3]),
        ("a.unknown", "class A\n", []),
        ("Makefile", "all:\n", []),
    ],
)
def test_other_languages_are_outlined_by_their_lines(name: str, text: str, numbers: list[int]) -> None:
    assert definition_lines(name, text) == numbers


@pytest.mark.parametrize(
    "text",
    ["(" * 100_000, "-" * 100_000 + "1", "a" + "()" * 50_000, "f'{" * 9_000, "\0", "not " * 70_000 + "1"],
)
def test_hostile_python_is_outlined_by_its_lines(text: str) -> None:
    assert definition_lines("x.py", "def a(): ...\n" + text) == [1]


def test_a_directory_shows_what_stands_outermost_in_pages(outliner: Outliner, tmp_path: Path) -> None:
    write(tmp_path, {"a/x.py": PYTHON, "a/data.bin": "class A", "b/y.md": f"# token {SECRET}\n"})
    shown = ["a/x.py:", "     3\tclass Shop(Base):", "b/y.md:", "     1\t# token [secret: GitHub token]"]
    assert outliner.outline().split("\n") == shown
    assert outliner.outline("b").split("\n") == shown[2:]
    assert outliner.outline("b/y.md") == shown[3]
    assert outliner.outline(skip=2).split("\n") == shown[2:]
    write(tmp_path, {"c.py": "def a(): ...\n" * (MAX_DEFINITIONS + 1)})
    assert outliner.outline("c.py").endswith(f"go on with skip={MAX_DEFINITIONS}]")
    assert outliner.outline("a/data.bin") == "No definition is known here."
    with pytest.raises(Trouble, match="nothing at"):
        outliner.outline("absent")


def shop(tmp_path: Path) -> None:
    """A repository whose files use each other."""
    users = {f"app/user{n}.py": "from shop import ShoppingCart\nvalue = ShoppingCart()\n" for n in range(5)}
    write(tmp_path, {**users, "lib/shop.py": "\nclass ShoppingCart: ...\ndef lonely_function(): ...\n"})
    write(tmp_path, {"lib/deep/er/x.py": f"def {'used_' + 'x' * 10}(): ...\n# {SECRET}\n", "top.txt": ""})


def test_the_map_names_directories_and_what_others_use(tree: Tree, tmp_path: Path) -> None:
    shop(tmp_path)
    assert survey(Corpus(tree), 2_000) == (
        "Directories, with their files:\napp/ (5)\nlib/ (2)\nlib/deep/ (1)\nlib/deep/er/ (1)\n\n"
        "Definitions that other files use most (name and line):\nlib/shop.py: ShoppingCart 2"
    )


@pytest.mark.parametrize("max_chars", [0, 10, 90, 150, 200])
def test_the_map_keeps_its_bound_and_is_the_same_each_time(
    tree: Tree, tmp_path: Path, max_chars: int
) -> None:
    shop(tmp_path)
    first = survey(Corpus(tree), max_chars)
    assert len(first) <= max_chars
    assert survey(Corpus(tree), max_chars) == first
    assert not first.endswith(":")


def test_an_empty_repository_has_no_map(tree: Tree) -> None:
    assert survey(Corpus(tree), 1_000) == ""


def test_a_block_that_grew_large_is_cut_anew(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_module, "BLOCK_BYTES", 1_000)
    monkeypatch.setattr(corpus_module, "_TOO_MANY_BYTES", 3_000)
    corpus = Corpus(tree)
    write(tmp_path, {f"{n:03}": "x" * 400 for n in range(10)})
    corpus.refresh()
    assert len(list(corpus.blocks(()))) == 4
    write(tmp_path, {f"000{n:03}": "x" * 400 for n in range(20)})
    members = corpus.refresh()
    blocks = [block for block, _ in corpus.blocks(())]
    assert [member for block in blocks for member in block.members] == members
    assert max(len(block.members) for block in blocks) <= 6


def test_carriage_returns_of_their_own_do_not_move_the_lines(outliner: Outliner, tmp_path: Path) -> None:
    (tmp_path / "x.py").write_bytes(b"\r" * 5 + b"def f(): pass\ndef g(): pass\n")
    assert outliner.outline("x.py") == "     2\tdef g(): pass"
