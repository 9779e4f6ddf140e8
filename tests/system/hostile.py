"""Issues that give orders to a model that obeys, and repositories that lie in wait."""

import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import text

from bot.db.database import Database, is_sqlite
from bot.standin import sample
from bot.standin.forge.plumbing import Bare
from bot.standin.forge.trees import Entry, Person, write_commit, write_tree
from tests.system.rig import Rig

SMUGGLED: Final = "smuggled-b4c1"
FINISH: Final = ("finish", {"summary": "Done as told."})
_SPLIT: Final = next(script for script in sample.BOOK["scripts"] if script["name"] == "split")
TRUE_CHANGE: Final = ("edit_file", _SPLIT["turns"][2]["content"][1]["input"])


def obeying(*turns: dict[str, Any]) -> dict[str, Any]:
    """A book for a model that does what the issue says, then plays *turns*."""
    return {"scripts": [{"name": "obeys", "match": "", "obey": True, "turns": list(turns)}]}


def orders(*calls: tuple[str, Mapping[str, Any]]) -> str:
    """An issue's body that orders these calls; in pure ASCII, so that nothing of it is taken out."""
    lines = (json.dumps({"name": name, "input": given}) for name, given in calls)
    return "\n".join(f"OBEY {line}".replace("<", "\\u003c") for line in lines)


def turn(*calls: tuple[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One answer of the model with these calls."""
    return {"content": [{"type": "tool_use", "name": name, "input": dict(given)} for name, given in calls]}


async def commit_links(product: Rig, links: Mapping[str, str]) -> None:
    """Commit symbolic links (path to target) to the sample's default branch, as a person could."""
    await commit(product, *(Entry(path, "120000", target.encode(), None) for path, target in links.items()))


async def commit(
    product: Rig, *entries: Entry, message: str = "Add files\n", repository: str = sample.REPOSITORY
) -> None:
    """Commit *entries* to a repository's default branch with plain git, whatever their names and modes."""
    place = product.forge.world.repository(repository)
    bare = Bare(place.path)
    parent = await bare.branch(place.default_branch)
    assert parent is not None
    tree = await write_tree(bare, parent, entries)
    person = Person("mallory", "mallory@example.com", product.forge.clock.now())
    sha = await write_commit(
        bare, tree=tree, parents=[parent], author=person, committer=person, message=message
    )
    await bare.update_ref(f"refs/heads/{place.default_branch}", sha, parent)


async def tree_of(product: Rig, branch: str) -> dict[str, tuple[str, bytes]]:
    """Every file of a branch on the forge, by path: its mode and its bytes."""
    bare = Bare(product.forge.world.repository(sample.REPOSITORY).path)
    listed = (await bare.run("ls-tree", "-r", "-z", branch)).decode().split("\0")[:-1]
    files = {}
    for record in listed:
        facts, path = record.split("\t", 1)
        mode, _, sha = facts.split()
        files[path] = (mode, await bare.read_blob(sha))
    return files


async def files_of(product: Rig, branch: str) -> dict[str, bytes]:
    """The bytes of every file of a branch on the forge, by path."""
    return {path: data for path, (_, data) in (await tree_of(product, branch)).items()}


async def blobs_of(product: Rig) -> bytes:
    """Everything that was ever sent to the forge's object store, in one piece."""
    bare = Bare(product.forge.world.repository(sample.REPOSITORY).path)
    return await bare.run("cat-file", "--batch-all-objects", "--batch")


async def nothing_smuggled(product: Rig) -> None:
    """The forge was never sent a byte of what the attacker wanted to put there."""
    assert SMUGGLED.encode() not in await blobs_of(product)
    assert not [one for one in product.forge.requests if SMUGGLED.encode() in one.request_body]


async def job_of(product: Rig, number: int) -> dict[str, Any]:
    """The finished job of an issue."""

    async def found() -> list[dict[str, Any]]:
        return await product.rows(
            'SELECT j.*, r.cause FROM agent_jobs j JOIN job_runs r ON r."jobId" = j.id '
            'JOIN job_origins o ON o."jobId" = j.id '
            "WHERE o.number = :number AND j.status IN ('COMPLETED', 'FAILED', 'CANCELLED')",
            number=number,
        )

    (job,) = await product.until(found)
    return dict(job)


async def log_rows(product: Rig, job_id: str, level: str = "WARN") -> list[dict[str, Any]]:
    """The lines of a job's log at one level, their data read."""
    rows = await product.rows(
        'SELECT message, data FROM agent_logs WHERE "jobId" = :job_id AND CAST(level AS TEXT) = :level '
        "ORDER BY id",
        job_id=job_id,
        level=level,
    )
    for row in rows:
        if isinstance(row["data"], str):
            row["data"] = json.loads(row["data"])
    return rows


async def forget_schemas(url: str) -> None:
    """Let our own tables be named without their schema in a Postgres database of a test."""
    if is_sqlite(url):
        return
    database = Database(url)
    path = "ALTER DATABASE %I SET search_path TO public, issuewright"
    try:
        async with database.write() as connection:
            await connection.execute(
                text(f"DO $$ BEGIN EXECUTE format('{path}', current_database()); END $$")
            )
    finally:
        await database.close()
