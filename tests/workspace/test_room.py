"""A command that fills disk or memory ends before the service beside it feels it."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from bot.domain.enums import Tier
from bot.domain.values import SandboxStatus
from bot.workspace.host import ProcessToolHost
from bot.workspace.sandbox import Launcher, find_bwrap
from bot.workspace.toolhost import execute, room, verification
from bot.workspace.toolhost.confine import files_uid
from bot.workspace.toolhost.room import MAX_TAKEN_BYTES, MAX_TAKEN_FILES, Room
from bot.workspace.toolhost.verification import Scratch

BLOCK_BYTES = 4096
MOST_BLOCKS = MAX_TAKEN_BYTES // BLOCK_BYTES


class Disk:
    """What `statvfs` says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, blocks: int, files: int) -> None:
        self.blocks, self.files = blocks, files
        monkeypatch.setattr(os, "statvfs", self._look)

    def _look(self, _folder: Path) -> SimpleNamespace:
        return SimpleNamespace(f_bavail=self.blocks, f_frsize=BLOCK_BYTES, f_favail=self.files)


@pytest.mark.parametrize(
    ("blocks", "most_taken"),
    [(10 * MOST_BLOCKS, MOST_BLOCKS), (1000, 500), (0, 0), (MOST_BLOCKS, MOST_BLOCKS // 2)],
)
def test_a_bounded_part_may_be_taken_and_never_more_than_half(
    blocks: int, most_taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, blocks, 10)
    place = Room(Path("/"))
    disk.blocks = blocks - most_taken
    assert not place.is_used_up()
    disk.blocks -= 1
    assert place.is_used_up()


def test_files_without_content_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch, 1000, 10 * MAX_TAKEN_FILES)
    place = Room(Path("/"))
    disk.files -= MAX_TAKEN_FILES + 1
    assert place.is_used_up()


def test_a_disk_that_counts_no_files_is_no_full_one(monkeypatch: pytest.MonkeyPatch) -> None:
    Disk(monkeypatch, 1000, 0)
    assert not Room(Path("/")).is_used_up()


def test_a_program_is_ended_when_its_room_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    disk = Disk(monkeypatch, 1000, 1000)
    place = Room(tmp_path)
    disk.blocks = 0
    status = os.memfd_create("status")
    outcome = execute.run(
        ["/bin/sleep", "100"], pass_fds=(), status_fd=status, timeout_seconds=60, bounds=execute.Bounds(place)
    )
    assert (outcome.is_out_of_room, outcome.is_timed_out, outcome.exit_code) == (True, False, -9)
    assert outcome.duration_ms < 30_000


@pytest.mark.skipif(find_bwrap() is None, reason="no bubblewrap here")
def test_a_command_that_fills_the_disk_is_stopped_and_its_files_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MAX_TAKEN_BYTES", 16 * 1024**2)
    tree = tmp_path / "tree"
    tree.mkdir()
    (tmp_path / "originals").mkdir()
    os.chown(tree, files_uid(), -1)
    command = "head -c 200000000 /dev/zero > full; sync; sleep 50"
    scratch = Scratch(tmp_path)
    record = verification.verify(Launcher(str(find_bwrap())), scratch, command, 60)
    assert (record["exit_code"], record["reason"]) == (137, "stopped because it filled the disk")
    scratch.settle()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["originals", "tree"]


@pytest.mark.skipif(find_bwrap() is None, reason="no bubblewrap here")
async def test_without_memory_the_command_ends_before_the_service(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    host = ProcessToolHost(tmp_path, SandboxStatus(Tier.SANDBOX), find_bwrap())
    record = await host.verify("cat /proc/self/oom_score_adj", timeout_seconds=30)
    await host.close()
    assert record.output == "1000\n"
