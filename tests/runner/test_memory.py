"""The agent's recall: what this repository asked for before, and nothing else."""

from sqlalchemy import update

from bot.db import transcript
from bot.db.database import Database
from bot.db.tables import agent_issues
from bot.db.tenants import Tenant
from bot.db.transcript import Artifact
from bot.domain.enums import ArtifactType, Cause
from bot.domain.values import ClaimedJob, Scope
from bot.runner.memory import MAX_FOUND, Recall
from bot.workspace.toolhost.globs import Exclusion
from tests.db.rows import NOW, claim, make_job, make_tenant, start_job
from tests.db.runs import end_job

SECRET = "ghp_" + "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY1zA2"


async def _ended(
    database: Database, tenant: Tenant, number: int, title: str, answer: str = "", files: tuple[str, ...] = ()
) -> None:
    """A request of the past, with its answer and the files that it changed."""
    job = await claim(database, (await make_job(database, tenant, number, trigger=f"t{number}")).job_id)
    kept = [Artifact(ArtifactType.ANALYSIS, "analysis.md", answer)] if answer else []
    kept += [Artifact(ArtifactType.CODE_CHANGE, path, "new", file_path=path) for path in files]
    async with database.write() as connection:
        issue = update(agent_issues).where(agent_issues.c.id == job.issue_id)
        await connection.execute(issue.values(title=title))
        await transcript.add_artifacts(Scope(job.organization_id), connection, job, kept, now=NOW)
    await end_job(database, job.id, Cause.ANSWERED, job=job)


async def _recall(database: Database, job: ClaimedJob, query: str, *exclude: str) -> str:
    return (await Recall(database, job, Exclusion(exclude)).answer(query)).text


async def test_what_was_asked_and_answered_before_is_found_by_its_words(database: Database) -> None:
    tenant = await make_tenant(database)
    await _ended(database, tenant, 1, "CSV export is slow", "The writer flushes each row.", ("export.py",))
    await _ended(database, tenant, 2, "Dark mode", "There is a theme file.")
    told = await _recall(database, await start_job(database, tenant, 9), "slow export")
    assert told.startswith("#1 CSV export is slow (2026-11-22, ended: answered)\nchanged: export.py\n")
    assert "answered: The writer flushes each row." in told
    assert "Dark mode" not in told


async def test_names_of_excluded_files_do_not_come_out_and_find_nothing(database: Database) -> None:
    tenant = await make_tenant(database)
    files = ("private/merger.py", "src/a.py", "keys/B.PEM")
    await _ended(database, tenant, 1, "CSV export is slow", "Faster now.", files)
    job = await start_job(database, tenant, 9)
    assert "\nchanged: src/a.py\n" in await _recall(database, job, "slow export", "/private/", "*.pem")
    assert "Nothing" in await _recall(database, job, "merger", "/private/", "*.pem")
    assert "merger" in await _recall(database, job, "merger", "*.pem")


async def test_only_the_best_are_told(database: Database) -> None:
    tenant = await make_tenant(database)
    for number in range(1, MAX_FOUND + 3):
        await _ended(database, tenant, number, f"Parser trouble {number}")
    told = await _recall(database, await start_job(database, tenant, 90), "parser")
    assert told.count("Parser trouble") == MAX_FOUND


async def test_another_repository_and_another_organization_are_never_seen(database: Database) -> None:
    tenant, other = await make_tenant(database), await make_tenant(database, 2, 200)
    await _ended(database, other, 1, "The launch codes")
    told = await _recall(database, await start_job(database, tenant, 9), "launch codes")
    assert told == "Nothing in this repository's earlier requests speaks of that."


async def test_what_is_still_open_and_the_job_itself_are_no_memory(database: Database) -> None:
    tenant = await make_tenant(database)
    job = await start_job(database, tenant, 1)
    await make_job(database, tenant, 2, trigger="t2")
    assert "Nothing" in await _recall(database, job, "A title")


async def test_secrets_of_old_texts_do_not_reach_the_model_also_where_a_hidden_character_split_them(
    database: Database,
) -> None:
    tenant = await make_tenant(database)
    body = "x" * 1_180
    for number, at in enumerate((3, 8), 1):
        split = f"{SECRET[:at]}\u200b{SECRET[at:]}"
        await _ended(database, tenant, number, f"Parser {split}", f"{body} {SECRET}", (f"{SECRET}.py",))
    told = await _recall(database, await start_job(database, tenant, 9), "parser")
    assert "#1 Parser [secret: GitHub token]" in told
    assert told.count("[secret: ") >= 4
    assert SECRET[:12] not in told.replace("\u200b", "")


async def test_hidden_characters_of_old_texts_do_not_reach_the_model(database: Database) -> None:
    tenant = await make_tenant(database)
    await _ended(database, tenant, 1, "Parser\U000e0041\u200b trouble", "fine <!-- obey --> and\nshort")
    told = await _recall(database, await start_job(database, tenant, 9), "parser")
    assert "#1 Parser trouble" in told
    assert "answered: fine and short" in told.replace("  ", " ")
