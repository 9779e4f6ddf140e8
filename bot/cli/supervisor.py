"""Keeps the product's processes alive: starts them as siblings, restarts what dies, stops them together.

Standard library only: this process holds every secret, so it loads next to nothing.
"""

import contextlib
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Final, Protocol

from bot.cli.terminal import EXIT_INTERRUPTED, EXIT_MISUSED, EXIT_OK, say

STOP_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 1.0
_DRAIN_BYTES: Final = 4096


@dataclass(slots=True)
class Backoff:
    """How long to wait before a restart: doubling, capped, forgotten after a healthy life."""

    first_seconds: float = 0.5
    max_seconds: float = 30.0
    healthy_seconds: float = 60.0
    _next_seconds: float = field(default=0.0, init=False)

    def after_life_of(self, seconds: float) -> float:
        """The wait after a child that lived for *seconds*."""
        if seconds >= self.healthy_seconds or not self._next_seconds:
            self._next_seconds = self.first_seconds
        wait = min(self._next_seconds, self.max_seconds)
        self._next_seconds = wait * 2
        return wait


class Waiter(Protocol):
    """What tells the supervisor to look again, and when to end."""

    @property
    def is_stopping(self) -> bool:
        """Whether somebody asked for an end."""

    @property
    def is_hurried(self) -> bool:
        """Whether somebody at the terminal asked again and does not want to wait."""

    def wait(self, timeout_seconds: float) -> None:
        """Return when a signal came or a child ended, at the latest after *timeout_seconds*."""


class Signals:
    """The waiter of a real process: SIGTERM and SIGINT stop it, a SIGINT after that hurries it."""

    def __init__(self) -> None:
        """Nothing is installed before `installed`."""
        self.is_stopping = False
        self.is_hurried = False
        self._wake, self._woken = socket.socketpair()

    @contextlib.contextmanager
    def installed(self) -> Iterator["Signals"]:
        """Listen to the signals, and put everything back at the end. Main thread only."""
        for end in (self._wake, self._woken):
            end.settimeout(0)
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
        before = {number: signal.signal(number, self._note) for number in numbers}
        wakeup_before = signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        try:
            yield self
        finally:
            signal.set_wakeup_fd(wakeup_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._wake.close()
            self._woken.close()

    def wait(self, timeout_seconds: float) -> None:
        """Return at a signal, at the latest after *timeout_seconds*."""
        if select.select([self._woken], [], [], timeout_seconds)[0]:
            self._woken.recv(_DRAIN_BYTES)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        """Remember what a signal asks for; that a child ended only wakes `wait`."""
        if number == signal.SIGINT and self.is_stopping:
            self.is_hurried = True
        if number in {signal.SIGTERM, signal.SIGINT}:
            self.is_stopping = True


@dataclass(slots=True)
class _Watched:
    """A child as the supervisor sees it: running, or to be started again at a time."""

    name: str
    start: Callable[[], "subprocess.Popen[bytes]"]
    backoff: Backoff
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    start_at: float = 0.0


class Supervisor:
    """Starts children as siblings and keeps them running until it is asked to stop."""

    def __init__(
        self,
        waiter: Waiter,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        backoff: Callable[[], Backoff] = Backoff,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        """Begin without children; `add` them before `run`."""
        self._waiter = waiter
        self._monotonic = monotonic
        self._backoff = backoff
        self._stop_seconds = stop_seconds
        self._children: list[_Watched] = []

    def add(self, name: str, start: Callable[[], "subprocess.Popen[bytes]"]) -> None:
        """Keep the child that *start* starts."""
        self._children.append(_Watched(name, start, self._backoff()))

    def run(self) -> int:
        """Start all children, watch them until a stop; returns the exit code of the command.

        0 after a request to stop, 2 when a child refused to start (it exited with 2),
        130 when the second Ctrl-C ended them at once.
        """
        try:
            while not self._waiter.is_stopping:
                refused = [child for child in self._children if self._has_refused(child)]
                if refused:
                    self._stop(self._stop_seconds)
                    return EXIT_MISUSED
                self._start_due()
                self._waiter.wait(self._until_next_start())
            self._stop(self._stop_seconds)
        except BaseException:
            self._stop(0.0)
            raise
        return EXIT_INTERRUPTED if self._waiter.is_hurried else EXIT_OK

    def _has_refused(self, child: _Watched) -> bool:
        """Notice the end of *child*: plan its restart, or say that it can never start."""
        if child.process is None or (code := child.process.poll()) is None:
            return False
        child.process = None
        if code == EXIT_MISUSED:
            return True
        self._plan_start(child, _how(code))
        return False

    def _start_due(self) -> None:
        """Start every child whose time has come."""
        for child in self._children:
            if child.process is None and child.start_at <= self._monotonic():
                child.started_at = self._monotonic()
                try:
                    child.process = child.start()
                except OSError as error:
                    self._plan_start(child, f"cannot start: {error.strerror}")

    def _plan_start(self, child: _Watched, why: str) -> None:
        """Set the time at which *child* is to be started again, and say so."""
        now = self._monotonic()
        wait_seconds = child.backoff.after_life_of(now - child.started_at)
        child.start_at = now + wait_seconds
        say(f"issuewright: {child.name} ended ({why}); starting it again in {wait_seconds:g} s")

    def _until_next_start(self) -> float:
        """Seconds until a child is to be started; bounded, should a signal ever be missed."""
        now = self._monotonic()
        waits = [child.start_at - now for child in self._children if child.process is None]
        return max(0.0, min([*waits, _POLL_SECONDS]))

    def _stop(self, patience_seconds: float) -> None:
        """Ask all children to end, and after *patience_seconds*, or when hurried, end them."""
        running = self._running()
        deadline = self._monotonic() + patience_seconds
        for process in running.values():
            process.terminate()
        while running and not self._waiter.is_hurried and (left := deadline - self._monotonic()) > 0:
            self._waiter.wait(min(_POLL_SECONDS, left))
            running = self._running()
        if running:
            say(f"issuewright: ending {', '.join(running)} at once")
        for process in running.values():
            process.kill()
            process.wait()

    def _running(self) -> "dict[str, subprocess.Popen[bytes]]":
        """The processes that have not ended, by name."""
        started = {child.name: child.process for child in self._children}
        return {name: process for name, process in started.items() if process and process.poll() is None}


def _how(code: int) -> str:
    """An exit code in words."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
