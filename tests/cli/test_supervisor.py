"""Restarts, refusals and stops, with real short-lived processes and a clock that nobody waits for."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from bot.cli.supervisor import Backoff, Signals, Supervisor
from tests.fakes import ManualClock

LIVES_ON = "trap '' TERM; echo ready; exec sleep 1000"


class Script:
    """A waiter that moves the clock instead of waiting, and asks for an end after some looks."""

    def __init__(self, clock: ManualClock, looks: int) -> None:
        self.clock = clock
        self.looks = looks
        self.is_hurried = False

    @property
    def is_stopping(self) -> bool:
        return self.looks <= 0

    def wait(self, timeout_seconds: float) -> None:
        self.looks -= 1
        self.clock.advance(timeout_seconds)


class Family:
    """Starts shell children, remembers when, and lets those that end be gone before it returns."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.started_at: list[float] = []
        self.processes: list[subprocess.Popen[bytes]] = []

    def child(self, program: str, *, ends: bool = True) -> Callable[[], "subprocess.Popen[bytes]"]:
        def start() -> "subprocess.Popen[bytes]":
            self.started_at.append(self.clock.monotonic())
            process = subprocess.Popen(["/bin/sh", "-c", program], stdout=subprocess.PIPE)
            self.processes.append(process)
            if ends:
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            elif process.stdout:
                process.stdout.readline()
            return process

        return start


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def family(clock: ManualClock) -> Iterator[Family]:
    made = Family(clock)
    yield made
    for process in made.processes:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def test_waits_double_up_to_the_cap() -> None:
    backoff = Backoff()
    assert [backoff.after_life_of(1) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_a_healthy_life_is_a_new_beginning() -> None:
    backoff = Backoff()
    assert [backoff.after_life_of(seconds) for seconds in (1, 59.9, 60, 1)] == [0.5, 1, 0.5, 1]


def test_a_child_that_keeps_dying_is_started_later_and_later(clock: ManualClock, family: Family) -> None:
    supervisor = Supervisor(Script(clock, looks=6), monotonic=clock.monotonic)
    supervisor.add("worker", family.child("exit 1"))
    assert supervisor.run() == 0
    # Without SIGCHLD a death is noticed at the next look, 1 s later; then come 0.5 s, then 1 s.
    assert family.started_at == [0, 1 + 0.5, 1.5 + 1 + 1]


def test_a_child_that_ends_well_is_started_again_too(
    clock: ManualClock, family: Family, capfd: pytest.CaptureFixture[str]
) -> None:
    supervisor = Supervisor(Script(clock, looks=3), monotonic=clock.monotonic)
    supervisor.add("web", family.child("exit 0"))
    supervisor.run()
    assert len(family.started_at) == 2
    assert "web ended (exit code 0); starting it again in 0.5 s" in capfd.readouterr().err


def test_a_refusal_ends_the_siblings_too(clock: ManualClock, family: Family) -> None:
    supervisor = Supervisor(Script(clock, looks=99), monotonic=clock.monotonic)
    supervisor.add("web", family.child("echo; exec sleep 1000", ends=False))
    supervisor.add("worker", family.child("exit 2"))
    assert supervisor.run() == 2
    assert family.processes[0].returncode == -signal.SIGTERM


def test_a_program_that_cannot_be_started_is_tried_again(
    clock: ManualClock, capfd: pytest.CaptureFixture[str]
) -> None:
    tries = []

    def start() -> "subprocess.Popen[bytes]":
        tries.append(clock.monotonic())
        raise BlockingIOError(11, "Resource temporarily unavailable")

    supervisor = Supervisor(Script(clock, looks=3), monotonic=clock.monotonic)
    supervisor.add("worker", start)
    assert supervisor.run() == 0
    assert tries == [0, 0.5, 1.5]
    assert "cannot start: Resource temporarily unavailable" in capfd.readouterr().err


def test_who_does_not_end_in_time_is_ended(
    clock: ManualClock, family: Family, capfd: pytest.CaptureFixture[str]
) -> None:
    supervisor = Supervisor(Script(clock, looks=1), monotonic=clock.monotonic, stop_seconds=30)
    supervisor.add("worker", family.child(LIVES_ON, ends=False))
    assert supervisor.run() == 0
    assert family.processes[0].returncode == -signal.SIGKILL
    assert clock.monotonic() >= 30
    assert "ending worker at once" in capfd.readouterr().err


def test_a_bug_leaves_no_child_behind(clock: ManualClock, family: Family) -> None:
    class Broken(Script):
        def wait(self, timeout_seconds: float) -> None:
            raise ZeroDivisionError

    supervisor = Supervisor(Broken(clock, looks=9), monotonic=clock.monotonic)
    supervisor.add("worker", family.child(LIVES_ON, ends=False))
    with pytest.raises(ZeroDivisionError):
        supervisor.run()
    assert family.processes[0].returncode == -signal.SIGKILL


def test_signals_stop_then_hurry_and_everything_is_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)]
    with Signals().installed() as signals:
        assert (signals.is_stopping, signals.is_hurried) == (False, False)
        os.kill(os.getpid(), signal.SIGTERM)
        signals.wait(60)
        assert (signals.is_stopping, signals.is_hurried) == (True, False)
        os.kill(os.getpid(), signal.SIGINT)
        signals.wait(60)
        assert (signals.is_stopping, signals.is_hurried) == (True, True)
    assert before == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)]


def test_the_end_of_a_child_wakes_and_asks_for_nothing() -> None:
    with Signals().installed() as signals:
        process = subprocess.Popen(["/bin/true"])
        signals.wait(60)
        assert not signals.is_stopping
        process.wait()


def test_a_wait_without_a_signal_ends() -> None:
    with Signals().installed() as signals:
        signals.wait(0.001)
        assert not signals.is_stopping
