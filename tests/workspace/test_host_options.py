"""What the worker tells a tool host's process at each start, and the map that it asks of it."""

import os
import signal

import pytest

from bot.domain.enums import Tier
from bot.domain.values import SandboxStatus
from bot.errors import Permanent
from bot.workspace.host import ProcessToolHost
from bot.workspace.toolhost.guidance import TRUSTED
from bot.workspace.workspace import Checkout

NO_SANDBOX = SandboxStatus(Tier.NONE, "bubblewrap was not found", "Install it.")


async def refused(host: ProcessToolHost, path: str) -> bool:
    """Whether the host refuses to read *path*."""
    return (await host.call("read_file", {"path": path}, timeout_seconds=20)).refused


async def test_options_are_told_at_each_start_also_after_the_process_ended(checkout: Checkout) -> None:
    host = ProcessToolHost(checkout.tree.parent, NO_SANDBOX, None)
    host.options = {"exclude": ["src/hello.*"], "guidance": TRUSTED}
    await host.start()
    try:
        assert await refused(host, "src/hello.py")
        assert not await refused(host, "README.md")
        os.kill(host.ready["pid"], signal.SIGKILL)
        assert "ended during the call" in (await host.call("git_diff", {}, timeout_seconds=20)).text
        assert await refused(host, "src/hello.py")
        assert "src/hello" not in (await host.call("search_files", {"pattern": "*"}, timeout_seconds=20)).text
    finally:
        await host.close()


async def test_a_host_that_does_not_take_its_options_does_not_serve(checkout: Checkout) -> None:
    host = ProcessToolHost(checkout.tree.parent, NO_SANDBOX, None)
    host.options = {"exclude": ["[z-a]"]}
    with pytest.raises(Permanent, match="not well formed"):
        await host.start()
    assert host.pid is None
    await host.close()


async def test_the_map_is_asked_of_the_process_and_bounded(checkout: Checkout) -> None:
    host = ProcessToolHost(checkout.tree.parent, NO_SANDBOX, None)
    await host.start()
    whole = await host.survey(2_000)
    assert whole.startswith("Directories, with their files:\n")
    assert "src/ (2)" in whole
    assert len(await host.survey(60)) <= 60
    await host.close()
