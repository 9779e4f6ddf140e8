"""The disk's budget: the oldest goes first, what a job uses stays, and a full disk is a clear word."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from bot.errors import Permanent, RetryLater
from bot.workspace import disk
from bot.workspace.lock import make_directory, try_directory
from bot.workspace.pool import Pool
from bot.workspace.trash import Trash
from bot.workspace.workspace import Workspace
from tests.workspace.conftest import REPOSITORY
from tests.workspace.githttp import TOKEN, GitServer

NAME = REPOSITORY.full_name


def trees(tmp_path: Path) -> list[Path]:
    """The trees that wait."""
    return sorted((tmp_path / "data" / "pool").glob("*/*/tree"))


async def test_what_waits_longest_goes_first_and_mirrors_after_the_trees(
    server: GitServer, workspace: Workspace, tmp_path: Path
) -> None:
    sha = server.repository(NAME, {"a": "1"})
    held = [await workspace.checkout(REPOSITORY, sha, TOKEN, f"job{number}") for number in range(2)]
    for checkout in held:
        await workspace.discard(checkout)
    first, second = trees(tmp_path)
    # Both may have been given back within one tick of the file system's clock.
    os.utime(first.parent, (1, 1))
    room = workspace._disk
    room._budget_bytes = room.used_bytes() - 1
    await asyncio.to_thread(room.make_room, 0, 8)
    assert trees(tmp_path) == [second]
    room._budget_bytes = 10
    await asyncio.to_thread(room.make_room, 5, 8)
    assert trees(tmp_path) == []
    assert not (tmp_path / "data" / "mirrors" / "7.git").exists()


async def test_what_a_job_uses_is_never_evicted(
    server: GitServer, workspace: Workspace, tmp_path: Path
) -> None:
    sha = server.repository(NAME, {"a": "1"})
    checkout = await workspace.checkout(REPOSITORY, sha, TOKEN, "job")
    workspace._disk._budget_bytes = 10
    with pytest.raises(RetryLater, match="disk is full") as caught:
        await asyncio.to_thread(workspace._disk.make_room, 5, 8)
    assert caught.value.is_away
    assert (checkout.tree / "a").read_text() == "1"
    assert (tmp_path / "data" / "mirrors" / "7.git").exists()
    await workspace.discard(checkout)
    assert len(trees(tmp_path)) == 1


async def test_a_checkout_that_never_fits_says_what_to_raise(server: GitServer, workspace: Workspace) -> None:
    sha = server.repository(NAME, {"a": "1"})
    workspace._disk._budget_bytes = 100
    with pytest.raises(Permanent, match="raise ISSUEWRIGHT_WORKSPACE_GIB"):
        await workspace.checkout(REPOSITORY, sha, TOKEN, "job")


async def test_a_full_disk_is_for_later_and_leaves_no_job_behind(
    server: GitServer, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = server.repository(NAME, {"a": "1"})
    monkeypatch.setattr(disk, "MIN_FREE_BYTES", 2**62)
    with pytest.raises(RetryLater, match="disk is full"):
        await workspace.checkout(REPOSITORY, sha, TOKEN, "job")
    assert not any((tmp_path / "data" / "jobs").iterdir())
    assert server.fetches == 0


def test_what_a_crash_left_half_deleted_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "trash" / "left" / "over").mkdir(parents=True)
    trash = Trash(tmp_path / "trash")
    trash.empty()
    trash.settle()
    assert list((tmp_path / "trash").iterdir()) == []
    trash.take(tmp_path / "nothing")


def test_a_slot_that_a_crash_left_without_its_tree_is_thrown_away(tmp_path: Path) -> None:
    trash = Trash(tmp_path / "trash")
    pool = Pool(tmp_path / "pool", trash)
    slot = tmp_path / "pool" / "7" / "slot"
    slot.mkdir(parents=True)
    assert pool.take(7, tmp_path / "tree") is None
    assert not slot.exists()
    assert pool.take(8, tmp_path / "tree") is None


def test_a_directory_that_somebody_holds_is_not_taken(tmp_path: Path) -> None:
    path, fd = make_directory(tmp_path, "held-")
    assert fd > 0
    assert path.name.startswith("held-")
    assert try_directory(path) is None
    assert try_directory(tmp_path / "none") is None


def test_a_sweeper_that_holds_a_new_directory_first_keeps_nobody_from_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[Path] = []

    def after_a_sweeper(path: Path) -> int | None:
        """The first directory is in somebody's hands when its maker comes to hold it."""
        if swept:
            return try_directory(path)
        swept.append(path)
        return None

    monkeypatch.setattr("bot.workspace.lock.try_directory", after_a_sweeper)
    path, fd = make_directory(tmp_path)
    os.close(fd)
    assert sorted(tmp_path.iterdir()) == sorted([path, *swept])


async def test_what_a_killed_process_left_of_its_jobs_goes_at_the_next_checkout(
    server: GitServer, workspace: Workspace, tmp_path: Path
) -> None:
    sha = server.repository(NAME, {"a": "1"})
    (tmp_path / "data" / "jobs" / "dead" / "tree").mkdir(parents=True)
    checkout = await workspace.checkout(REPOSITORY, sha, TOKEN, "job")
    assert [path.name for path in (tmp_path / "data" / "jobs").iterdir()] == [checkout.tree.parent.name]
    second = Workspace(tmp_path / "data", git_url=server.url, verify_timeout_seconds=1)
    await second.checkout(REPOSITORY, sha, TOKEN, "other")
    assert checkout.tree.exists(), "another process that lives keeps what it holds"


def let_go(held: Any) -> None:
    """What the kernel does for a process that is gone: its locks end, its files stay."""
    os.close(held.job_fd)
    if held.slot is not None:
        os.close(held.slot.fd)


@pytest.mark.parametrize("step", ["record", "rename", "rewrite", "clean"])
async def test_a_death_at_any_step_leaves_no_mixed_tree(
    server: GitServer, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class Killed(BaseException):
        """As SIGKILL: nobody catches it, and nothing is tidied up."""

    def die(*_: object, **__: object) -> None:
        raise Killed

    places = {
        "record": "bot.workspace.record.Record.save",
        "rename": "bot.workspace.pool.Slot.note_size",
        "rewrite": "bot.workspace.reset.rewrite",
        "clean": "bot.workspace.reset.clean",
    }
    one, two = (server.repository(NAME, {"a": text, "b": "b"}) for text in ("1", "2"))
    await workspace.discard(await workspace.checkout(REPOSITORY, one, TOKEN, "first"))
    with monkeypatch.context() as patch:
        patch.setattr(workspace, "_end", let_go)
        patch.setattr(places[step], die)
        with pytest.raises(Killed):
            await workspace.discard(await workspace.checkout(REPOSITORY, two, TOKEN, "second"))
    again = Workspace(tmp_path / "data", git_url=server.url, verify_timeout_seconds=1)
    held = await again.checkout(REPOSITORY, two, TOKEN, "later")
    assert [path.name for path in (tmp_path / "data" / "jobs").iterdir()] == [held.tree.parent.name]
    await again.discard(held)
    for number, (sha, text) in enumerate([(one, "1"), (two, "2")]):
        checkout = await again.checkout(REPOSITORY, sha, TOKEN, f"next{number}")
        found = {path.name: path.read_text() for path in checkout.tree.iterdir()}
        assert found == {"a": text, "b": "b"}
        await again.discard(checkout)
