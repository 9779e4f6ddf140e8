"""A repository that is a trap: configuration that is code, git's own tricks, and what jobs leave behind."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from bot.standin import sample
from bot.standin.forge.plumbing import Bare
from bot.standin.forge.trees import Entry, Person, write_commit
from bot.workspace.sandbox import find_bwrap
from tests.system import hostile, trap
from tests.system.effects import ended
from tests.system.hostile import FINISH, TRUE_CHANGE, turn
from tests.system.rig import Rig, rig

pytestmark = pytest.mark.skipif(
    find_bwrap() is None, reason="no bubblewrap here: nothing of a repository is run"
)
TRAP: Final = Path(trap.__file__)
CANARY: Final = "canary-Wn5Yq8Lc3Zr7Tb2Vk9Mx4Hd1Fs6Jp0Ga"
SHELL: Final = "python3 trap.py run"


def _code(name: str) -> str:
    return f"import trap\ntrap.spring({name!r})\n"


CONFIGURATION: Final = {
    "conftest.py": _code("conftest.py"),
    "setup.py": _code("setup.py"),
    "sitecustomize.py": _code("sitecustomize.py"),
    "zoo.pth": "import trap; trap.spring('zoo.pth')\n",
    "pytest.ini": "[pytest]\naddopts = -p zoo_plugin\n",
    "zoo_plugin.py": _code("pytest.ini"),
    ".pylintrc": "[MAIN]\ninit-hook='import trap; trap.spring(\".pylintrc\")'\n",
    "Makefile": f"all:\n\t{SHELL} Makefile\n",
    "package.json": json.dumps({"scripts": {"prepare": f"{SHELL} package.json"}}),
    ".ripgreprc": "--pre=./pre.sh\n",
    "pre.sh": f"{SHELL} .ripgreprc\n",
    "Cargo.toml": '[package]\nname = "zoo"\nversion = "1.0.0"\nbuild = "build.rs"\n',
    "build.rs": f'fn main() {{ std::process::Command::new("sh").args(["-c", "{SHELL} it"]).status(); }}',
    ".pre-commit-config.yaml": "repos: [{repo: local, hooks: "
    f"[{{id: x, name: x, language: system, entry: {SHELL} pre-commit}}]}}]\n",
    ".rubocop.yml": "require: ./cop.rb\n",
    "cop.rb": f'system("{SHELL} .rubocop.yml")\n',
    "eslint.config.js": f'require("child_process").execSync("{SHELL} eslint.config.js");\n',
}
RUN: Final = (
    "PYTHONPATH=. python3 -c \"import site; site.addsitedir('.')\"",
    'python3 setup.py && python3 -c "import conftest, zoo_plugin"',
    "make; npm run prepare; node eslint.config.js; sh pre.sh; rg x; cargo check; true",
    "python3 -m unittest",
)
ALWAYS_RUN: Final = {"sitecustomize.py", "zoo.pth", "setup.py", "conftest.py", "pytest.ini", ".ripgreprc"}
GIT_COMMAND: Final = (
    "git init -q . && cat .gitconfig >> .git/config && git status; git add -A; git diff; git -C bare log"
)
GIT_TRICKS: Final = """[core]
\tfsmonitor = touch {outside}/fsmonitor
\thooksPath = hooks
\tsshCommand = touch {outside}/ssh
[filter "evil"]
\tclean = touch {outside}/clean
\tsmudge = touch {outside}/smudge
\trequired
[diff "evil"]
\ttextconv = touch {outside}/textconv
\tcommand = touch {outside}/diff
[merge "evil"]
\tdriver = touch {outside}/merge
[credential]
\thelper = "!touch {outside}/credential"
[include]
\tpath = evil.inc
[url "{door}"]
\tinsteadOf = {forge}
[http]
\tproxy = {door}
"""


def _git_zoo(outside: Path, door: str, forge: str) -> dict[str, str]:
    """Files by which git would run or ask something, were it to believe a tree."""
    tricks = GIT_TRICKS.format(outside=outside, door=door, forge=forge)
    hook = f"#!/bin/sh\ntouch {outside}/hook\n"
    return {
        ".gitconfig": tricks,
        "evil.inc": f"[core]\n\tfsmonitor = touch {outside}/include\n",
        ".gitattributes": "* filter=evil diff=evil merge=evil\n*.lfs filter=lfs diff=lfs merge=lfs -text\n",
        ".gitmodules": f'[submodule "s\r"]\n\tpath = "sub\r"\n\turl = ext::touch {outside}/submodule\n',
        ".lfsconfig": f"[lfs]\n\turl = {door}\n",
        "big.lfs": f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12\n",
        "bare/HEAD": "ref: refs/heads/main\n",
        "bare/config": tricks,
        "bare/objects/x": "",
        "bare/refs/x": "",
        **{f"{place}/post-checkout": hook for place in ("hooks", ".githooks", "bare/hooks")},
        **{f"{place}/pre-push": hook for place in ("hooks", ".githooks", "bare/hooks")},
    }


LOOKS: Final = (
    turn(("list_directory", {"path": ".", "depth": 3}), ("search_code", {"pattern": "spring"})),
    turn(("read_file", {"path": "setup.py"}), ("outline", {}), ("git_log", {})),
    turn(("run_command", {"command": GIT_COMMAND})),
    turn(TRUE_CHANGE, ("write_file", {"path": "notes.lfs", "content": "x\n"}), ("git_diff", {})),
    turn(("propose_change", {"title": "Hand out the remainder", "body": "As told."}), FINISH),
)


@asynccontextmanager
async def _door() -> AsyncIterator[tuple[int, list[str]]]:
    """An open port of this machine, and who has come through it."""
    visitors: list[str] = []

    async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visitors.append((await reader.readline()).decode(errors="replace"))
        writer.close()

    server = await asyncio.start_server(visited, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], visitors


def _prey(folder: Path, port: int) -> str:
    """Where a trap finds what it is after: the content of its `facts.json`."""
    (folder / "outside").mkdir()
    (folder / "canary").write_text(CANARY)
    prey = {"outside": str(folder / "outside"), "canary": str(folder / "canary"), "door": ["127.0.0.1", port]}
    return json.dumps(prey)


async def test_configuration_that_is_code_runs_in_the_sandbox_alone_and_gits_own_does_nothing(
    tmp_path: Path,
) -> None:
    book = {"scripts": [{"name": "looks", "turns": list(LOOKS)}]}
    async with _door() as (port, visitors), rig(tmp_path, book=book) as product:
        commands = "".join(f"  - {json.dumps(command)}\n" for command in RUN)
        files = {
            **CONFIGURATION,
            **_git_zoo(tmp_path / "outside", f"http://127.0.0.1:{port}/", product.forge.git_url),
            "trap.py": TRAP.read_text(),
            "facts.json": _prey(tmp_path, port),
            ".github/issuewright.yml": f"verify:\n{commands}",
        }
        modes = {path: "100755" if "hooks/" in path else "100644" for path in files}
        entries = [Entry(path, modes[path], text.encode(), None) for path, text in files.items()]
        await hostile.commit(product, *entries, Entry("sub\r", "160000", None, "1" * 40))
        await product.start()
        await product.install()
        job = await hostile.job_of(product, await product.ask_by_label())

        assert job["cause"] == "pull_request", job["error"]
        rows = await product.rows("SELECT * FROM verifications")
        assert len(rows) == 2 * len(RUN)
        said = "\n".join(row["output"] for row in rows)
        assert {line[5:] for line in said.splitlines() if line.startswith("ran: ")} >= ALWAYS_RUN
        assert not [word for word in ("wrote: ", "read: ", "connected: ") if word in said]
        assert list((tmp_path / "outside").iterdir()) == []
        assert visitors == []
        assert not [one for one in product.model.requests if CANARY in str(one["body"])]


@pytest.mark.parametrize("name", [".git", ".GIT"])
async def test_a_repository_within_the_tree_is_refused_in_words(tmp_path: Path, name: str) -> None:
    async with rig(tmp_path) as product:
        await _commit_git_directory(product, name, _git_zoo(tmp_path / "outside", "x", "y")["bare/config"])
        await product.start()
        await product.install()
        job = await hostile.job_of(product, await product.ask_by_label())
        assert job["status"] == "FAILED"
        assert "named like git's own directory" in job["error"]
        assert not (tmp_path / "outside").exists()


async def _commit_git_directory(product: Rig, name: str, config: str) -> None:
    """Put a folder of that name into the default branch, which no plain git would do."""
    place = product.forge.world.repository(sample.REPOSITORY)
    bare = Bare(place.path)
    parent = await bare.branch(place.default_branch)
    assert parent is not None
    blob = await bare.text("hash-object", "-w", "--stdin", stdin=config.encode())
    inner = await bare.text("mktree", stdin=f"100644 blob {blob}\tconfig\n".encode())
    lines = await bare.run("ls-tree", parent)
    tree = await bare.text("mktree", stdin=lines + f"040000 tree {inner}\t{name}\n".encode())
    person = Person("mallory", "mallory@example.com", product.forge.clock.now())
    sha = await write_commit(
        bare, tree=tree, parents=[parent], author=person, committer=person, message="x\n"
    )
    await bare.update_ref(f"refs/heads/{place.default_branch}", sha, parent)


# ── what a job leaves behind ─────────────────────────────────────────────────────────────────────
LEAVING: Final = {
    "trap.py": TRAP.read_text(),
    ".github/issuewright.yml": "".join(
        f"{key}: python3 trap.py leave {key} /\n" for key in ("prepare", "verify")
    ),
}
LEAVES: Final = (
    turn(("run_command", {"command": "python3 trap.py leave command /"})),
    turn(("write_file", {"path": "notes.txt", "content": "x\n"})),
    turn(("propose_change", {"title": "Take a note", "body": "As told."}), FINISH),
)
BESIDE: Final = "octo-bakery/oven"


async def test_a_job_finds_nothing_that_another_one_left(tmp_path: Path) -> None:
    book = {"scripts": [{"name": "leaves", "turns": list(LEAVES)}]}
    async with rig(tmp_path, book=book, files=LEAVING) as product:
        await product.forge.create_repository(BESIDE, dict(LEAVING))
        product.forge.set_permission(BESIDE, sample.PERSON, "write")
        await product.start()
        await product.install()
        for repository in (sample.REPOSITORY, sample.REPOSITORY, BESIDE):
            number = await product.ask_by_label(repository=repository)
            (job,) = await product.until(partial(ended, product, number, repository))
            assert job["cause"] == "pull_request", job
        rows = await product.rows("SELECT * FROM verifications")
        assert [row["exitCode"] for row in rows] == [0] * 6, rows
        said = [json.loads(row["output"]) for row in rows]
        assert [one["found"] for one in said] == [[]] * 6
        assert min(one["left"] for one in said) >= 5
        told = [_told(one["body"]) for one in product.model.requests if one["turn"] == 1]
        assert len(told) == 3
        assert not [text for text in told if '"found": []' not in text]


def _told(body: dict[str, Any]) -> str:
    """The result of the last call."""
    return str(body["messages"][-1]["content"][0]["content"])


# ── the traps themselves ─────────────────────────────────────────────────────────────────────────
async def test_outside_a_sandbox_a_trap_gets_out(tmp_path: Path) -> None:
    async with _door() as (port, visitors):
        (tmp_path / "facts.json").write_text(_prey(tmp_path, port))
        said = await asyncio.to_thread(_sprung, tmp_path, "run", "Makefile")
        assert "wrote: " in said and CANARY in said and "connected: " in said
    assert len(visitors) == 1
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["escaped Makefile"]


def test_outside_a_sandbox_a_second_run_finds_what_the_first_left(tmp_path: Path) -> None:
    first, second = (json.loads(_sprung(tmp_path, "leave", "verify", str(tmp_path))) for _ in range(2))
    assert first["found"] == []
    assert len(second["found"]) >= 3


def test_a_git_that_believes_these_files_falls_for_them(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    zoo = _git_zoo(outside, "http://127.0.0.1:1/", "http://127.0.0.1:2/")
    tree = tmp_path / "tree"
    tree.mkdir()
    _git(tree, "init", "--quiet")
    (tree / ".gitattributes").write_text(zoo[".gitattributes"])
    _git(tree, "add", ".gitattributes")
    (tree / ".git" / "config").write_text(zoo[".gitconfig"])
    _git(tree, "status")
    (tree / "x.txt").write_text("x\n")
    _git(tree, "add", "--all")
    (tree / ".gitattributes").write_text("* diff=evil\n")
    _git(tree, "diff")
    assert {path.name for path in outside.iterdir()} >= {"fsmonitor", "clean", "diff"}


def _git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, capture_output=True, check=False)


def _sprung(folder: Path, *words: str) -> str:
    shutil.copy(TRAP, folder / "trap.py")
    places = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")}
    command = [sys.executable, "trap.py", *words]
    environment = {**os.environ, **places}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.stdout
