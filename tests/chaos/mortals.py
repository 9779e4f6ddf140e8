"""Processes of the product that are there to be killed: supervisors of ours, and their children."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.system.watching import family, kind_of

# A supervisor waits longer after each death of a child: after so many we begin with a new one.
MAX_DEATHS: Final = 2
# Whoever ends the kit takes its supervisors along, and they their children.
_LAUNCHER: Final = ("setpriv", "--pdeathsig", "TERM", "--") if shutil.which("setpriv") else ()
_LOOK_SECONDS: Final = 0.02
_WAIT_SECONDS: Final = 60.0


@dataclass(slots=True)
class Mortal:
    """One supervisor (`issuewright serve` or `issuewright worker`) and what is below it."""

    name: str
    arguments: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    process: asyncio.subprocess.Process | None = None
    deaths: int = field(default=0)

    async def start(self) -> None:
        """Start it in a process group of its own."""
        self.deaths = 0
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *_LAUNCHER,
                *(sys.executable, "-P", "-m", "bot.cli.main", *self.arguments),
                *("--log-dir", str(self.folder / "logs" / self.name)),
                env=dict(self.environment),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def child(self, role: str) -> int | None:
        """The process id of the child of that role that is alive now."""
        assert self.process is not None, f"{self.name} was not started"
        assert self.process.returncode is None, f"{self.name} has ended with {self.process.returncode}"
        for pid in family(self.process.pid):
            try:
                found = kind_of(Path("/proc", str(pid), "cmdline").read_bytes())
            except OSError:
                continue
            if found == role:
                return pid
        return None

    async def until_child(self, role: str) -> int:
        """The same, waited for."""
        async with asyncio.timeout(_WAIT_SECONDS):
            while (pid := self.child(role)) is None:  # noqa: ASYNC110 - another process
                await asyncio.sleep(_LOOK_SECONDS)
        return pid

    async def kill_child(self, role: str) -> None:
        """SIGKILL to the child of that role; its supervisor starts it again, or we a new supervisor."""
        pid = await self.until_child(role)
        self.deaths += 1
        if self.deaths > MAX_DEATHS:
            await self.kill()
            await self.start()
            return
        os.kill(pid, signal.SIGKILL)

    async def kill(self) -> None:
        """SIGKILL to the whole group; tool hosts and sandboxes die with their worker."""
        assert self.process is not None, f"{self.name} was not started"
        if self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM, as a service manager would; the exit code."""
        assert self.process is not None, f"{self.name} was not started"
        if self.process.returncode is None:
            self.process.terminate()
        return await self.process.wait()
