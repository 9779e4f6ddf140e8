"""What stands on the forge and in the database when a job has had exactly one effect."""

from typing import Any, Final

from bot.standin import sample
from bot.standin.forge.plumbing import Bare
from tests.system.rig import Rig

_JOB = """
SELECT j.*, r.cause, r.phase, i.status AS "issueStatus" FROM agent_jobs j
JOIN job_runs r ON r."jobId" = j.id JOIN job_origins o ON o."jobId" = j.id
JOIN agent_issues i ON i.id = j."issueId"
WHERE o.number = :number AND o."repositoryId" = :repository ORDER BY j.id
"""


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


async def jobs_of(product: Rig, number: int, repository: str = sample.REPOSITORY) -> list[dict[str, Any]]:
    """The jobs of a thread, oldest first, each with its cause, its phase and the state of its issue."""
    repository_id = product.forge.world.repository(repository).id
    return await product.rows(_JOB, number=number, repository=repository_id)


async def ended(product: Rig, number: int, repository: str = sample.REPOSITORY) -> list[dict[str, Any]]:
    """The jobs of a thread once there are some, all of them are final and nothing is left to send."""
    jobs = await jobs_of(product, number, repository)
    is_over = all(job["phase"] == "settled" for job in jobs)
    return jobs if is_over and not await open_operations(product) else []


async def open_operations(product: Rig) -> list[dict[str, Any]]:
    """Writes that were begun or promised and are neither done nor failed."""
    return await product.rows("SELECT key, state, error FROM operations WHERE state IN ('intent', 'sent')")


async def failed_operations(product: Rig) -> list[dict[str, Any]]:
    """Writes that will never be made, with the reason."""
    return await product.rows("SELECT key, error FROM operations WHERE state = 'failed'")


READY: Final = "Draft pull request #{} is ready"
FOUND: Final = "Pull request #{} was opened for this request before."


async def one_pull_request(product: Rig, number: int, says: str = READY) -> None:
    """Wait for the end of the thread's only job: one branch, one pull request, one comment that *says* so."""
    (job,) = await product.until(lambda: ended(product, number))
    assert (job["status"], job["cause"], job["error"]) == ("COMPLETED", "pull_request", None), job
    assert job["issueStatus"] == "REVIEW", job
    branch, *more = [name for name in await branches(product) if name.startswith(f"issuewright/{number}-")]
    assert not more, more
    (pull,) = [thread for thread in pulls(product) if thread.pull.head == branch]
    assert pull.pull.is_draft
    assert [user.login for user in pull.assignees] == [sample.PERSON]
    (text,) = our_comments(product, number)
    assert says.format(pull.number) in text
    assert job["id"] in text
    assert [reaction.content for reaction in product.thread(number).reactions] == ["eyes"]
    assert not (failed := await failed_operations(product)), failed
