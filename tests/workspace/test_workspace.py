"""The whole way through the room: fetch, files, edit, changes, verify, discard."""

from pathlib import Path

from bot.domain.enums import Tier
from bot.domain.ports import ToolHost
from bot.domain.values import SandboxStatus
from bot.workspace.workspace import Checkout, Workspace
from tests.workspace.conftest import REPOSITORY
from tests.workspace.githttp import TOKEN, GitServer


async def test_a_change_made_by_the_tools_is_seen_by_the_sandbox(host: ToolHost) -> None:
    before = await host.verify(
        "grep -q hello src/hello.py && ! grep -q helo\\' src/hello.py", timeout_seconds=20
    )
    arguments = {"path": "src/hello.py", "old": "'helo'", "new": "'hello'"}
    edited = await host.call("edit_file", arguments, timeout_seconds=20)
    after = await host.verify("! grep -q helo\\' src/hello.py", timeout_seconds=20)
    assert (before.exit_code, after.exit_code) == (1, 0)
    assert (before.tier, after.tier) == (Tier.SANDBOX, Tier.SANDBOX)
    assert edited.text == "Edited src/hello.py at line 2."
    changes = await host.changes()
    assert [change.path for change in changes] == ["src/hello.py"]
    assert changes[0].patch == (
        "diff --git a/src/hello.py b/src/hello.py\n--- a/src/hello.py\n+++ b/src/hello.py\n@@ -1,2 +1,2 @@\n"
        " def hello():\n-    return 'helo'\n+    return 'hello'\n"
    )


async def test_the_installation_limits_how_long_a_command_runs(
    server: GitServer, checkout: Checkout, tmp_path: Path
) -> None:
    held = SandboxStatus(Tier.SANDBOX)
    short = Workspace(tmp_path / "data", git_url=server.url, verify_timeout_seconds=0.5, sandbox=held)
    host = await short.open_host(checkout)
    record = await host.verify("sleep 100", timeout_seconds=90)
    await host.close()
    assert (record.exit_code, record.reason) == (124, "stopped after 0.5 seconds")


async def test_only_proxy_and_certificate_variables_reach_git(tmp_path: Path) -> None:
    given = {"HTTPS_PROXY": "http://proxy:3128", "LD_PRELOAD": "/tmp/x.so", "GIT_SSH_COMMAND": "id"}
    workspace = Workspace(
        tmp_path, git_url="https://github.com", verify_timeout_seconds=1, network_environment=given
    )
    assert workspace._git.remote.proxies == {"HTTPS_PROXY": "http://proxy:3128"}


async def test_discard_leaves_nothing_and_works_twice(workspace: Workspace, checkout: Checkout) -> None:
    await workspace.discard(checkout)
    await workspace.discard(checkout)
    assert not checkout.tree.parent.exists()


async def test_an_attempt_that_wakes_late_leaves_its_successors_files_alone(
    server: GitServer, workspace: Workspace, checkout: Checkout, tmp_path: Path
) -> None:
    """Worker A stalls, B takes the same job up on the same disk, and A wakes and lets go."""
    other = Workspace(tmp_path / "data", git_url=server.url, verify_timeout_seconds=1)
    successor = await other.checkout(REPOSITORY, checkout.base_sha, TOKEN, "job1")
    assert checkout.tree.exists(), "A still has what it holds"
    (successor.tree / "README.md").write_text("B's work")
    await workspace.discard(checkout)
    await workspace.discard(successor)
    assert (successor.tree / "README.md").read_text() == "B's work"
    third = await workspace.checkout(REPOSITORY, checkout.base_sha, TOKEN, "job1")
    assert (third.tree / "README.md").read_text() == "# Hello\n"
    assert (successor.tree / "README.md").read_text() == "B's work"
    await other.discard(successor)
    assert [path.name for path in (tmp_path / "data" / "jobs").iterdir()] == [third.tree.parent.name]


async def test_what_stands_in_place_of_a_jobs_directory_is_not_thrown_away(
    workspace: Workspace, checkout: Checkout, tmp_path: Path
) -> None:
    job = checkout.tree.parent
    job.rename(tmp_path / "moved")
    checkout.tree.mkdir(parents=True)
    (checkout.tree / "README.md").write_text("another's")
    await workspace.discard(checkout)
    assert (checkout.tree / "README.md").read_text() == "another's"
