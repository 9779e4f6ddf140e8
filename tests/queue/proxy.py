"""A line between the engine and Redis that a test can hold still, as a half-open connection is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Line:
    """Forwards between a port of the loopback and a socket; `hold` keeps connections and moves nothing.

    With `lag_seconds` each part waits for so long before it goes on.
    """

    target: Path
    port: int = 0
    lag_seconds: float = 0.0
    _flows: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """The address of Redis through this line."""
        return f"redis://127.0.0.1:{self.port}/0"

    def hold(self) -> None:
        """Nothing comes through, and nobody is told."""
        self._flows.clear()

    def release(self) -> None:
        """What waits comes through, in its order."""
        self._flows.set()

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join one connection to another to the server."""
        there, back = await asyncio.open_unix_connection(str(self.target))
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while part := await source.read(65_536):
                await self._flows.wait()
                await asyncio.sleep(self.lag_seconds)
                sink.write(part)
                await sink.drain()
        sink.close()

    async def cut(self) -> None:
        """End every connection."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def line_to(target: Path) -> AsyncIterator[Line]:
    """A line that flows; gone at the end."""
    line = Line(target)
    line.release()
    server = await asyncio.start_server(line.connect, "127.0.0.1", 0)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        server.close()
        await line.cut()
