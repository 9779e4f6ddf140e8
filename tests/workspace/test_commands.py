"""The model's own commands: one copy over the job, up to date with the tools, no part of the change."""

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.domain.enums import Tier
from bot.domain.values import SandboxStatus
from bot.workspace.host import ProcessToolHost
from bot.workspace.sandbox import Launcher, find_bwrap
from bot.workspace.toolhost.commands import HEAD_CHARS, TAIL_CHARS, Commands
from bot.workspace.toolhost.confine import files_uid

pytestmark = pytest.mark.skipif(find_bwrap() is None, reason="no bubblewrap here")
FILES = {"app.py": "print('one')\n", "lib/deep/x.txt": "x\n", "run.sh": "echo run\n"}


def lay_out(job: Path) -> Path:
    """A job whose tree holds FILES."""
    for path, text in FILES.items():
        file = job / "tree" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (job / "tree" / "run.sh").chmod(0o755)
    (job / "tree" / "link").symlink_to("app.py")
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "-h", f"{files_uid()}:{files_uid()}", job / "tree"], check=True)
    return job


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[ProcessToolHost]:
    """A host on FILES."""
    running = ProcessToolHost(lay_out(tmp_path / "job"), SandboxStatus(Tier.SANDBOX), find_bwrap())
    yield running
    await running.close()


async def run(host: ProcessToolHost, command: str, **more: int) -> str:
    """What the model is told about *command*."""
    result = await host.call("run_command", {"command": command, **more}, timeout_seconds=60)
    assert not result.is_error, result.text
    return result.text


async def tool(host: ProcessToolHost, name: str, **arguments: str) -> None:
    """Use a file tool."""
    result = await host.call(name, arguments, timeout_seconds=10)
    assert not result.is_error, result.text


async def test_a_command_answers_its_exit_code_its_time_and_its_output(host: ProcessToolHost) -> None:
    first, *rest = (await run(host, "echo out; echo err >&2; exit 3")).splitlines()
    assert first.startswith("exit code 3 after 0.")
    assert rest == ["out", "err"]
    assert (await run(host, "true")).splitlines()[1:] == ["(no output)"]


async def test_what_was_built_is_there_for_the_next_command_and_in_no_change(host: ProcessToolHost) -> None:
    told = await run(host, "mkdir build && echo made > build/out && echo cache > ~/cached")
    assert "[New in its private copy, kept there for the next command: build.]" in told
    again = await run(host, "cat build/out ~/cached")
    assert again.splitlines()[1:] == ["made", "cache"]
    assert await host.changes() == []
    listed = await host.call("list_directory", {}, timeout_seconds=10)
    assert "build" not in listed.text


async def test_every_command_sees_what_the_tools_have_done_meanwhile(host: ProcessToolHost) -> None:
    assert "one" in await run(host, "python3 app.py; ls -l run.sh | cut -c1-10; readlink link")
    await tool(host, "edit_file", path="app.py", old="one", new="two")
    await tool(host, "write_file", path="new/dir/n.txt", content="fresh\n")
    await tool(host, "delete_file", path="lib/deep/x.txt")
    lines = (
        await run(host, "python3 app.py; cat new/dir/n.txt; ls -d lib; ls -l run.sh | cut -c1-10")
    ).split("\n")
    assert lines[1:] == ["two", "fresh", "ls: cannot access 'lib': No such file or directory", "-rwxr-xr-x"]
    await tool(host, "delete_file", path="new/dir/n.txt")
    await tool(host, "write_file", path="lib/deep/x.txt", content="back\n")
    assert (await run(host, "ls -d new 2>/dev/null; cat lib/deep/x.txt")).split("\n")[1:] == ["back"]


async def test_what_a_command_does_to_the_repositorys_files_is_told_and_undone(host: ProcessToolHost) -> None:
    told = await run(host, "echo bad > app.py; chmod -x run.sh; rm -r lib; rm link; touch run.sh; cat app.py")
    assert "the command changed app.py, run.sh." in told
    assert "the command deleted lib, link." in told
    assert await host.changes() == []
    again = await run(host, "cat app.py lib/deep/x.txt; ./run.sh; readlink link")
    assert again.split("\n")[1:] == ["print('one')", "x", "run", "app.py"]


async def test_a_file_that_is_only_touched_or_written_as_it_was_is_no_change(host: ProcessToolHost) -> None:
    told = await run(host, "touch app.py; cp run.sh r; cp r run.sh; rm r")
    assert told.splitlines()[1:] == ["(no output)"]


@pytest.mark.parametrize(
    "trap",
    [
        "rm -r lib; ln -s /etc lib",
        "rm -r lib/deep; ln -s /usr lib/deep",
        "rm app.py; ln -s /etc/passwd app.py",
        "rm app.py; mkdir -p app.py/inner",
        "ln app.py hard",
        "rm app.py; mkfifo app.py",
        "chmod 0 lib",
        "rm -r lib; echo file > lib",
        "mkdir .issuewright-draft",
    ],
)
async def test_no_trap_in_the_copy_catches_the_next_command(host: ProcessToolHost, trap: str) -> None:
    await run(host, trap)
    await tool(host, "edit_file", path="app.py", old="one", new="two")
    await tool(host, "write_file", path="lib/deep/x.txt", content="y\n")
    told = await run(host, "python3 app.py; cat lib/deep/x.txt")
    assert told.split("\n")[1:3] == ["two", "y"]


async def test_long_output_is_cut_in_its_middle_and_can_be_read_exactly(host: ProcessToolHost) -> None:
    whole = "".join(f"line {number}\n" for number in range(20_000))
    told = await run(host, "seq -f 'line %.0f' 0 19999")
    assert len(told) < HEAD_CHARS + TAIL_CHARS + 300
    assert f"\n{whole[:HEAD_CHARS]}\n[… " in told
    assert told.endswith(whole[-TAIL_CHARS:])
    assert f"read_output with run 1 and offset {HEAD_CHARS} shows them" in told
    read, offset = "", 0
    while offset < len(whole):
        result = await host.call("read_output", {"run": 1, "offset": offset}, timeout_seconds=10)
        piece = result.text.split("\n", 1)[1]
        read, offset = read + piece, offset + len(piece)
    assert read == whole
    end = await host.call("read_output", {"run": 1, "offset": 10**9, "limit": 5}, timeout_seconds=10)
    assert end.text.startswith(
        f"[run 1, characters {len(whole)} to {len(whole)} of {len(whole)}; this is the end]"
    )


async def test_only_the_last_outputs_are_kept(host: ProcessToolHost) -> None:
    for number in range(10):
        await run(host, f"echo {number}")
    gone = await host.call("read_output", {"run": 2}, timeout_seconds=10)
    assert (gone.is_error, gone.text) == (
        True,
        "The output of run 2 is not kept; kept are: 3, 4, 5, 6, 7, 8, 9, 10.",
    )
    wrong = await host.call("read_output", {"run": "x"}, timeout_seconds=10)
    assert (wrong.is_error, wrong.text) == (True, "The argument run must be of type int.")


async def test_a_command_is_stopped_at_its_own_time_and_at_the_operators(host: ProcessToolHost) -> None:
    told = await run(host, "echo begun; sleep 100", timeout_seconds=1)
    assert told.splitlines()[0].endswith("; stopped after 1 seconds")
    host.max_command_seconds = 0.5
    assert "stopped after 0.5 seconds" in await run(host, "sleep 100", timeout_seconds=50)
    host.max_command_seconds = 600
    late = await host.call("run_command", {"command": "sleep 100"}, timeout_seconds=0.7)
    assert "stopped after 0.7 seconds" in late.text


async def test_without_a_sandbox_nothing_runs(tmp_path: Path) -> None:
    host = ProcessToolHost(lay_out(tmp_path), SandboxStatus(Tier.NONE, "bubblewrap was not found"), None)
    result = await host.call("run_command", {"command": "touch ran"}, timeout_seconds=10)
    assert (result.is_error, "bubblewrap was not found" in result.text) == (True, True)
    assert host.pid is None
    await host.close()


async def test_a_new_process_makes_the_copy_anew(host: ProcessToolHost) -> None:
    await run(host, "echo left > made")
    os.kill(host.pid or 0, 9)
    lost = await host.call("run_command", {"command": "cat made"}, timeout_seconds=20)
    assert lost.is_error
    assert "No such file" in await run(host, "cat made")


async def test_a_command_sees_no_file_that_is_kept_from_the_model(tmp_path: Path) -> None:
    job = lay_out(tmp_path / "job")
    (job / "tree" / "key.pem").write_text("SECRET-1\n")
    (job / "tree" / "lib" / "private").mkdir()
    (job / "tree" / "lib" / "private" / "notes.txt").write_text("SECRET-2\n")
    host = ProcessToolHost(job, SandboxStatus(Tier.SANDBOX), find_bwrap())
    host.options = {"exclude": ["*.pem", "/lib/private/"]}
    find = "grep -r SECRET . ; ls -R"
    for _ in range(2):
        told = await run(host, find)
        assert "SECRET" not in told
        assert "notes.txt" not in told
        assert "private copy" not in told
    record = await host.verify("cat key.pem", timeout_seconds=20)
    assert record.output == "SECRET-1\n"
    await host.close()


async def test_a_secret_in_an_output_is_masked_from_wherever_it_is_read(host: ProcessToolHost) -> None:
    token = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7cF0iL3oRu"
    assert token not in await run(host, f"echo {token[:10]}{token[10:]}")
    for offset in (0, 3, 9, 20):
        piece = await host.call("read_output", {"run": 1, "offset": offset}, timeout_seconds=10)
        assert token[12:30] not in piece.text


def test_a_tree_that_cannot_be_copied_is_said(tmp_path: Path) -> None:
    answer = Commands(Launcher("/bin/false"), tmp_path).run("true", 5)
    assert answer.is_error
    assert answer.text.startswith("The command was not run: ")
    assert not (tmp_path / "run" / "work").exists()
