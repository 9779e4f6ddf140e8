"""What stands on the forge and in the database when a job has had exactly one effect."""

from typing import Any

from bot.standin import sample
from bot.standin.forge.plumbing import Bare
from tests.system.rig import Rig


def our_comments(product: Rig, number: int, repository: str = sample.REPOSITORY) -> list[str]:
    """The texts of our own comments in a thread."""
    thread = product.forge.world.repository(repository).threads[number]
    bot = product.forge.world.app.bot
    return [comment.body for comment in thread.comments if comment.author is bot]


def pulls(product: Rig, repository: str = sample.REPOSITORY) -> list[Any]:
    """The threads that are pull requests."""
    threads = product.forge.world.repository(repository).threads.values()
    return [thread for thread in threads if thread.pull is not None]


async def branches(product: Rig, repository: str = sample.REPOSITORY) -> list[str]:
    """The branches besides the default one."""
    found = product.forge.world.repository(repository)
    return [name for name in await Bare(found.path).branches() if name != found.default_branch]


async def open_operations(product: Rig) -> list[dict[str, Any]]:
    """Writes that were begun or promised and are neither done nor failed."""
    return await product.rows("SELECT key, state, error FROM operations WHERE state IN ('intent', 'sent')")


async def one_pull_request(product: Rig, number: int) -> None:
    """Wait for the end of the only job; one branch, one pull request, one comment, nothing left to send."""
    (job,) = await product.until(product.finished_jobs)
    assert (job["status"], job["cause"]) == ("COMPLETED", "pull_request"), job["error"]
    await product.until(lambda: nothing_to_send(product))
    (pull,) = pulls(product)
    assert await branches(product) == [pull.pull.head]
    assert pull.pull.is_draft
    assert [user.login for user in pull.assignees] == [sample.PERSON]
    (text,) = our_comments(product, number)
    assert f"Draft pull request #{pull.number} is ready" in text
    assert job["id"] in text
    assert [reaction.content for reaction in product.thread(number).reactions] == ["eyes"]
    assert await failed_operations(product) == []


async def nothing_to_send(product: Rig) -> bool:
    """Whether no operation is open."""
    return not await open_operations(product)


async def failed_operations(product: Rig) -> list[dict[str, Any]]:
    """Writes that will never be made, with the reason."""
    return await product.rows("SELECT key, error FROM operations WHERE state = 'failed'")
