"""Changes of pull requests and of branches, with the webhooks they cause."""

from dataclasses import dataclass

from bot.standin.forge import refusals
from bot.standin.forge.actions import Writer, check_body, check_title, new_thread, set_state, touch
from bot.standin.forge.events import thread_event
from bot.standin.forge.history import count_commits, merge_base
from bot.standin.forge.plumbing import Bare, GitRefused
from bot.standin.forge.stage import Stage
from bot.standin.forge.state import Pull, Repository, Thread, User
from bot.standin.forge.trees import Person, write_commit


@dataclass(frozen=True, slots=True)
class PullRequest:
    """What a new pull request is to hold; head and base are branches of the repository."""

    title: str
    body: str | None
    head: str
    base: str
    is_draft: bool


async def open_pull(
    stage: Stage, repository: Repository, by: Writer, wanted: PullRequest
) -> tuple[Thread, Pull]:
    """A new pull request; raises the 422 refusals of GitHub."""
    check_title("PullRequest", wanted.title)
    check_body("PullRequest", wanted.body)
    head_sha, base_sha = await _sides(Bare(repository.path), wanted)
    _check_is_first(repository, wanted)
    thread = new_thread(stage, repository, by, wanted.title, wanted.body)
    thread.pull = pull = Pull(
        id=stage.world.new_id("pull"),
        head=wanted.head,
        base=wanted.base,
        is_draft=wanted.is_draft,
        head_sha=head_sha,
        base_sha=base_sha,
    )
    await thread_event(stage, repository, thread, "opened", by.account)
    return thread, pull


async def _sides(bare: Bare, wanted: PullRequest) -> tuple[str, str]:
    head_sha, base_sha = await bare.branch(wanted.head), await bare.branch(wanted.base)
    if head_sha is None:
        raise refusals.invalid("PullRequest", "head")
    if base_sha is None:
        raise refusals.invalid("PullRequest", "base")
    if await merge_base(bare, base_sha, head_sha) is None:
        words = f"The {wanted.head} branch has no history in common with {wanted.base}"
        raise refusals.invalid("PullRequest", None, "custom", words)
    if await count_commits(bare, base_sha, head_sha) == 0:
        words = f"No commits between {wanted.base} and {wanted.head}"
        raise refusals.invalid("PullRequest", None, "custom", words)
    return head_sha, base_sha


def _check_is_first(repository: Repository, wanted: PullRequest) -> None:
    for thread in repository.threads.values():
        pull = thread.pull
        if pull and thread.state == "open" and (pull.head, pull.base) == (wanted.head, wanted.base):
            words = f"A pull request already exists for {repository.owner.login}:{wanted.head}."
            raise refusals.invalid("PullRequest", None, "custom", words)


async def set_pull_state(
    stage: Stage, repository: Repository, thread: Thread, sender: User, state: str
) -> None:
    """Close (freezing the SHAs) or reopen; a merged one or one without its branch stays closed."""
    bare, pull = Bare(repository.path), thread.pull
    if pull is not None and (thread.state, state) == ("open", "closed"):
        pull.head_sha = await bare.branch(pull.head) or pull.head_sha
        pull.base_sha = await bare.branch(pull.base) or pull.base_sha
    if pull is not None and (thread.state, state) == ("closed", "open"):
        is_gone = pull.merged_at is not None or await bare.branch(pull.head) is None
        if is_gone:
            words = "state cannot be changed. The branch was merged or deleted."
            raise refusals.invalid("PullRequest", "state", "invalid", words)
    await set_state(stage, repository, thread, sender, state)


async def merge_pull(stage: Stage, repository: Repository, thread: Thread, sender: User) -> None:
    """Merge with a merge commit, as a person does on the page."""
    pull = thread.pull
    if pull is None or thread.state != "open":
        raise refusals.not_found()
    bare, now = Bare(repository.path), stage.world.clock.now()
    head, base = await bare.branch(pull.head), await bare.branch(pull.base)
    if head is None or base is None:
        raise refusals.invalid("PullRequest", "head")
    try:
        merged = await bare.text("merge-tree", "--write-tree", base, head)
    except GitRefused:
        raise refusals.Refusal(405, "Pull Request is not mergeable") from None
    person = Person(sender.login, f"{sender.login}@example.com", now)
    pull.merge_commit_sha = await write_commit(
        bare,
        tree=merged.splitlines()[0],
        parents=(base, head),
        author=person,
        committer=person,
        message=f"Merge pull request #{thread.number} from {pull.head}",
    )
    await bare.update_ref(f"refs/heads/{pull.base}", pull.merge_commit_sha, base)
    pull.head_sha, pull.base_sha = head, base
    pull.merged_at, pull.merged_by, pull.is_draft = now, sender, False
    await set_state(stage, repository, thread, sender, "closed")


async def branch_moved(
    stage: Stage, repository: Repository, branch: str, before: str | None, sender: User
) -> None:
    """Tell of what a moved or deleted branch means for its open pull requests."""
    now = await Bare(repository.path).branch(branch)
    repository.pushed_at = stage.world.clock.now()
    for thread in list(repository.threads.values()):
        pull = thread.pull
        if pull is None or thread.state != "open" or pull.head != branch or now == before:
            continue
        if now is None:
            await set_state(stage, repository, thread, sender, "closed")
            continue
        pull.head_sha = now
        touch(stage, thread)
        await thread_event(stage, repository, thread, "synchronize", sender, before=before, after=now)
