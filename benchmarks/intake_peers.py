"""The references of benchmarks/intake.py: `hmac` keeps nothing, `durable` is as thin as a durable one can be.

Use: python intake_peers.py hmac|durable PORT, with GITHUB_WEBHOOK_SECRET and ISSUEWRIGHT_DATA_DIR set.
"""

import asyncio
import hashlib
import hmac
import os
import queue
import sqlite3
import sys
import threading
from typing import Any

import orjson
import uvloop
from aiohttp import web

SECRET = os.environ["GITHUB_WEBHOOK_SECRET"].encode()
INSERT = "INSERT INTO delivery VALUES (?, ?, ?) ON CONFLICT DO NOTHING"


def write(waiting: "queue.SimpleQueue[tuple[Any, asyncio.Future[None]]]") -> None:
    """One thread; whatever waits goes into one transaction with a full sync."""
    file = f"{os.environ['ISSUEWRIGHT_DATA_DIR']}/delivery.db"
    database = sqlite3.connect(file, isolation_level=None)
    for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL"):
        database.execute(statement)
    database.execute("CREATE TABLE delivery (guid TEXT PRIMARY KEY, event TEXT, payload BLOB)")
    while True:
        batch = [waiting.get()]
        while not waiting.empty():
            batch.append(waiting.get())
        database.execute("BEGIN IMMEDIATE")
        database.executemany(INSERT, [row for row, _ in batch])
        database.execute("COMMIT")
        futures = [future for _, future in batch]
        futures[0].get_loop().call_soon_threadsafe(
            lambda done=futures: [each.set_result(None) for each in done]
        )


async def main(kind: str, port: int) -> None:
    """Answer until this process is ended."""
    waiting: queue.SimpleQueue[tuple[Any, asyncio.Future[None]]] = queue.SimpleQueue()

    async def hook(request: web.Request) -> web.Response:
        body = await request.read()
        digest = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(f"sha256={digest}", request.headers["X-Hub-Signature-256"]):
            return web.Response(status=401)
        if kind == "durable":
            orjson.loads(body)
            stored = asyncio.get_running_loop().create_future()
            waiting.put(
                ((request.headers["X-GitHub-Delivery"], request.headers["X-GitHub-Event"], body), stored)
            )
            await stored
        return web.Response(status=202)

    if kind == "durable":
        threading.Thread(target=write, args=(waiting,), daemon=True).start()
    app = web.Application(client_max_size=32 * 1024 * 1024)
    app.router.add_post("/webhooks/github", hook)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
