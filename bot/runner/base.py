"""What a job stands on: the repository as GitHub names it now, a commit, and what its own files say there."""

from dataclasses import dataclass
from typing import Final

from bot.agents import repository as own_agents
from bot.agents.registry import Registry
from bot.domain import repo_config
from bot.domain.values import RepositoryConfig, RepositoryRef
from bot.errors import Permanent
from bot.github.repository import RepositoryApi

CONFIG_PATH: Final = ".github/issuewright.yml"
GUIDANCE_PATHS: Final = ("AGENTS.md", "CLAUDE.md")


@dataclass(frozen=True, slots=True)
class Base:
    """A commit of the default branch, with its configuration, its guidance, and the agents that there are.

    `problems` are the mistakes in those files, a line each.
    """

    repository: RepositoryRef
    sha: str
    config: RepositoryConfig
    guidance: str | None
    registry: Registry
    problems: tuple[str, ...] = ()


async def read(api: RepositoryApi, asked: RepositoryRef, registry: Registry, *, sha: str | None) -> Base:
    """Read it at *sha*, where a job goes on from earlier work; else at the tip of the default branch.

    Raises:
        Permanent: The name belongs to another repository now, it is archived, or it has no commit.
        RetryLater: GitHub cannot say.
    """
    info = await api.info()
    check_identity(info, asked)
    if info.is_archived:
        raise Permanent("the repository is archived and takes no changes; unarchive it and ask again")
    sha = sha or await api.branch_sha(info.default_branch)
    if sha is None:
        raise Permanent(
            "the repository has no commit on its default branch; push a first commit and ask again"
        )
    config = repo_config.parse(await api.file(CONFIG_PATH, sha))
    agents, problems = registry.with_repository(await _agents(api, sha))
    return Base(
        repository=RepositoryRef(info.id, info.full_name, info.default_branch, info.is_private),
        sha=sha,
        config=config,
        guidance=await _guidance(api, sha),
        registry=agents,
        problems=(*(f"{CONFIG_PATH}: {problem}" for problem in config.problems), *problems),
    )


async def _guidance(api: RepositoryApi, sha: str) -> str | None:
    for path in GUIDANCE_PATHS:
        content = await api.file(path, sha)
        if content is not None:
            return content.decode("utf-8", errors="replace")
    return None


async def _agents(api: RepositoryApi, sha: str) -> dict[str, bytes]:
    """The repository's own agents, path to content; one more than may be used, so that this can be told."""
    paths = [path for path in await api.folder(own_agents.FOLDER, sha) if path.endswith(".md")]
    found = {path: await api.file(path, sha) for path in paths[: own_agents.MAX_FILES + 1]}
    return {path: content for path, content in found.items() if content is not None}


def check_identity(found: RepositoryRef, asked: RepositoryRef) -> None:
    """Let *found* pass when it is the repository that was *asked* for: the number counts, not the name.

    A name that was given up can be taken by anybody, and a token reads every public repository.

    Raises:
        Permanent: The name belongs to another repository now.
    """
    if found.id != asked.id:
        raise Permanent(f"the name {asked.full_name} belongs to another repository now; ask again there")
