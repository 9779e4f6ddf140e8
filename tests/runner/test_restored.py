"""A database that is restored from a backup: the second life of a request finds what the first one wrote."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.db import secrets
from bot.db.database import Database
from bot.domain.enums import Cause, JobStatus
from bot.domain.values import Json, Scope
from bot.github.log import DeliveryLog
from bot.handlers.router import is_handled
from bot.intake.inbox import Inbox
from bot.intake.sweep import Sweep
from bot.standin.forge.faults import Reply
from bot.standin.forge.plumbing import Bare
from bot.standin.forge.state import Thread
from tests.runner.conftest import ANSWER, FIXED, LEASE_SECONDS, PROPOSE, REPOSITORY, Stack, World, attempt
from tests.runner.shop import at_work, job_ids
from tests.runner.stands import PlayedModel, call

BEFORE = "was opened for this request before"
ANOTHER = FIXED.replace("woof", "wuff")
PROPOSE_ANOTHER = [
    [call("write_file", path="dog.py", content=ANOTHER)],
    [call("propose_change", title="Bark in German", body="x"), call("finish", summary="It barks.")],
]


@pytest.fixture
async def number(world: World) -> int:
    """An issue that somebody asks about; no webhook reaches us, so that the sweep alone brings it."""
    async with world.database.write() as connection:
        await secrets.obtain(Scope.system(), connection, secrets.MARKER_KEY, now=world.clock.now())
    world.forge.set_webhook("http://127.0.0.1:1/nobody", "a secret that nobody here knows")
    return await world.forge.open_issue(REPOSITORY, "maria", "The dog meows", "It should bark.")


async def ask(world: World, number: int) -> None:
    """Put the label on."""
    await world.forge.add_label(REPOSITORY, number, "agent:fix", "maria")
    await world.forge.settle()


def backup(world: World, path: Path) -> None:
    """A copy of the database as docs/operations.md makes one, while it is used."""
    file = world.database_url.removeprefix("sqlite+aiosqlite:///")
    with sqlite3.connect(file) as connection:
        connection.execute("VACUUM INTO ?", (str(path),))
    connection.close()


@asynccontextmanager
async def restored(world: World, path: Path) -> AsyncIterator[World]:
    """The same world, an hour later, with the database of the backup."""
    world.clock.advance(3_600)
    url = f"sqlite+aiosqlite:///{path}"
    database = Database(url)
    try:
        yield replace(world, database=database, database_url=url, threads={})
    finally:
        await database.close()


async def live(world: World, owner: str) -> tuple[str, Cause | None]:
    """Sweep, and work until the one job has ended; its id and its end."""
    async with world.stack(owner) as stack:
        await sweep(world, stack)
        async with at_work(world, stack, id=owner) as shop:

            async def is_there() -> bool:
                return bool(await job_ids(world))

            await shop.until(is_there)
            (job_id,) = await job_ids(world)
            return job_id, await shop.until_ended(job_id)


async def sweep(world: World, stack: Stack) -> None:
    """One turn of the sweep, over the whole log."""
    inbox = Inbox(world.database)

    async def keep(_: Json) -> None:
        """The mark is of no use to a second life."""

    log, app_id = DeliveryLog(stack.app), world.forge.app_id
    await Sweep(world.database, log, inbox.store, is_handled, world.clock, app_id).run({}, keep)
    await inbox.close()


def thread(world: World, number: int) -> Thread:
    return world.forge.world.repository(REPOSITORY).threads[number]


def said(world: World, number: int) -> list[str]:
    return [one.body for one in thread(world, number).comments if one.author.kind == "Bot"]


def pulls(world: World) -> list[Any]:
    threads = world.forge.world.repository(REPOSITORY).threads.values()
    return [one for one in threads if one.pull is not None]


def bare(world: World) -> Bare:
    return Bare(world.forge.world.repository(REPOSITORY).path)


async def branches(world: World) -> list[str]:
    return [name for name in await bare(world).branches() if name != "main"]


async def stands_once(world: World, number: int, words: str = "is ready for review") -> None:
    """One comment with these words, one reaction, one branch, one draft that is assigned once."""
    (comment,) = said(world, number)
    (pull,) = pulls(world)
    assert f"#{pull.number} {words}" in comment
    assert await branches(world) == [pull.pull.head]
    assert [one.login for one in pull.assignees] == ["maria"]
    assert [one.content for one in thread(world, number).reactions] == ["eyes"]


async def test_a_change_from_before_the_backup_was_lost_is_found_again(
    world: World, number: int, tmp_path: Path
) -> None:
    backup(world, tmp_path / "backup.db")
    await ask(world, number)
    first, cause = await live(world, "w1")
    assert cause is Cause.PULL_REQUEST
    await stands_once(world, number)
    heads = await branches(world)

    async with restored(world, tmp_path / "backup.db") as later:
        second, cause = await live(later, "w2")
        facts = await later.facts(second)

    assert (second != first, cause, facts.status) == (True, Cause.PULL_REQUEST, JobStatus.COMPLETED)
    await stands_once(world, number, BEFORE)
    assert await branches(world) == heads
    assert len(world.model.requests) == 2 * len(PROPOSE)
    assert second in said(world, number)[0]


async def test_an_answer_from_before_the_backup_was_lost_is_found_again(
    world: World, number: int, tmp_path: Path
) -> None:
    world.model = PlayedModel(*ANSWER)
    backup(world, tmp_path / "backup.db")
    await world.forge.comment(REPOSITORY, number, "maria", "/agent fix")
    await world.forge.settle()
    first, cause = await live(world, "w1")
    (before,) = said(world, number)

    async with restored(world, tmp_path / "backup.db") as later:
        second, again = await live(later, "w2")

    assert (cause, again, first != second) == (Cause.NO_CHANGE_NEEDED, cause, True)
    assert said(world, number) == [before.replace(first, second)]
    (command, _) = thread(world, number).comments
    assert [one.content for one in command.reactions] == ["eyes"]
    assert (pulls(world), await branches(world)) == ([], [])


async def test_a_backup_from_the_middle_of_a_job_goes_on_from_there(
    world: World, number: int, tmp_path: Path
) -> None:
    path = tmp_path / "backup.db"

    async def on_ask() -> None:
        if not path.exists():
            backup(world, path)

    world.model.on_ask = on_ask
    await ask(world, number)
    first, _ = await live(world, "w1")
    await stands_once(world, number)

    async with restored(world, path) as later:
        assert (await later.facts(first)).status is JobStatus.RUNNING
        world.clock.advance(LEASE_SECONDS + 1)
        assert await live(later, "w2") == (first, Cause.PULL_REQUEST)

    await stands_once(world, number, BEFORE)


async def test_an_answer_from_long_ago_is_found_by_a_job_that_waited_in_the_backup(
    world: World, number: int, tmp_path: Path
) -> None:
    world.model = PlayedModel(*ANSWER)
    job_id = await world.submit()
    backup(world, tmp_path / "backup.db")
    async with world.stack("w1") as stack:
        await attempt(world, stack, job_id)
    assert len(world.said(job_id)) == 1
    world.clock.advance(timedelta(days=30).total_seconds())

    async with restored(world, tmp_path / "backup.db") as later, later.stack("w2") as stack:
        assert (await attempt(later, stack, job_id)).status is JobStatus.COMPLETED

    assert len(world.said(job_id)) == 1


async def test_another_change_in_the_second_life_leaves_the_first_ones_pull_request_as_it_is(
    world: World, number: int, tmp_path: Path
) -> None:
    backup(world, tmp_path / "backup.db")
    await ask(world, number)
    await live(world, "w1")
    (pull,) = pulls(world)
    text, sha = pull.body, await bare(world).sha(pull.pull.head)

    world.model = PlayedModel(*PROPOSE_ANOTHER)
    async with restored(world, tmp_path / "backup.db") as later:
        _, cause = await live(later, "w2")

    assert cause is Cause.PULL_REQUEST
    await stands_once(world, number, BEFORE)
    assert (pulls(world)[0].body, await bare(world).sha(pull.pull.head)) == (text, sha)


async def test_what_people_pushed_to_the_branch_stays(world: World, number: int, tmp_path: Path) -> None:
    backup(world, tmp_path / "backup.db")
    await ask(world, number)
    await live(world, "w1")
    (branch,) = await branches(world)
    theirs = await world.forge.commit(REPOSITORY, branch, {"cat.py": ""}, "maria", "Mind the cat")

    async with restored(world, tmp_path / "backup.db") as later:
        _, cause = await live(later, "w2")

    assert cause is Cause.PULL_REQUEST
    await stands_once(world, number, BEFORE)
    assert await bare(world).sha(branch) == theirs


async def test_a_pull_request_that_people_closed_stays_closed_and_its_branch_away(
    world: World, number: int, tmp_path: Path
) -> None:
    backup(world, tmp_path / "backup.db")
    await ask(world, number)
    await live(world, "w1")
    (pull,) = pulls(world)
    await world.forge.close_issue(REPOSITORY, pull.number, "maria")
    await bare(world).delete_ref(f"refs/heads/{pull.pull.head}")

    async with restored(world, tmp_path / "backup.db") as later:
        _, cause = await live(later, "w2")

    assert cause is Cause.PULL_REQUEST
    assert [one.state for one in pulls(world)] == ["closed"]
    assert await branches(world) == []
    (comment,) = said(world, number)
    assert f"#{pull.number} {BEFORE}" in comment


async def test_a_branch_of_the_first_life_that_holds_another_change_and_led_nowhere_is_left_alone(
    world: World, number: int, tmp_path: Path
) -> None:
    backup(world, tmp_path / "backup.db")
    await ask(world, number)
    world.forge.faults.add("POST", "/pulls$", Reply(403))
    await live(world, "w1")
    (branch,) = await branches(world)
    sha = await bare(world).sha(branch)

    world.model = PlayedModel(*PROPOSE_ANOTHER)
    async with restored(world, tmp_path / "backup.db") as later:
        _, cause = await live(later, "w2")

    (comment,) = said(world, number)
    assert cause is Cause.GITHUB_ERROR
    assert "holds another change for this request" in comment
    assert (pulls(world), await bare(world).sha(branch)) == ([], sha)


async def test_a_comment_that_a_person_deleted_is_made_once_more(
    world: World, number: int, tmp_path: Path
) -> None:
    world.model = PlayedModel(*ANSWER)
    backup(world, tmp_path / "backup.db")
    await ask(world, number)
    await live(world, "w1")
    await world.forge.delete_comment(REPOSITORY, thread(world, number).comments[-1].id, "maria")

    async with restored(world, tmp_path / "backup.db") as later:
        await live(later, "w2")

    assert len(said(world, number)) == 1
