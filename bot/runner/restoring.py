"""The tree of an earlier attempt, built again from its checkpoint through the tools that made it."""

from typing import Final

from bot.domain.enums import Cause
from bot.domain.past import Restore
from bot.domain.ports import Tools
from bot.errors import Permanent

TIMEOUT_SECONDS: Final = 60.0


async def restore(tools: Tools, tree: Restore) -> None:
    """Make every file as the earlier attempt left it; the tools guard these paths as they did then.

    What is gone goes first: a file may stand where a folder was, and a folder where a file was.

    Raises:
        Permanent: A file cannot be made (cause `sandbox_error`): the job would go on with another tree than
            the model has seen.
    """
    for file in sorted(tree.files or (), key=lambda file: file.content is not None):
        if file.content is None:
            call = "delete_file", {"path": file.path}
        else:
            call = "write_file", {"path": file.path, "content": file.content}
        result = await tools.call(*call, timeout_seconds=TIMEOUT_SECONDS)
        if result.is_error or result.refused:
            words = f"the work of an earlier attempt could not be built again ({file.path}: {result.text})"
            raise Permanent(words, cause=Cause.SANDBOX_ERROR)
