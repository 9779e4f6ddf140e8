"""A relay in front of Postgres that a test can encrypt, cut, freeze, or take away."""

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-SSLREQUEST
SSL_REQUEST = struct.pack("!ii", 8, 80877103)


@dataclass(slots=True)
class Relay:
    """Listens on 127.0.0.1:`port` and passes on to a Unix socket."""

    target: Path
    tls: ssl.SSLContext | None = None
    port: int = 0
    is_encrypted: list[bool] = field(default_factory=list)
    certificates: list[Any] = field(default_factory=list)
    server: asyncio.Server | None = None
    flows: asyncio.Event = field(default_factory=asyncio.Event)
    open: set[asyncio.StreamWriter] = field(default_factory=set)
    tasks: set["asyncio.Task[Any]"] = field(default_factory=set)

    async def start(self) -> None:
        """Listen, again too, on the same port."""
        self.flows.set()
        self.server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections from now on, and cut those that are open."""
        assert self.server is not None
        self.server.close()
        self.cut()
        self.flows.set()
        await self.server.wait_closed()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def cut(self) -> None:
        """End all connections at once, in the middle of whatever they do."""
        for writer in self.open:
            writer.transport.abort()

    def freeze(self) -> None:
        """Pass nothing on, and close nothing: the other side is gone without a word."""
        self.flows.clear()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        with contextlib.suppress(OSError, ssl.SSLError, asyncio.IncompleteReadError):
            async with self._kept(writer):
                first = await reader.readexactly(8)
                has_tls = first == SSL_REQUEST
                if has_tls:
                    writer.write(b"S" if self.tls else b"N")
                    await writer.drain()
                    if self.tls:
                        await writer.start_tls(self.tls)
                        self.certificates.append(writer.get_extra_info("peercert"))
                    first = await reader.readexactly(8)
                self.is_encrypted.append(bool(has_tls and self.tls))
                await self._pass_on(first, reader, writer)

    async def _pass_on(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        behind_reader, behind = await asyncio.open_unix_connection(self.target)
        async with self._kept(behind):
            behind.write(first)
            ways = [self._flow(reader, behind), self._flow(behind_reader, writer)]
            tasks = [asyncio.create_task(way) for way in ways]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _flow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self.flows.wait()
            writer.write(data)
            await writer.drain()

    @asynccontextmanager
    async def _kept(self, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        self.open.add(writer)
        try:
            yield
        finally:
            self.open.discard(writer)
            writer.transport.abort()


@asynccontextmanager
async def relay(folder: Path, tls: ssl.SSLContext | None = None) -> AsyncIterator[Relay]:
    """A relay to the Postgres whose socket is in *folder*."""
    made = Relay(folder / ".s.PGSQL.5432", tls)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
