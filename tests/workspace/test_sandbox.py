"""Hostile commands in the real sandbox: held, bounded, and gone afterwards."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bot.domain.enums import Cause, Tier
from bot.domain.values import CommandRecord, SandboxStatus
from bot.errors import Permanent
from bot.workspace import sandbox
from bot.workspace.host import ProcessToolHost
from bot.workspace.sandbox import find_bwrap
from bot.workspace.toolhost.confine import files_uid

pytestmark = pytest.mark.skipif(find_bwrap() is None, reason="no bubblewrap here")
CANARY = "canary-5f3a"
MARK = f"7{os.getpid()}"
"""Told apart from other runs of these tests on the same machine."""


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[ProcessToolHost]:
    """A host whose tree holds one file, beside a secret."""
    job = tmp_path / "job"
    (job / "tree").mkdir(parents=True)
    (job / "tree" / "file").write_text("one\n")
    (tmp_path / "secret").write_text(CANARY)
    for path in (job / "tree", job / "tree" / "file"):
        os.chown(path, files_uid(), -1)
    running = ProcessToolHost(job, SandboxStatus(Tier.SANDBOX), find_bwrap())
    yield running
    await running.close()


async def run(host: ProcessToolHost, command: str, seconds: float = 30) -> CommandRecord:
    """The record of *command*."""
    return await host.verify(command, timeout_seconds=seconds)


def commands_with(word: str) -> Iterator[int]:
    """The processes of this machine whose arguments hold *word*."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if word.encode() in (place / "cmdline").read_bytes():
                yield int(place.name)
        except OSError:
            continue


async def test_a_record_says_what_ran_and_how_it_ended(host: ProcessToolHost) -> None:
    record = await run(host, "echo out; echo err >&2; exit 3")
    assert (record.exit_code, record.tier, record.reason) == (3, Tier.SANDBOX, "")
    assert record.output == "out\nerr\n"
    assert record.duration_ms >= 0
    assert (await run(host, "kill -SEGV $$")).exit_code == 128 + 11


async def test_the_code_inside_has_a_uid_of_its_own_and_no_capabilities(host: ProcessToolHost) -> None:
    record = await run(host, "id -u; grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status; umask")
    uid, *status = record.output.split("\n")
    assert int(uid) != 0
    assert (int(uid) == os.geteuid()) is (os.geteuid() != 0)
    assert (int(uid) == files_uid()) is (os.geteuid() != 0)
    facts = dict(line.split(":\t") for line in status if ":\t" in line)
    assert int(facts["CapEff"], 16) == 0
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")


async def until_gone(job: Path) -> None:
    """A copy is removed behind the answer."""
    async with asyncio.timeout(60):
        while any(name.startswith("scratch-") for name in await asyncio.to_thread(os.listdir, job)):
            continue


async def test_the_command_gives_way_to_the_service(host: ProcessToolHost) -> None:
    assert (await run(host, "nice; nice -n -5 nice 2>/dev/null")).output.split()[:2] == ["10", "10"]


async def test_the_tree_is_a_copy_that_is_thrown_away(host: ProcessToolHost, tmp_path: Path) -> None:
    assert (await run(host, "echo two > file; mkdir -p d/e; chmod 0 d; echo x > new")).exit_code == 0
    assert (tmp_path / "job" / "tree" / "file").read_text() == "one\n"
    await until_gone(tmp_path / "job")
    assert sorted(path.name for path in (tmp_path / "job").iterdir()) == ["originals", "tree"]
    assert (await run(host, "ls; pwd")).output == "file\n/work\n"


async def test_a_very_deep_tree_is_removed_too(host: ProcessToolHost, tmp_path: Path) -> None:
    deep = "import os\nfor _ in range(3000):\n    os.mkdir('d'); os.chdir('d')"
    assert (await run(host, f'python3 -c "{deep}"')).exit_code == 0
    await until_gone(tmp_path / "job")


@pytest.mark.parametrize("name", ["python", "python3"])
async def test_python_is_found_and_has_its_library(host: ProcessToolHost, name: str) -> None:
    code = "import unittest, json, ssl, ctypes, multiprocessing as m; m.Lock(); print(1)"
    record = await run(host, f"{name} -I -c '{code}'")
    assert (record.output, record.exit_code) == ("1\n", 0)


async def test_the_environment_is_ours_alone(host: ProcessToolHost) -> None:
    names = {line.split("=")[0] for line in (await run(host, "env")).output.split()}
    assert names == {"PATH", "HOME", "TMPDIR", "LANG", "USER", "PYTHONDONTWRITEBYTECODE", "PWD"}
    written = await run(
        host, "cd && touch here && echo ok; touch /tmp/x /home/x /dev/shm/x && echo ok; whoami"
    )
    assert written.output == "ok\nok\nworker\n"


async def test_nothing_outside_is_seen(host: ProcessToolHost, tmp_path: Path) -> None:
    paths = [
        tmp_path / "secret",
        tmp_path,
        "/etc/shadow",
        str(Path.home() / ".bashrc"),
        "/var/lib",
        "/srv",
        "/data",
        "/opt",
    ]
    record = await run(host, "; ".join(f"cat {path} 2>/dev/null; ls {path} 2>/dev/null" for path in paths))
    assert record.output == ""
    environs = await run(
        host, "cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'; ls /proc | grep -c '^[0-9]'"
    )
    assert CANARY not in environs.output
    assert int(environs.output.split()[-1]) < 10


async def test_nothing_outside_its_copy_can_be_written(host: ProcessToolHost) -> None:
    for path in (
        "/x",
        "/usr/x",
        "/etc/x",
        "/run/x",
        "/proc/sys/kernel/hostname",
        "/dev/x",
        "/sys/x",
        "/lib/x",
    ):
        assert (await run(host, f"echo x > {path}")).exit_code != 0, path


async def test_there_is_no_network(host: ProcessToolHost) -> None:
    connections = []
    listener = await asyncio.start_server(lambda *_: connections.append(1), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    code = (
        "import socket\n"
        f"for place in (('127.0.0.1', {port}), ('1.1.1.1', 443), ('169.254.169.254', 80)):\n"
        "    try:\n        socket.create_connection(place, 2); print('escaped')\n"
        "    except OSError: print('refused')\n"
        "print([name for _, name in socket.if_nameindex()])"
    )
    record = await run(host, f'python3 -c "{code}"')
    listener.close()
    await listener.wait_closed()
    assert record.output.split() == ["refused", "refused", "refused", "['lo']"]
    assert not connections


async def test_the_kernels_machinery_is_denied(host: ProcessToolHost) -> None:
    code = """
import ctypes, errno, json, platform
libc = ctypes.CDLL(None, use_errno=True)
x86 = platform.machine() == "x86_64"
calls = {"unshare": (272, 97), "ptrace": (101, 117), "keyctl": (250, 219), "bpf": (321, 280),
         "io_uring_setup": (425, 425), "userfaultfd": (323, 282), "mount": (165, 40), "clone3": (435, 435),
         "setns": (308, 268), "open_by_handle_at": (304, 265), "perf_event_open": (298, 241)}
found = {}
for name, numbers in calls.items():
    assert libc.syscall(numbers[0 if x86 else 1], 0x10000000, 0, 0, 0, 0) < 0
    found[name] = errno.errorcode[ctypes.get_errno()]
libc.syscall(56 if x86 else 220, 0x10000000 | 17, 0, 0, 0, 0)
found["clone"] = errno.errorcode[ctypes.get_errno()]
libc.syscall(16 if x86 else 29, 0, 0x5412, 0)
found["TIOCSTI"] = errno.errorcode[ctypes.get_errno()]
print(json.dumps(found))
"""
    record = await run(host, f"cat > x.py <<'E'\n{code}\nE\npython3 x.py")
    found = json.loads(record.output)
    assert found.pop("clone3") == "ENOSYS"
    assert set(found.values()) == {"EPERM"}


async def test_a_fork_bomb_is_bounded_and_ended(host: ProcessToolHost) -> None:
    started = time.monotonic()
    record = await run(host, f": bomb-{MARK}; b() {{ b | b & }}; b; sleep 1000", seconds=2)
    assert (record.exit_code, record.reason) == (124, "stopped after 2 seconds")
    assert time.monotonic() - started < 2 + 10
    assert not list(commands_with(f"bomb-{MARK}"))
    count = "import os, signal\nn = 0\ntry:\n    while os.fork() or signal.pause(): n += 1\n"
    count += "except OSError: print(n)"
    bounded = await run(host, f'python3 -c "{count}"', seconds=20)
    assert 0 < int(bounded.output) < sandbox.MAX_PROCESSES


async def test_a_gigabyte_of_output_is_cut_in_the_middle(host: ProcessToolHost) -> None:
    record = await run(host, "echo first; head -c 1000000000 /dev/zero | tr '\\0' x; echo last", seconds=60)
    assert record.exit_code == 0
    assert len(record.output) < 1_100_000
    assert record.output.startswith("first\nxxx")
    assert record.output.endswith("xxxlast\n")
    assert "bytes left out" in record.output


async def test_memory_and_file_sizes_are_bounded(host: ProcessToolHost) -> None:
    memory = await run(host, "python3 -c 'bytearray(8 << 30)'")
    assert "MemoryError" in memory.output
    file = await run(host, "truncate -s 100G big")
    assert file.exit_code != 0
    assert (await run(host, "ulimit -n; ulimit -c")).output == f"{sandbox.MAX_OPEN_FILES}\n0\n"


async def test_a_command_that_ignores_signals_is_ended_at_its_time(host: ProcessToolHost) -> None:
    started = time.monotonic()
    record = await run(host, "trap '' TERM INT HUP; echo begun; while :; do :; done", seconds=1)
    assert (record.exit_code, record.output) == (124, "begun\n")
    assert time.monotonic() - started < 1 + 10


async def test_no_process_is_left_behind(host: ProcessToolHost) -> None:
    command = f"(setsid sh -c 'trap \"\" TERM; sleep 999.{MARK}' &) ; echo done"
    record = await run(host, command)
    assert (record.exit_code, record.output) == (0, "done\n")
    assert not list(commands_with(f"999.{MARK}"))


@pytest.mark.parametrize("attempt", range(991, 999))
async def test_killing_the_tool_host_at_any_moment_ends_the_command_too(
    host: ProcessToolHost, attempt: int
) -> None:
    running = asyncio.create_task(run(host, f"sleep {attempt}.{MARK}"))
    while not set(commands_with(f"{attempt}.{MARK}")):  # noqa: ASYNC110 - a process table has no event
        await asyncio.sleep(0.001)
    await asyncio.sleep((attempt - 991) * 0.002)
    await host.close()
    with pytest.raises(Permanent) as caught:
        await running
    assert caught.value.cause is Cause.SANDBOX_ERROR
    deadline = time.monotonic() + 5
    while (left := set(commands_with(f"{attempt}.{MARK}"))) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    assert not left


async def test_the_command_holds_no_file_of_ours(host: ProcessToolHost) -> None:
    record = await run(host, "ls -l /proc/self/fd; readlink /proc/1/fd/*; echo $$")
    links = [line.split(" -> ")[-1] for line in record.output.splitlines() if "/" in line or ":" in line]
    assert not [link for link in links if "memfd" in link or "socket" in link]


async def test_a_command_is_one_argument_and_nothing_else(host: ProcessToolHost) -> None:
    record = await run(host, "--version; echo 'a b' \"$0\" $#")
    assert record.output.endswith("a b /bin/sh 0\n")
