"""What stands around the code: the first commands, the process files, the docs and their links."""

import ast
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bot.config import SETTINGS
from tests.generated import files

ROOT = Path(__file__).parent.parent
ROOMS = sorted(path for path in (ROOT / "bot").iterdir() if (path / "__init__.py").is_file())
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()


def read(name: str) -> str:
    """The content of a file of the repository."""
    return (ROOT / name).read_text()


def tracked_files() -> list[Path]:
    """The files that git holds."""
    command = ["git", "-c", "safe.directory=*", "-C", str(ROOT), "ls-files", "-z"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    names = done.stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


# ── commands ─────────────────────────────────────────────────────────────────────────────────────
def test_the_first_two_commands_of_the_readme_are_demo_and_test() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", read("README.md"), re.DOTALL)
    commands = [line.strip() for block in blocks for line in block.splitlines() if line.strip()]
    assert commands[:2] == ["make demo", "make test"]


@pytest.mark.parametrize("target", ["setup", "demo", "run", "test", "check"])
def test_make_knows_the_target_and_sets_up_first(target: str) -> None:
    rule = re.search(rf"^{target}:(.*)$", MAKEFILE, re.MULTILINE)
    assert rule
    assert "$(STAMP)" in rule.group(1), "each target does the set-up itself"


def test_every_make_command_in_the_docs_exists() -> None:
    named = {name for page in PAGES for name in re.findall(r"\bmake ([a-z]+)\b(?=[`\s])", code_of(page))}
    assert named <= set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))


def test_set_up_takes_nothing_that_is_not_locked() -> None:
    assert "--require-hashes -r requirements.lock" in MAKEFILE
    assert "--no-deps --no-build-isolation -e ." in MAKEFILE


def test_an_old_python_is_told_what_to_do(tmp_path: Path) -> None:
    old = tmp_path / "python2"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    command = ["make", "demo", f"PYTHON={old}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "needs Python 3.11 or newer" in done.stderr
    assert "make PYTHON=python3.11 demo" in done.stderr


def test_ci_runs_the_readmes_test_command_and_the_checks() -> None:
    lines = read(".ci/run").splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines
    assert lines[-2:] == ["make test", "make check"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_the_procfile_has_its_three_processes() -> None:
    processes = dict(line.split(": ", 1) for line in read("Procfile").splitlines())
    assert processes == {
        "release": "issuewright migrate",
        "web": "issuewright serve --no-worker --host 0.0.0.0",
        "worker": "issuewright worker",
    }


# ── files ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("path", files(), ids=lambda path: path.name)
def test_generated_files_are_up_to_date(path: Path) -> None:
    assert path.read_text() == files()[path], "run `make docs`"


def test_the_example_holds_every_setting_once() -> None:
    names = re.findall(r"^([A-Z_]+)=", read(".env.example"), re.MULTILINE)
    assert sorted(names) == sorted(option.name for option in SETTINGS)


def test_the_changelog_has_a_place_for_what_comes_next() -> None:
    headings = re.findall(r"^## \[(.*?)\]", read("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "Unreleased"


def test_the_licence_is_mit() -> None:
    assert read("LICENSE").startswith("MIT License\n\nCopyright (c) Issuewright contributors")
    assert PROJECT["project"]["license"] == "MIT"


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "bot" / "py.typed").is_file()


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_every_room_has_a_readme_of_two_lines(room: Path) -> None:
    lines = (room / "README.md").read_text().splitlines()
    assert len(lines) == 2
    assert all(lines)


def test_no_file_names_a_package_index_or_a_machine() -> None:
    hosts = [
        "pypi" + ".org",
        "pythonhosted" + ".org",
        "registry" + ".npmjs",
        "/ro" + "ot/",
        "/ho" + "me/runner",
    ]
    found = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in tracked_files()
        if path.suffix in {".py", ".md", ".toml", ".yml", ".lock", ".cfg", ".sh", ""}
        and "samples" not in path.parts
        for host in hosts
        if host in path.read_text(errors="replace")
    ]
    assert not found


def test_no_secret_lies_in_the_repository() -> None:
    names = {path.name for path in tracked_files()}
    assert not {name for name in names if name == ".env" or name.endswith((".pem", ".db"))}


# ── docs ─────────────────────────────────────────────────────────────────────────────────────────
def code_of(page: Path) -> str:
    """What stands between back-ticks on a page, with a space behind each piece."""
    return " ".join(f"{piece} " for piece in re.findall(r"```.*?```|`[^`\n]+`", page.read_text(), re.DOTALL))


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_link_in_the_docs_is_broken(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors_of(path), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_the_docs_name_exists(page: Path) -> None:
    named = re.findall(r"`((?:bot|tests|docs|migrations)/[\w./]*\w/?)`", page.read_text())
    assert not [name for name in named if not (ROOT / name).exists()]


def test_each_promise_names_a_test_that_exists() -> None:
    rows = re.findall(r"^\| \*\*(.+?)\*\*.*\| (.+) \|$", read("README.md"), re.MULTILINE)
    assert len(rows) == 6
    for promise, cell in rows:
        names = re.findall(r"\[`(\w+)`\]\((tests/[\w/]+\.py)\)", cell)
        assert names, f"{promise} names no test"
        for test, path in names:
            functions = {node.name for node in ast.walk(ast.parse(read(path))) if hasattr(node, "name")}
            assert test in functions, f"{promise} names {path}::{test}"


def test_every_variable_that_the_docs_name_is_a_setting() -> None:
    known = {option.name for option in SETTINGS} | {f"{option.name}_FILE" for option in SETTINGS}
    prefixes = "ISSUEWRIGHT|GITHUB|AGENT|ANTHROPIC|DATABASE"
    named = {
        name
        for page in PAGES
        for name in re.findall(rf"`((?:{prefixes})_[A-Z_]*[A-Z])[`=]", page.read_text())
    }
    assert named <= known


# ── floors ───────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("contract", "side", "owner"),
    [
        ("standin", "forbidden_modules", "standin"),
        ("no-standin", "source_modules", "standin"),
        ("gidgethub", "source_modules", "github"),
        ("anthropic", "source_modules", "llm"),
    ],
)
def test_a_contract_about_one_room_names_all_the_others(contract: str, side: str, owner: str) -> None:
    contracts = {item["id"]: item for item in PROJECT["tool"]["importlinter"]["contracts"]}
    others = {f"bot.{room.name}" for room in ROOMS} - {f"bot.{owner}"}
    assert others <= set(contracts[contract][side])
