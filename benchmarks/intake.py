"""What a durable delivery costs: our web process beside bare aiohttp with HMAC, and a thin durable server.

Prints one table; CPU a delivery, latency at 200/s, and of small deliveries while one of 20 MB arrives.
Every body is another one. Each 2xx must be a row at the end. Then a storm on ours alone: 50/s for a while
and 500 at once. Use: python benchmarks/intake.py [--seconds 2] [--storm 20]
"""

import argparse
import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

SECRET = "a secret of the benchmark"  # noqa: S105 - nothing is behind it
PATH = "/webhooks/github"
SMALL_BYTES, LARGE_BYTES = 12_000, 20_000_000
PIECE_BYTES = 256 * 1024
CONNECTIONS, RATE = 32, 200
STORM_RATE, BURST, STORM_P99_MS, STORM_MOST_MS = 50, 500, 1_000.0, 5_000.0
START_SECONDS = 60.0
COMMANDS = {
    "aiohttp + HMAC": [sys.executable, str(Path(__file__).with_name("intake_peers.py")), "hmac"],
    "thin durable": [sys.executable, str(Path(__file__).with_name("intake_peers.py")), "durable"],
    "ours": [str(Path(sys.executable).with_name("issuewright")), "serve", "--no-worker", "--port"],
}
COUNT = {"thin durable": "SELECT count(*) FROM delivery", "ours": "SELECT count(*) FROM deliveries"}


def request(number: int, size: int = SMALL_BYTES) -> bytes:
    """One signed delivery; each number is another body."""
    event = {"action": "labeled", "number": number, "issue": {"number": 1, "body": "x" * size}}
    event |= {
        "repository": {"full_name": "octo/shop"},
        "sender": {"login": "mona"},
        "installation": {"id": 7},
    }
    body = json.dumps(event).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-GitHub-Event: issues\r\n"
        f"X-GitHub-Delivery: {number:032x}\r\nX-Hub-Signature-256: sha256={signature}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def send(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], data: bytes) -> None:
    """Send one request and read its answer, which must be a 2xx."""
    reader, writer = connection
    for start in range(0, len(data), PIECE_BYTES):
        writer.write(data[start : start + PIECE_BYTES])
        await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if head[9:10] != b"2":
        raise RuntimeError(head.decode())
    length = head.partition(b"content-length: ")[2].split(b"\r")[0]
    await reader.readexactly(int(length or b"0"))


class Subject:
    """A running server, and what was measured of it."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", port: int, folder: Path) -> None:
        self.name, self.process, self.port, self.folder = name, process, port, folder
        self.cpu_us: list[float] = []
        self.p50_ms: list[float] = []
        self.p99_ms: list[float] = []
        self.beside_ms: list[float] = []
        self.made = self.sent = 0
        self.idle_mib = 0.0

    def pids(self) -> list[int]:
        """The server and its children."""
        found = [self.process.pid]
        for pid in found:
            children = Path(f"/proc/{pid}/task/{pid}/children")
            found += [int(child) for child in children.read_text().split()]
        return found

    def cpu_seconds(self) -> float:
        """User and system time of all of them."""
        rows = [Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in self.pids()]
        return sum(int(row[11]) + int(row[12]) for row in rows) / os.sysconf("SC_CLK_TCK")

    def memory_mib(self) -> float:
        """Their proportional share of memory."""
        texts = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self.pids()]
        return sum(int(text.split("\nPss:")[1].split()[0]) for text in texts) / 1024

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to it."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    def fresh(self, size: int = SMALL_BYTES) -> bytes:
        """The next delivery; none is made twice."""
        self.made += 1
        return request(self.made, size)

    async def closed_loop(self, seconds: float) -> None:
        """All connections as fast as they go: CPU a delivery."""
        connections = [await self.open() for _ in range(CONNECTIONS)]
        ready = [self.fresh() for _ in range(int(seconds * 2500))]
        count, before, end = len(ready), self.cpu_seconds(), time.monotonic() + seconds

        async def work(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
            while ready and time.monotonic() < end:
                await send(connection, ready.pop())

        await asyncio.gather(*map(work, connections))
        self.sent += count - len(ready)
        self.cpu_us.append((self.cpu_seconds() - before) / (count - len(ready)) * 1e6)
        for _, writer in connections:
            writer.close()

    async def open_loop(self, seconds: float, *, large: bool = False) -> list[float]:
        """At a fixed rate: the latency of each in ms, from the instant at which it was due."""
        free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        for _ in range(CONNECTIONS):
            free.put_nowait(await self.open())
        ready = [self.fresh() for _ in range(int(seconds * RATE))]
        body = self.fresh(LARGE_BYTES) if large else b""
        self.sent += len(ready) + large
        took: list[float] = []

        async def one(due: float, data: bytes) -> None:
            connection = await free.get()
            await send(connection, data)
            took.append((time.perf_counter() - due) * 1e3)
            free.put_nowait(connection)

        tasks = []
        if large:
            tasks.append(asyncio.create_task(send(await self.open(), body)))
        start = time.perf_counter() + 0.05
        for number, data in enumerate(ready):
            due = start + number / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(one(due, data)))
        await asyncio.gather(*tasks)
        return sorted(took)

    async def storm(self, seconds: float) -> list[float]:
        """STORM_RATE a second for so long, BURST more in the last one, each on a connection of its own."""
        count = int(seconds * STORM_RATE)
        burst_at = max(0.0, seconds - 1.0)
        due = [number / STORM_RATE for number in range(count)]
        due += [burst_at + number / BURST for number in range(BURST)]
        ready = [self.fresh() for _ in due]
        took: list[float] = []

        async def one(at: float, data: bytes) -> None:
            connection = await self.open()
            await send(connection, data)
            took.append((time.perf_counter() - at) * 1e3)
            connection[1].close()

        tasks = []
        start = time.perf_counter()
        for at in sorted(due):
            await asyncio.sleep(max(0.0, start + at - time.perf_counter()))
            tasks.append(asyncio.create_task(one(start + at, ready.pop())))
        await asyncio.gather(*tasks)
        self.sent += len(due)
        return sorted(took)

    def rows(self) -> int | None:
        """How many deliveries its database holds, where it has one."""
        if self.name not in COUNT:
            return None
        with contextlib.closing(sqlite3.connect(next(self.folder.glob("*.db")))) as database:
            return int(database.execute(COUNT[self.name]).fetchone()[0])


def percentile(sorted_ms: list[float], part: float) -> float:
    """The value below which *part* of them lie."""
    return sorted_ms[min(len(sorted_ms) - 1, int(len(sorted_ms) * part))]


@contextlib.contextmanager
def running(name: str, folder: Path) -> Iterator[Subject]:
    """A server on a core of its own (where there are two), stopped at the end."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    folder.mkdir()
    environ = {**os.environ, "GITHUB_WEBHOOK_SECRET": SECRET, "ISSUEWRIGHT_DATA_DIR": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*COMMANDS[name], str(port)], env=environ, cwd=folder, stdout=log, stderr=log,
            preexec_fn=lambda: os.sched_setaffinity(0, {0}),  # noqa: PLW1509 - nothing else runs yet
        )  # fmt: skip
    try:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                break
            time.sleep(0.05)
        time.sleep(1.0)
        yield Subject(name, process, port, folder)
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    """Measure them in turn, round by round, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--storm", type=float, default=20.0)
    chosen = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        names = enumerate(COMMANDS)
        subjects = [stack.enter_context(running(name, folder / str(number))) for number, name in names]
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        for subject in subjects:
            subject.idle_mib = subject.memory_mib()
            asyncio.run(subject.closed_loop(0.5))
            subject.cpu_us.clear()
        for _ in range(chosen.rounds):
            for subject in subjects:
                asyncio.run(subject.closed_loop(chosen.seconds))
                took = asyncio.run(subject.open_loop(chosen.seconds))
                subject.p50_ms.append(percentile(took, 0.5))
                subject.p99_ms.append(percentile(took, 0.99))
                took = asyncio.run(subject.open_loop(chosen.seconds, large=True))
                subject.beside_ms.append(percentile(took, 0.99))
        ours = subjects[-1]
        stormed = asyncio.run(ours.storm(chosen.storm)) if chosen.storm else []
        report(subjects)
        if stormed:
            report_storm(stormed, chosen.storm)


def report_storm(took: list[float], seconds: float) -> None:
    """What the storm took; a single answer that is no 2xx has ended the run before."""
    p50, p99, most = percentile(took, 0.5), percentile(took, 0.99), took[-1]
    print(
        f"storm: {STORM_RATE}/s for {seconds:g} s and {BURST} within its last: {len(took)} accepted, "
        f"p50 {p50:.1f} ms, p99 {p99:.0f} ms (goal: {STORM_P99_MS:.0f}), "
        f"longest {most:.0f} ms (goal: {STORM_MOST_MS:.0f})"
    )


def report(subjects: list[Subject]) -> None:
    """The table of medians, and whether every 2xx is a row."""
    print("| server | CPU us | p50 ms | p99 ms | p99 ms beside 20 MB | idle MiB | accepted | rows |")
    print("|---|---|---|---|---|---|---|---|")
    for one in subjects:
        medians = [statistics.median(each) for each in (one.cpu_us, one.p50_ms, one.p99_ms, one.beside_ms)]
        cells = [f"{medians[0]:.0f}", *(f"{each:.2f}" for each in medians[1:]), f"{one.idle_mib:.0f}"]
        rows = one.rows()
        print(f"| {one.name} | {' | '.join(cells)} | {one.sent} | {'-' if rows is None else rows} |")
        if rows is not None and rows < one.sent:
            sys.exit(f"{one.name}: {one.sent - rows} accepted deliveries are no rows")


if __name__ == "__main__":
    main()
