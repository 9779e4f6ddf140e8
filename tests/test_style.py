"""The house style, measured; each finding names file, line and rule."""

import ast
import io
import os
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TypeAlias

import pytest

ROOT = Path(__file__).parent.parent
MAX_FILE_LINES = 300
MAX_TEST_FILE_LINES = 400
MAX_FUNCTION_LINES = 45
MAX_TEST_FUNCTION_LINES = 60
MAX_DEPTH = 3
MAX_ENTRY_LINES = 20

# Process entries: the only files that may catch everything, each because somebody must be told.
BROAD_EXCEPTS = {
    "bot/cli/main.py": "the terminal is told in one line what ended the command",
    "bot/intake/dispatch.py": "one broken delivery must not end the worker nor be taken again at once",
    "bot/publish/outbox.py": "one broken write must not end the worker; it is kept and told",
    "bot/runner/chores.py": "a broken chore must end neither the worker nor the others; it is kept and told",
    "bot/runner/serving.py": "one broken job must not end the others; it is counted and settled",
    "bot/web/answers.py": "a broken request is answered 500 and logged",
    "bot/workspace/toolhost/server.py": "the tool host answers with an error line instead of dying",
}
# Configuration, commands and stand-ins; and the probe that shows what the sandbox's environment is.
READS_ENVIRONMENT = re.compile(r"bot/(app\.py|config\w*\.py|cli/.*|standin/.*|workspace/escape_attempts\.py)")
ENVIRONMENT = frozenset({"environ", "environb", "getenv", "getenvb"})
FORBIDDEN_NAMES = re.compile(r"(^|_)(utils?|helpers?|managers?|common|misc)(_|$)")
LEFT_OVER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
Rule: TypeAlias = Callable[[str, ast.Module], Iterator[tuple[int, str]]]


def sources(*tops: str) -> list[str]:
    """The Python files below *tops*, as paths from the root."""
    found = [path for top in tops for path in sorted((ROOT / top).rglob("*.py"))]
    return [str(path.relative_to(ROOT)) for path in found if "samples" not in path.parts]


@cache
def text_of(name: str) -> str:
    """The content of a file."""
    return (ROOT / name).read_text()


@cache
def tree_of(name: str) -> ast.Module:
    """The syntax tree of a file, read as Python 3.11 (so that no newer statement slips in)."""
    return ast.parse(text_of(name), feature_version=(3, 11))


def check(rule: Rule, *tops: str) -> None:
    """Fail with a line for each thing that *rule* finds below *tops*."""
    found = [f"{name}:{line}: {text}" for name in sources(*tops) for line, text in rule(name, tree_of(name))]
    if found:
        pytest.fail("\n".join(found), pytrace=False)


def functions(tree: ast.Module) -> Iterator[Function]:
    """Every function and method, also the inner ones."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def public_nodes(tree: ast.Module | ast.ClassDef) -> Iterator[Function | ast.ClassDef]:
    """The public classes and functions of a module, and of its public classes."""
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_nodes(node)


# ── size ─────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(("top", "most"), [("bot", MAX_FILE_LINES), ("tests", MAX_TEST_FILE_LINES)])
def test_files_are_short(top: str, most: int) -> None:
    def rule(name: str, _: ast.Module) -> Iterator[tuple[int, str]]:
        count = text_of(name).count("\n")
        if count > most:
            yield count, f"file has {count} lines, at most {most}"

    check(rule, top)


@pytest.mark.parametrize(("top", "most"), [("bot", MAX_FUNCTION_LINES), ("tests", MAX_TEST_FUNCTION_LINES)])
def test_functions_are_short(top: str, most: int) -> None:
    def rule(_: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
        for node in functions(tree):
            count = (node.end_lineno or node.lineno) - node.lineno + 1
            if count > most:
                yield node.lineno, f"{node.name} has {count} lines, at most {most}"

    check(rule, top)


def test_functions_are_flat() -> None:
    def rule(_: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
        for node in functions(tree):
            depth = max((depth_of(child) for child in node.body), default=0)
            if depth > MAX_DEPTH:
                yield node.lineno, f"{node.name} is {depth} levels deep, at most {MAX_DEPTH}"

    check(rule, "bot")


def depth_of(node: ast.AST) -> int:
    """How many blocks lie in each other below *node*; an elif is no level, a function begins anew."""
    if isinstance(node, _SCOPES):
        return 0
    own = 1 if isinstance(node, _BLOCKS) else 0
    elifs = node.orelse if isinstance(node, ast.If) and is_elif(node) else []
    inner = [depth_of(child) for child in ast.iter_child_nodes(node) if child not in elifs]
    level = max([own + depth for depth in inner] or [own])
    return max([level, *(depth_of(child) for child in elifs)])


def is_elif(node: ast.If) -> bool:
    """Whether the else of *node* is nothing but a further if."""
    return len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If)


# ── words ────────────────────────────────────────────────────────────────────────────────────────
def test_every_module_says_what_it_is_for() -> None:
    def rule(_: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
        if tree.body and not ast.get_docstring(tree):
            yield 1, "module has no docstring"

    check(rule, "bot", "tests", "migrations")


def test_every_public_class_and_function_says_what_it_does() -> None:
    def rule(_: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
        for node in public_nodes(tree):
            if not ast.get_docstring(node):
                yield node.lineno, f"{node.name} has no docstring"

    check(rule, "bot")


def test_packages_hold_nothing_but_their_sentence() -> None:
    for name in sources("bot"):
        if name.endswith("__init__.py") and name != "bot/__init__.py":
            is_sentence = len(tree_of(name).body) == 1 and ast.get_docstring(tree_of(name))
            assert is_sentence, f"{name}:1: a package's __init__ is its docstring"


def test_no_file_or_class_has_a_name_that_says_nothing() -> None:
    def rule(name: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
        if any(FORBIDDEN_NAMES.search(part) for part in Path(name).with_suffix("").parts):
            yield 1, "name the idea (no utils, helpers, manager, common)"
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and re.search(r"(Manager|Helper|Utils?)$", node.name):
                yield node.lineno, f"{node.name}: name the idea"

    check(rule, "bot", "tests")


def test_nothing_is_left_for_later() -> None:
    def rule(name: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
        for token in tokenize.generate_tokens(io.StringIO(text_of(name)).readline):
            if token.type == tokenize.COMMENT and LEFT_OVER.search(token.string):
                yield token.start[0], "a comment puts work off"
        yield from ((line, "a function is not written") for line in unwritten_lines(tree))

    check(rule, "bot", "migrations")


def unwritten_lines(tree: ast.Module) -> Iterator[int]:
    """The lines that stand for a body: NotImplementedError, or an ellipsis."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and "NotImplementedError" in ast.unparse(node):
            yield node.lineno
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is ...:
            yield node.lineno


# ── errors, environment ──────────────────────────────────────────────────────────────────────────
def is_broad(node: ast.expr | None) -> bool:
    """Whether an except or a suppress of *node* catches everything."""
    names = node.elts if isinstance(node, ast.Tuple) else [node]
    return any(
        name is None or (isinstance(name, ast.Name) and name.id in {"Exception", "BaseException"})
        for name in names
    )


def broad_lines(tree: ast.Module) -> Iterator[int]:
    """The lines that catch everything and keep it (cleaning up and raising on is no catching)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and is_broad(node.type):
            last = node.body[-1]
            if not isinstance(last, ast.Raise) or last.exc is not None:
                yield node.lineno
        suppresses = isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress")
        if isinstance(node, ast.Call) and suppresses and any(map(is_broad, node.args)):
            yield node.lineno


def test_only_process_entries_catch_everything() -> None:
    def rule(name: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
        if name not in BROAD_EXCEPTS:
            yield from ((line, "catches everything; only a process entry may") for line in broad_lines(tree))

    check(rule, "bot", "migrations")


def test_the_list_of_process_entries_is_true() -> None:
    idle = [
        name for name in BROAD_EXCEPTS if not (ROOT / name).exists() or not any(broad_lines(tree_of(name)))
    ]
    assert not idle, "these files no longer catch everything: take them off the list"


def test_no_error_is_passed_over() -> None:
    def rule(_: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and all(isinstance(item, ast.Pass) for item in node.body):
                yield node.lineno, "an except that only passes"

    check(rule, "bot", "tests", "migrations")


def test_the_environment_is_read_in_its_places_only() -> None:
    def rule(name: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
        if READS_ENVIRONMENT.fullmatch(name):
            return
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT:
                yield node.lineno, "reads the environment; take a field of Settings"
            if isinstance(node, ast.ImportFrom) and ENVIRONMENT & {alias.name for alias in node.names}:
                yield node.lineno, "imports the environment; take a field of Settings"

    check(rule, "bot")


# ── what processes load ──────────────────────────────────────────────────────────────────────────
def loaded_by(modules: list[str]) -> set[str]:
    """The top-level packages in memory after importing *modules* in a fresh Python."""
    code = f"import sys\nimport {', '.join(modules)}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", code]
    plain = {name: text for name, text in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        command, cwd=ROOT, env=plain, capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stdout.split())


def modules_below(folder: str) -> list[str]:
    """Every module below *folder*, as names to import."""
    names = [name.removesuffix(".py").replace("/", ".") for name in sources(folder)]
    return [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]


def test_the_web_process_loads_no_sdk_and_no_github_client() -> None:
    assert not loaded_by(modules_below("bot/web")) & {"anthropic", "gidgethub", "github"}


def test_no_command_loads_what_only_the_worker_needs() -> None:
    assert not loaded_by(["bot.app", *modules_below("bot/cli")]) & {"anthropic", "gidgethub", "github"}


# ── the lock file and what coverage leaves out ───────────────────────────────────────────────────
def test_the_lock_file_pins_everything_by_hash_and_names_no_index() -> None:
    text = text_of("requirements.lock")
    assert "://" not in text
    assert not re.search(r"^-", text, re.MULTILINE), "no options such as --index-url"
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.IGNORECASE | re.MULTILINE)[1:]
    loose = [entry.split()[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry]
    assert entries
    assert not loose


def test_the_lock_file_holds_every_dependency() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))
    groups = project["dependency-groups"]
    wanted = [*project["project"]["dependencies"], *groups["dev"], *groups["build"]]
    locked = set(re.findall(r"^([\w.-]+?)(?:\[.*\])?==", text_of("requirements.lock"), re.MULTILINE))
    names = {re.match(r"[\w.-]+", line)[0].lower() for line in wanted}  # type: ignore[index]
    assert names <= locked


def test_coverage_leaves_out_short_process_entries_only() -> None:
    left_out = tomllib.loads(text_of("pyproject.toml"))["tool"]["coverage"]["run"].get("omit", [])
    assert not [name for name in left_out if "*" in name or not (ROOT / name).is_file()]
    assert not [name for name in left_out if len(text_of(name).splitlines()) > MAX_ENTRY_LINES]


# ── the measures themselves ──────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("code", "depth"),
    [
        ("x = 1", 0),
        ("if a:\n  b", 1),
        ("if a:\n  b\nelif c:\n  d\nelse:\n  e", 1),
        ("if a:\n  b\nelse:\n  c\n  if d:\n    e", 2),
        ("for a in b:\n  with c:\n    try:\n      d\n    except E:\n      if f:\n        g", 4),
        ("for a in b:\n  def inner():\n    if c:\n      d", 1),
    ],
)
def test_levels_are_counted_as_a_reader_counts_them(code: str, depth: int) -> None:
    assert max(depth_of(node) for node in ast.parse(code).body) == depth


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("try:\n  a\nexcept:\n  b", 1),
        ("try:\n  a\nexcept Exception as e:\n  b", 1),
        ("try:\n  a\nexcept (ValueError, BaseException):\n  b", 1),
        ("with contextlib.suppress(Exception):\n  a", 1),
        ("try:\n  a\nexcept BaseException:\n  b\n  raise", 0),
        ("try:\n  a\nexcept ValueError:\n  b", 0),
    ],
)
def test_catching_everything_is_seen_in_every_form(code: str, count: int) -> None:
    assert len(list(broad_lines(ast.parse(code)))) == count


@pytest.mark.parametrize(
    "code", ["def f(): ...", "def f():\n  raise NotImplementedError", "raise NotImplementedError()"]
)
def test_what_stands_for_a_body_is_seen(code: str) -> None:
    assert list(unwritten_lines(ast.parse(code)))
