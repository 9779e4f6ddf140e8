"""The worker's parts, joined as in production: the sample's way from a label to a draft in one process."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bot.assembly import assembled
from bot.config import Secret, Settings
from bot.db import migrate, tables
from bot.db.database import Database
from bot.db.deliveries import IncomingDelivery
from bot.domain.clock import SystemClock
from bot.domain.commands import COMMANDS
from bot.domain.enums import DeliveryState, OperationState, Phase
from bot.standin import sample
from bot.standin.forge.forge import Forge
from bot.standin.model.server import ModelServer
from tests.db.rows import make_tenant, start_job, stored
from tests.openapi import check_all

WAIT_SECONDS = 90.0
MODEL_KEY = "sk-ant-of-this-test"


@pytest.fixture
async def forge(tmp_path: Path) -> AsyncIterator[Forge]:
    """The sample's GitHub; whatever was asked of it must be what GitHub documents."""
    made = Forge(root=tmp_path / "forge")
    await made.start()
    made.create_user(sample.OWNER, "Organization")
    made.create_user(sample.PERSON)
    await made.create_repository(sample.REPOSITORY, sample.FILES)
    made.set_permission(sample.REPOSITORY, sample.PERSON, "write")
    await made.install(sample.OWNER)
    made.set_webhook("http://127.0.0.1:1/nobody", "secret")
    yield made
    await made.stop()
    check_all(made.requests)


@pytest.fixture
async def model() -> AsyncIterator[ModelServer]:
    made = ModelServer(sample.BOOK, api_key=MODEL_KEY)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def settings(tmp_path: Path, forge: Forge, model: ModelServer) -> Settings:
    """The settings of a worker, with short waits."""
    made = Settings(
        data_dir=tmp_path / "data",
        database_url=f"sqlite+aiosqlite:///{tmp_path / 'issuewright.db'}",
        anthropic_api_key=Secret(MODEL_KEY),
        anthropic_base_url=model.url,
        github_app_id=forge.app_id,
        github_private_keys=(Secret(forge.private_key),),
        github_api_url=forge.api_url,
        github_url=forge.git_url,
        poll_seconds=0.05,
        write_pace_seconds=0.01,
    )
    await migrate.upgrade(made.database_url)
    return made


async def pass_on(settings: Settings, forge: Forge) -> None:
    """Store what GitHub has sent, as the web process does."""
    database, now = Database(settings.database_url), SystemClock().now()
    for sent in forge.deliveries:
        delivery = IncomingDelivery(
            target_type="integration",
            target_id=str(forge.app_id),
            guid=sent.guid,
            event=sent.event,
            action=sent.action,
            digest=hashlib.sha256(sent.payload).hexdigest(),
            payload=sent.payload,
            installation_id=sent.installation_id,
            received_at=now,
            state=DeliveryState.RECEIVED,
        )
        await stored(database, delivery)
    await database.close()


async def rows(settings: Settings, name: str) -> list[Any]:
    """All rows of a table."""
    database = Database(settings.database_url)
    async with database.read() as connection:
        found = list((await connection.execute(select(getattr(tables, name)))).all())
    await database.close()
    return found


async def work_until(settings: Settings, is_so: Callable[[], Awaitable[bool]]) -> None:
    """Let an assembled worker work until something is so."""
    stop = asyncio.Event()
    async with assembled(settings, None, network={}) as worker:
        working = asyncio.create_task(worker.run(stop))
        async with asyncio.timeout(WAIT_SECONDS):
            while not await is_so():
                assert not working.done(), "the worker has ended"
                await asyncio.sleep(0.05)
        stop.set()
        await working


async def test_the_samples_issue_becomes_a_draft_with_the_fix(settings: Settings, forge: Forge) -> None:
    number = await forge.open_issue(sample.REPOSITORY, sample.PERSON, sample.TITLE, sample.BODY)
    await forge.add_label(sample.REPOSITORY, number, sample.LABEL, sample.PERSON)
    await pass_on(settings, forge)
    repository = forge.world.repository(sample.REPOSITORY)

    async def is_over() -> bool:
        runs = await rows(settings, "job_runs")
        return [run.phase for run in runs] == [Phase.SETTLED] and bool(repository.threads[number].reactions)

    await work_until(settings, is_over)

    (job,) = await rows(settings, "agent_jobs")
    assert (job.status.value, job.attempts) == ("COMPLETED", 1)
    (pull,) = [thread for thread in repository.threads.values() if thread.pull is not None]
    assert [one.login for one in pull.assignees] == [sample.PERSON]
    (comment,) = repository.threads[number].comments
    assert f"#{pull.number}" in comment.body
    assert {row.state for row in await rows(settings, "operations")} == {OperationState.DONE}
    assert await rows(settings, "workers") == []


async def test_whoever_asks_for_help_is_told_every_command(settings: Settings, forge: Forge) -> None:
    number = await forge.open_issue(sample.REPOSITORY, sample.PERSON, "A question")
    for words in ("/agent help", "/agent fxi"):
        await forge.comment(sample.REPOSITORY, number, sample.PERSON, words)
    await pass_on(settings, forge)
    thread = forge.world.repository(sample.REPOSITORY).threads[number]

    async def are_answered() -> bool:
        return len(thread.comments) == 4

    await work_until(settings, are_answered)
    _, _, *ours = sorted((comment.body for comment in thread.comments), key=lambda body: "Line 1" in body)
    assert all(f"/agent {command.usage}" in body for command in COMMANDS for body in ours)
    assert "The nearest right form is `/agent fix`." in ours[-1]
    assert ours[-1].count("```") == 2


async def test_a_product_that_is_switched_off_needs_no_model_and_starts_no_job(
    settings: Settings, forge: Forge
) -> None:
    number = await forge.open_issue(sample.REPOSITORY, sample.PERSON, sample.TITLE, sample.BODY)
    await forge.add_label(sample.REPOSITORY, number, sample.LABEL, sample.PERSON)
    await pass_on(settings, forge)
    off = replace(settings, agent_enabled=False, anthropic_api_key=None)

    async def is_read() -> bool:
        return all(row.state is not DeliveryState.RECEIVED for row in await rows(off, "deliveries"))

    await work_until(off, is_read)
    assert await rows(settings, "agent_jobs") == []


async def test_the_marker_key_is_made_once(settings: Settings) -> None:
    for _ in range(2):
        async with assembled(settings, None, network={}):
            pass
    (key,) = await rows(settings, "secrets")
    assert len(key.value) == 32


async def test_what_is_published_is_checked_for_every_secret_of_the_worker(settings: Settings) -> None:
    token = "token-of-upstash"
    held = replace(settings, upstash_redis_rest_token=Secret(token))
    async with assembled(held, None, network={}) as worker:
        database = Database(settings.database_url)
        job = await start_job(database, await make_tenant(database))
        await database.close()
        voice = await worker.runner.ending.voice(job)
    keys = {key.reveal() for key in settings.github_private_keys}
    assert {token, MODEL_KEY, *keys} == set(voice.secrets)
