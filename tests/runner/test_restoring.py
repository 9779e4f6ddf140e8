"""The tree of an earlier attempt, built again."""

import pytest

from bot.domain.enums import Cause
from bot.domain.past import ChangedFile, Restore
from bot.domain.values import FileChange, Json, ToolResult
from bot.errors import Permanent
from bot.runner.restoring import restore

SHA = "0" * 40


class Folder:
    """Tools over a dict that know, as a file system does, that nothing stands below a file."""

    def __init__(self, *paths: str) -> None:
        self.files = dict.fromkeys(paths, "old")

    async def call(self, name: str, arguments: Json, *, timeout_seconds: float) -> ToolResult:
        assert timeout_seconds > 0
        path = arguments["path"]
        if name == "delete_file":
            return ToolResult("gone" if self.files.pop(path, None) else "", is_error=False)
        if any(each.startswith(f"{path}/") or path.startswith(f"{each}/") for each in self.files):
            return ToolResult("is in the way", is_error=True)
        self.files[path] = arguments["content"]
        return ToolResult("Written.")

    async def changes(self) -> list[FileChange]:
        return []


async def test_a_file_may_have_taken_the_place_of_a_folder_and_a_folder_that_of_a_file() -> None:
    tools = Folder("box/inner.txt", "old", "kept")
    files = [("box", "new"), ("box/inner.txt", None), ("old/a", "new"), ("old", None)]
    tree = Restore(SHA, tuple(ChangedFile(path, content, False) for path, content in files))

    await restore(tools, tree)

    assert tools.files == {"box": "new", "old/a": "new", "kept": "old"}


async def test_a_file_that_cannot_be_made_ends_the_job_in_words() -> None:
    tree = Restore(SHA, (ChangedFile("box", "new", False),))
    with pytest.raises(Permanent, match=r"could not be built again \(box: is in the way\)") as caught:
        await restore(Folder("box/inner.txt"), tree)
    assert caught.value.cause is Cause.SANDBOX_ERROR
