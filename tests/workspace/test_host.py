"""The real tool host process: what it holds, what it survives, how it ends."""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from bot.domain.enums import Cause, Tier
from bot.domain.values import SandboxStatus
from bot.errors import Permanent
from bot.workspace.host import MAX_STARTS, ProcessToolHost
from bot.workspace.toolhost.confine import files_uid
from bot.workspace.toolprocess import Handed, launch
from bot.workspace.workspace import Checkout
from tests.workspace import program
from tests.workspace.program import kill

_ATTEMPTS = """
import encodings.idna, errno, os, socket
from bot.workspace.toolhost import confine
print(confine.confine_file_server(os.getppid()).uid)
connect = lambda: socket.create_connection(("127.0.0.1", PORT))
run = lambda: os.execv("/bin/true", ["true"])
signal = lambda: os.kill(os.getppid(), 0)
for attempt in (connect, socket.socketpair, run, signal, os.fork):
    try:
        attempt()
        print("escaped")
    except OSError as error:
        print(errno.errorcode[error.errno])
"""
_DOOMED_WORKER = """
import asyncio, sys
from pathlib import Path
from bot.domain.enums import Tier
from bot.domain.values import SandboxStatus
from bot.workspace.host import ProcessToolHost
async def work():
    host = ProcessToolHost(Path(sys.argv[1]), SandboxStatus(Tier.NONE), None)
    await host.start()
    print(host.pid, host.ready["pid"], flush=True)
    await asyncio.Event().wait()
asyncio.run(work())
"""
NO_SANDBOX = SandboxStatus(Tier.NONE, "bubblewrap was not found", "Install it.")
IS_ROOT = os.geteuid() == 0


@pytest.fixture
async def process(checkout: Checkout) -> AsyncIterator[ProcessToolHost]:
    """A started host without a sandbox."""
    host = ProcessToolHost(checkout.tree.parent, NO_SANDBOX, None)
    await host.start()
    yield host
    await host.close()


def _proc(pid: int | None, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def _links(pid: int, name: str) -> list[str]:
    """Where the links in a directory of /proc, or the link itself, lead."""
    place = Path(f"/proc/{pid}/{name}")
    return [str(path.readlink()) for path in ([place] if place.is_symlink() else place.iterdir())]


async def test_neither_process_has_an_environment(process: ProcessToolHost) -> None:
    for pid in (process.pid, process.ready["pid"]):
        if IS_ROOT:
            assert _proc(pid, "environ") == b""
        else:
            with pytest.raises(PermissionError):
                _proc(pid, "environ")
    await process.close()


async def test_the_file_server_is_nobody_with_nothing(process: ProcessToolHost) -> None:
    lines = _proc(process.ready["pid"], "status").decode().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert {int(uid) for uid in status["Uid"].split()} == {files_uid()}
    assert status["CapEff"].strip("0") == ""
    assert status["CapPrm"].strip("0") == ""
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert process.ready["uid"] == files_uid() != 0
    assert process.ready["resolver"] in {"open_by_kernel", "open_by_walk"}
    await process.close()


@pytest.mark.skipif(not IS_ROOT, reason="only root may make a network namespace without a user namespace")
async def test_a_root_service_gives_the_file_server_a_network_of_its_own(process: ProcessToolHost) -> None:
    assert process.ready["has_own_network"] is True
    assert _links(process.ready["pid"], "ns/net") != _links(os.getpid(), "ns/net")
    await process.close()


async def test_the_process_holds_pipes_and_two_directories_and_nothing_else(process: ProcessToolHost) -> None:
    if not IS_ROOT:
        pytest.skip("a process that is not dumpable shows its files to root only")
    links = _links(process.ready["pid"], "fd")
    directories = sorted(link for link in links if link.startswith("/") and link != "/dev/null")
    assert [Path(link).name for link in directories] == ["originals", "tree"]
    assert all(link.startswith("pipe:") or link == "/dev/null" or link in directories for link in links)
    pipes = {link for link in links if link.startswith("pipe:")}
    assert len(pipes) == 2
    assert not pipes & set(_links(process.pid or 0, "fd")), "nothing but the worker speaks with it"
    await process.close()


@pytest.mark.parametrize(
    "path",
    [
        "/proc/self/environ",
        "/proc/{worker}/environ",
        "../../etc/passwd",
        "link",
        ".git/config",
        ".GIT/hooks/x",
    ],
)
async def test_a_model_that_obeys_an_attacker_gets_one_sentence(
    process: ProcessToolHost, checkout: Checkout, path: str
) -> None:
    (checkout.tree / "link").symlink_to("/etc/passwd")
    result = await process.call("read_file", {"path": path.format(worker=os.getpid())}, timeout_seconds=10)
    assert result.refused
    assert result.text.startswith("Refused: this path is not one")
    await process.close()


async def test_without_a_sandbox_nothing_runs_and_the_record_says_why(process: ProcessToolHost) -> None:
    record = await process.verify("touch /tmp/ran", timeout_seconds=10)
    assert (record.exit_code, record.tier, record.reason) == (None, Tier.NONE, "bubblewrap was not found")
    assert not record.passed
    await process.close()


async def test_a_call_that_takes_too_long_is_stopped_and_the_work_is_kept(process: ProcessToolHost) -> None:
    await process.call("write_file", {"path": "kept.txt", "content": "kept"}, timeout_seconds=10)
    first = process.pid
    os.kill(process.ready["pid"], signal.SIGSTOP)
    result = await process.call("git_diff", {}, timeout_seconds=0.2)
    assert (result.text, result.is_error) == ("The tool was stopped after 0.2 seconds.", True)
    assert [change.path for change in await process.changes()] == ["kept.txt"]
    assert process.pid != first
    await process.close()


async def test_a_host_that_is_killed_is_started_again_but_not_for_ever(process: ProcessToolHost) -> None:
    for _ in range(MAX_STARTS - 1):
        await kill(process)
        result = await process.call("git_diff", {}, timeout_seconds=10)
        assert "ended during the call" in result.text
        assert (await process.call("git_diff", {}, timeout_seconds=10)).text == "Nothing is changed."
    await kill(process)
    await process.call("git_diff", {}, timeout_seconds=10)
    with pytest.raises(Permanent, match="ended too often") as caught:
        await process.call("git_diff", {}, timeout_seconds=10)
    assert caught.value.cause is Cause.SANDBOX_ERROR


async def test_the_file_server_dies_with_its_broker(process: ProcessToolHost) -> None:
    await kill(process)
    await process.close()


def test_a_worker_that_is_killed_takes_everything_with_it(tmp_path: Path) -> None:
    for name in ("tree", "originals"):
        (tmp_path / name).mkdir()
    argv = [sys.executable, "-c", _DOOMED_WORKER, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as worker:
        if worker.stdout is None:
            raise AssertionError
        pids = [int(word) for word in worker.stdout.readline().split()]
        others = [os.pidfd_open(pid) for pid in pids]
        worker.kill()
    for other in others:
        assert select.select([other], [], [], 5)[0], "ended within five seconds"
        os.close(other)
    assert len(pids) == 2


async def test_changes_of_a_killed_host_are_an_error_of_the_sandbox(process: ProcessToolHost) -> None:
    await kill(process)
    with pytest.raises(Permanent, match="did not say what was changed"):
        await process.changes()
    await process.close()


async def test_a_closed_host_stays_closed(process: ProcessToolHost) -> None:
    await process.close()
    await process.close()
    with pytest.raises(Permanent, match="closed"):
        await process.call("git_diff", {}, timeout_seconds=10)


async def test_a_process_that_says_nothing_is_no_host(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    host = ProcessToolHost(checkout.tree.parent, NO_SANDBOX, None)
    assert host.pid is None
    with pytest.raises(Permanent, match="it said nothing"):
        await host.start()


async def test_changes_that_cannot_be_read_are_an_error(process: ProcessToolHost, checkout: Checkout) -> None:
    await process.call("write_file", {"path": "a", "content": "a"}, timeout_seconds=10)
    (checkout.tree / "a").write_bytes(b"\0")
    with pytest.raises(Permanent, match="cannot be read"):
        await process.changes()
    await process.close()


async def test_a_host_that_cannot_start_is_an_error_in_words(checkout: Checkout) -> None:
    (checkout.tree.parent / "originals").mkdir()
    (checkout.tree.parent / "originals" / "0.json").mkdir()
    host = ProcessToolHost(checkout.tree.parent, NO_SANDBOX, None)
    with pytest.raises(Permanent, match="does not start"):
        await host.start()


def test_the_tool_host_imports_the_standard_library_only(tmp_path: Path) -> None:
    program.lay_out(tmp_path)
    said = program.ask(tmp_path, options=["-X", "importtime"])
    loaded = {line.split("|")[-1].strip().split(".")[0] for line in said.log.splitlines()}
    assert said.files[0]["ready"] is True
    assert "json" in loaded
    assert not loaded & set(packages_distributions()) - {"bot", "_distutils_hack"}


def test_the_broker_as_a_program_serves_and_ends_with_its_input(tmp_path: Path) -> None:
    program.lay_out(tmp_path)
    measured = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
    configure = {"op": "configure", "options": {}}
    said = program.ask(tmp_path, [{"op": "changes"}], [configure], environment=measured)
    assert [sorted(line) for line in said.files][1] == ["changes"]
    assert said.errands == [{}]


def test_nothing_secret_could_stand_in_the_arguments() -> None:
    start = launch(Path("/data/jobs/1"), "/usr/bin/bwrap", ("/opt/go",), Handed(5, 6, 7, 8))
    assert start.argv[1:] == (
        "-I",
        "-m",
        "bot.workspace.toolhost",
        *("5", "6", "7", "8"),
        "/data/jobs/1",
        "/usr/bin/bwrap",
        "/opt/go",
    )
    assert start.descriptors == (5, 6, 7, 8)
    assert start.environment == {}


def test_the_file_server_can_neither_connect_nor_start_nor_signal_anything() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        code = _ATTEMPTS.replace("PORT", str(listener.getsockname()[1]))
        argv = [sys.executable, "-I", "-c", code]
        done = subprocess.run(argv, env={}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(files_uid()), *(["EPERM"] * 4), "EAGAIN"]
