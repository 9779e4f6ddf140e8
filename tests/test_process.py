"""What a child does first, and the doorbell."""

import asyncio
import ctypes
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.process import (
    MAX_SETTINGS_BYTES,
    Doorbell,
    die_with_parent,
    enter_child,
    read_settings,
    set_undumpable,
)

GET_PDEATHSIG, SET_PDEATHSIG, GET_DUMPABLE, SET_DUMPABLE = 2, 1, 3, 4
libc = ctypes.CDLL(None)


@pytest.fixture(autouse=True)
def this_process_stays_as_it_was() -> Iterator[None]:
    on_interrupt = signal.getsignal(signal.SIGINT)
    yield
    libc.prctl(SET_DUMPABLE, 1, 0, 0, 0)
    libc.prctl(SET_PDEATHSIG, 0, 0, 0, 0)
    signal.signal(signal.SIGINT, on_interrupt)


def pipe_with(content: bytes) -> int:
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    return reader


def death_signal() -> int:
    found = ctypes.c_int()
    libc.prctl(GET_PDEATHSIG, ctypes.byref(found), 0, 0, 0)
    return found.value


def test_an_undumpable_process_says_so_to_the_kernel() -> None:
    set_undumpable()
    assert libc.prctl(GET_DUMPABLE, 0, 0, 0, 0) == 0


def test_a_child_is_ended_with_its_parent() -> None:
    die_with_parent(os.getppid())
    assert death_signal() == signal.SIGTERM


def test_a_child_whose_parent_is_gone_already_ends() -> None:
    with pytest.raises(SystemExit, match="has ended"):
        die_with_parent(os.getppid() + 1)


def test_a_refusal_of_the_kernel_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.process._PR_SET_DUMPABLE", 9_999)
    with pytest.raises(OSError, match="Invalid argument"):
        set_undumpable()


def test_elsewhere_than_on_linux_only_the_parent_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.process.sys.platform", "darwin")
    set_undumpable()
    die_with_parent(os.getppid())
    assert libc.prctl(GET_DUMPABLE, 0, 0, 0, 0) == 1
    assert death_signal() == 0


def test_settings_are_read_to_the_end_and_the_pipe_is_closed() -> None:
    fd = pipe_with("{'ä': 1}".encode())
    assert read_settings(fd) == "{'ä': 1}"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_settings_without_an_end_are_refused(tmp_path: Path) -> None:
    endless = tmp_path / "settings"
    endless.write_bytes(b"x" * (MAX_SETTINGS_BYTES + 1))
    with pytest.raises(ValueError, match="larger than"):
        read_settings(os.open(endless, os.O_RDONLY))


def test_a_child_ignores_the_ctrl_c_that_is_meant_for_its_parent() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    text = enter_child(parent_pid=os.getppid(), settings_fd=pipe_with(b"settings"))
    assert text == "settings"
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())
    assert libc.prctl(GET_DUMPABLE, 0, 0, 0, 0) == 0


@pytest.fixture
def bells() -> Iterator[tuple[Doorbell, Doorbell]]:
    """The end that rings and the end that waits."""
    ringing, waiting = map(Doorbell, Doorbell.pair())
    yield ringing, waiting
    ringing.close()
    waiting.close()


async def test_a_ring_wakes_who_waits(bells: tuple[Doorbell, Doorbell]) -> None:
    ringing, waiting = bells
    waiter = asyncio.create_task(waiting.wait(60))
    await asyncio.sleep(0)
    ringing.ring()
    assert await waiter


async def test_a_ring_before_the_wait_is_not_lost(bells: tuple[Doorbell, Doorbell]) -> None:
    ringing, waiting = bells
    ringing.ring()
    assert await waiting.wait(60)


async def test_many_rings_count_as_one(bells: tuple[Doorbell, Doorbell]) -> None:
    ringing, waiting = bells
    for _ in range(10):
        ringing.ring()
    assert await waiting.wait(60)
    assert not await waiting.wait(0.001)


async def test_a_full_bell_does_not_block_who_rings(bells: tuple[Doorbell, Doorbell]) -> None:
    ringing, waiting = bells
    for _ in range(5_000):
        ringing.ring()
    assert await waiting.wait(60)


async def test_nobody_rings_and_the_wait_ends(bells: tuple[Doorbell, Doorbell]) -> None:
    assert not await bells[1].wait(0.001)


async def test_a_cut_bell_waits_out_its_time_instead_of_spinning(bells: tuple[Doorbell, Doorbell]) -> None:
    ringing, waiting = bells
    ringing.close()
    began = time.monotonic()
    assert not await waiting.wait(0.02)
    assert not await waiting.wait(0.02)
    assert time.monotonic() - began >= 0.04


async def test_a_reset_bell_counts_as_cut(bells: tuple[Doorbell, Doorbell]) -> None:
    ringing, waiting = bells
    waiting.ring()  # unread bytes make the close a reset
    ringing.close()
    assert not await waiting.wait(0.001)


def test_ringing_at_nobody_is_no_error(bells: tuple[Doorbell, Doorbell]) -> None:
    bells[1].close()
    bells[0].ring()


async def test_a_bell_is_made_from_an_inherited_descriptor() -> None:
    ringing, waiting = Doorbell.pair()
    inherited = Doorbell.from_fd(ringing.detach())
    inherited.ring()
    ear = Doorbell(waiting)
    assert await ear.wait(60)
    inherited.close()
    ear.close()
    ear.close()
