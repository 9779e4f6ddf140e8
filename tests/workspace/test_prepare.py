"""`prepare` on the base, and what a verification begins with: never with what a command of the model left."""

from pathlib import Path

import pytest

from bot.domain.enums import Tier
from bot.domain.values import SandboxStatus
from bot.workspace.host import ProcessToolHost
from bot.workspace.sandbox import Launcher, find_bwrap
from bot.workspace.toolhost import verification
from bot.workspace.toolhost.verification import Scratch
from tests.workspace.program import kill
from tests.workspace.test_commands import host, lay_out, run, tool

__all__ = ["host"]
pytestmark = pytest.mark.skipif(find_bwrap() is None, reason="no bubblewrap here")


async def verified(host: ProcessToolHost, command: str, **how: object) -> str:
    """The output of a verification that passes."""
    record = await host.verify(command, timeout_seconds=30, **how)  # type: ignore[arg-type]
    assert (record.exit_code, record.tier) == (0, Tier.SANDBOX), record
    return record.output


async def test_what_was_prepared_is_there_for_every_command(host: ProcessToolHost) -> None:
    records = await host.prepare(
        ["mkdir build && echo made > build/out", "cat build/out; echo dep > ~/dep"], timeout_seconds=30
    )
    assert [(record.exit_code, record.output) for record in records] == [(0, ""), (0, "made\n")]
    assert await verified(host, "cat build/out ~/dep app.py") == "made\ndep\nprint('one')\n"
    assert "dep" in await run(host, "cat ~/dep")
    assert await host.changes() == []


async def test_what_is_excluded_stays_hidden_where_prepare_has_copied_it(tmp_path: Path) -> None:
    job = lay_out(tmp_path / "job")
    (job / "tree" / "key.pem").write_text("SECRET-1\n")
    host = ProcessToolHost(job, SandboxStatus(Tier.SANDBOX), find_bwrap())
    host.options = {"exclude": ["*.pem", "vault"]}
    made = "mkdir -p dist/deep ~/.cache/Vault lib/deep/more vault; ln -s key.pem dist/link.pem"
    copies = "for to in dist dist/deep ~ ~/.cache/Vault/k lib/deep/more vault/k; do cp key.pem $to; done"
    records = await host.prepare(
        [made, copies, "echo kept | tee dist/deep/out > ~/.cache/out"], timeout_seconds=30
    )
    assert [record.exit_code for record in records] == [0, 0, 0]
    for _ in range(2):
        told = await run(
            host,
            "grep -rs SECRET . ~; find . ~ -iname '*.pem' -o -iname vault; cat dist/deep/out ~/.cache/out",
        )
        assert told.splitlines()[1:] == ["kept", "kept"]
    look = "cat dist/deep/key.pem ~/.cache/Vault/k"
    assert "SECRET-1" in await verified(host, look)
    shown = await host.verify(f"{look}; cat dist/deep/out", timeout_seconds=30, as_shown=True)
    assert shown.output.count("No such file") == 2
    assert shown.output.endswith("kept\n")
    await host.close()


async def test_the_base_is_prepared_whatever_the_tools_have_done_before(host: ProcessToolHost) -> None:
    await tool(host, "edit_file", path="app.py", old="one", new="two")
    await tool(host, "write_file", path="extra.txt", content="x\n")
    await tool(host, "delete_file", path="lib/deep/x.txt")
    (record,) = await host.prepare(["cat app.py lib/deep/x.txt; ls; cp app.py seen"], timeout_seconds=30)
    assert record.output == "print('one')\nx\napp.py\nlib\nlink\nrun.sh\n"
    after = "cat app.py seen extra.txt; ls -d lib || true"
    assert (await verified(host, after)).startswith("print('two')\nprint('one')\nx\nls: cannot access")
    assert await verified(host, "cat app.py; ls -d lib", at_base=True) == "print('one')\nlib\n"


async def test_without_prepare_the_base_is_the_tree_without_the_change(host: ProcessToolHost) -> None:
    await tool(host, "edit_file", path="app.py", old="one", new="two")
    await tool(host, "write_file", path="new/n.txt", content="x\n")
    assert await verified(host, "cat app.py; ls -d new || true", at_base=True) == (
        "print('one')\nls: cannot access 'new': No such file or directory\n"
    )
    assert await verified(host, "cat app.py new/n.txt", as_before=["app.py"]) == "print('one')\nx\n"
    assert await verified(host, "cat app.py new/n.txt") == "print('two')\nx\n"


@pytest.mark.parametrize("is_prepared", [False, True])
async def test_nothing_that_a_command_left_reaches_a_verification(
    host: ProcessToolHost, is_prepared: bool
) -> None:
    if is_prepared:
        await host.prepare(["echo real > tool"], timeout_seconds=30)
    await run(host, "echo 'exit 0' > app.py; echo fake > tool; echo evil > sitecustomize.py")
    await run(host, "echo x > ~/.profile; echo x > /tmp/left")
    found = await verified(host, "cat app.py; cat tool || true; ls -a . ~ /tmp")
    assert "sitecustomize" not in found
    assert ".profile" not in found
    assert "fake" not in found
    assert "left" not in found
    assert found.startswith("print('one')\n" + ("real\n" if is_prepared else ""))


async def test_a_prepare_that_fails_is_the_reason_why_nothing_is_verified(host: ProcessToolHost) -> None:
    records = await host.prepare(["echo begun", "npm-that-is-not ci", "echo never"], timeout_seconds=30)
    assert [record.exit_code for record in records] == [0, 127]
    record = await host.verify("true", timeout_seconds=30)
    assert (record.exit_code, record.tier) == (None, Tier.NONE)
    assert record.reason == "`prepare` failed: npm-that-is-not ci ended with exit code 127"
    assert (await run(host, "ls begun 2>/dev/null; echo still")).splitlines()[1:] == ["still"]


async def test_a_prepare_that_is_too_slow_says_so(host: ProcessToolHost) -> None:
    await host.prepare(["sleep 50"], timeout_seconds=0.5)
    record = await host.verify("true", timeout_seconds=30)
    assert record.reason == "`prepare` failed: sleep 50 stopped after 0.5 seconds"


async def test_what_was_prepared_outlives_the_process(host: ProcessToolHost) -> None:
    await host.prepare(["echo dep > dep; mkdir shut; touch shut/x; chmod 0 shut"], timeout_seconds=30)
    await kill(host)
    await host.call("git_diff", {}, timeout_seconds=10)
    assert await verified(host, "cat dep; ls shut") == "dep\nx\n"


async def test_a_change_that_prepare_has_buried_is_said_and_not_run(host: ProcessToolHost) -> None:
    await host.prepare(["rm -r lib; ln -s /etc lib"], timeout_seconds=30)
    await tool(host, "write_file", path="lib/passwd", content="root\n")
    record = await host.verify("true", timeout_seconds=30)
    assert (record.exit_code, record.tier) == (None, Tier.NONE)
    assert record.reason == (
        "the change does not fit on what `prepare` left: "
        "lib/passwd cannot be put where something else stands now"
    )


async def test_a_prepare_that_died_leaves_nothing_half_done(tmp_path: Path) -> None:
    job = lay_out(tmp_path)
    (job / "originals").mkdir()
    launcher, scratch = Launcher(str(find_bwrap())), Scratch(job)
    assert [r["exit_code"] for r in verification.prepare(launcher, scratch, ["echo 1 > one"], 30)] == [0]
    assert [r["exit_code"] for r in verification.prepare(launcher, scratch, ["ls one"], 30)] == [2]
    scratch.settle()
    assert sorted(path.name for path in job.iterdir()) == ["originals", "tree"]


async def test_without_a_sandbox_nothing_is_prepared(tmp_path: Path) -> None:
    host = ProcessToolHost(lay_out(tmp_path), SandboxStatus(Tier.NONE, "none"), None)
    assert await host.prepare(["true"], timeout_seconds=30) == []
    assert host.pid is None
    await host.close()
