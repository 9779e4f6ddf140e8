"""The whole way through the room: fetch, files, edit, changes, verify, discard."""

from bot.domain.enums import Tier
from bot.domain.ports import ToolHost
from bot.workspace.workspace import Checkout, Workspace


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


async def test_discard_leaves_nothing_and_works_twice(workspace: Workspace, checkout: Checkout) -> None:
    await workspace.discard(checkout)
    await workspace.discard(checkout)
    assert not checkout.tree.parent.exists()
