"""The escape probe: what it lets pass, and each way in which it must not."""

import os
from pathlib import Path

import pytest

from bot.domain.enums import Tier
from bot.workspace import escape_attempts, probe, sandbox
from bot.workspace.sandbox import find_bwrap


def launcher(place: Path, script: str) -> str:
    """A program that stands in for bwrap."""
    place.chmod(0o755)
    program = place / "bwrap"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


_AS_BWRAP = """
for COMMAND; do :; done
while [ $# -gt 0 ]; do
  case "$1" in
    --bind) cd "$2"; shift 3;;
    --json-status-fd) STATUS=$2; shift 2;;
    *) shift;;
  esac
done
export PATH=/usr/bin:/bin
"""


@pytest.mark.skipif(find_bwrap() is None, reason="no bubblewrap here")
async def test_the_real_sandbox_holds() -> None:
    status = await probe.probe()
    assert (status.tier, status.reason) == (Tier.SANDBOX, "")


async def test_a_launcher_that_holds_nothing_is_found_out(tmp_path: Path) -> None:
    script = (
        _AS_BWRAP + '/bin/sh -c "$COMMAND"; code=$?; echo "{\\"exit-code\\": $code}" >&$STATUS; exit $code'
    )
    status = await probe.probe_with(launcher(tmp_path, script))
    assert status.tier is Tier.NONE
    assert status.reason.startswith("the sandbox does not hold: ")
    for escape in (
        "a file outside was read",
        "a port of this machine was reached",
        "a file outside was written",
    ):
        assert escape in status.reason
    assert "apparmor" in status.remedy


async def test_a_launcher_that_fails_is_reported_in_its_own_words(tmp_path: Path) -> None:
    script = "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1"
    status = await probe.probe_with(launcher(tmp_path, script))
    assert status.tier is Tier.NONE
    assert "setting up uid map: Permission denied" in status.reason


async def test_a_launcher_that_only_pretends_is_not_believed(tmp_path: Path) -> None:
    script = _AS_BWRAP + "echo '{\"exit-code\": 0}' >&$STATUS; echo all is well"
    status = await probe.probe_with(launcher(tmp_path, script))
    assert status.reason == "the probe inside the sandbox gave no answer"


async def test_a_copy_that_cannot_be_written_is_no_sandbox(tmp_path: Path) -> None:
    script = _AS_BWRAP + 'echo \'{"exit-code": 0}\' >&$STATUS; echo \'{"escapes": [], "works": false}\''
    status = await probe.probe_with(launcher(tmp_path, script))
    assert status.reason == "the sandbox does not let code write to its own copy"


async def test_a_command_that_fails_inside_is_no_sandbox(tmp_path: Path) -> None:
    script = _AS_BWRAP + "echo '{\"exit-code\": 127}' >&$STATUS; echo 'python3: not found'"
    status = await probe.probe_with(launcher(tmp_path, script))
    assert status.reason == "the sandbox does not start: python3: not found"


async def test_a_launcher_that_is_not_there_is_no_sandbox(tmp_path: Path) -> None:
    status = await probe.probe_with(str(tmp_path / "absent"))
    assert status.tier is Tier.NONE
    assert "does not start" in status.reason


async def test_a_machine_without_bubblewrap_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "find_bwrap", lambda: None)
    status = await probe.probe()
    assert (status.tier, status.remedy) == (Tier.NONE, probe.INSTALL_REMEDY)


async def test_a_machine_without_util_linux_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "find_bwrap", lambda: "/bin/true")
    monkeypatch.setattr(sandbox, "SEARCH_PATH", "/nonexistent")
    status = await probe.probe()
    assert "prlimit" in status.reason
    assert "util-linux" in status.remedy


def test_an_account_without_an_entry_has_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
    assert probe._own_home() == "/nonexistent"


def test_outside_a_sandbox_the_attempts_succeed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("x")
    bait = {
        "canary_path": str(tmp_path / "secret"),
        "home": str(tmp_path),
        "port": 1,
        "outside": str(tmp_path / "o"),
    }
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARK", "x")
    found = escape_attempts.run(bait)
    assert found["works"] is True
    assert {"a file outside was read", "a private home was read", "a file outside was written"} <= set(
        found["escapes"]
    )


@pytest.mark.parametrize(("words", "version"), [("bubblewrap 0.11.0", (0, 11)), ("nonsense", ())])
def test_the_version_is_read_from_what_bwrap_says(
    tmp_path: Path, words: str, version: tuple[int, ...]
) -> None:
    assert sandbox._version(launcher(tmp_path, f"echo {words}")) == version
    assert sandbox._version(str(tmp_path / "absent")) == ()


def test_an_old_bwrap_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher(tmp_path, "echo bubblewrap 0.4.1")
    monkeypatch.setattr(sandbox, "SEARCH_PATH", str(tmp_path))
    find_bwrap.cache_clear()
    found = find_bwrap()
    find_bwrap.cache_clear()
    assert found == sandbox._bundled_bwrap()
