"""SQLite's log is written back beside the writer, so that no delivery waits for a checkpoint."""

import contextlib
import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from bot.db.database import prepare_sqlite

# Shorter than the web's patience, so that the cause is known when the sender is told.
BUSY_TIMEOUT_MS: Final = 5_000
# What the log may grow by before it is written back, and before the writer itself waits for that.
CHECKPOINT_BYTES: Final = 4 * 1024 * 1024
STALL_BYTES: Final = 128 * 1024 * 1024


class Checkpoints:
    """Writes the log back into the file in a thread of its own: no delivery waits for it."""

    def __init__(self, path: str) -> None:
        """Keep where the file is; nothing runs yet."""
        self._path = path
        self._grown_bytes = 0
        self._executor: ThreadPoolExecutor | None = None
        self._running: Future[None] | None = None

    def after(self, connection: sqlite3.Connection, written_bytes: int) -> None:
        """Note what was written; begin a checkpoint when it is time, wait for it when it is overdue."""
        self._grown_bytes += written_bytes
        if self._grown_bytes < CHECKPOINT_BYTES:
            return
        is_running = self._running is not None and not self._running.done()
        if self._grown_bytes >= STALL_BYTES:
            self._grown_bytes = 0
            _checkpoint(connection)
        elif not is_running:
            self._grown_bytes = 0
            self._executor = self._executor or ThreadPoolExecutor(1, "checkpoint")
            self._running = self._executor.submit(self._beside)

    def close(self) -> None:
        """Wait for the one that runs."""
        if self._executor is not None:
            self._executor.shutdown()
            self._executor = None

    def _beside(self) -> None:
        with contextlib.closing(connect(self._path)) as connection:
            _checkpoint(connection)


def _checkpoint(connection: sqlite3.Connection) -> None:
    """As much as goes without waiting for anybody; what fails now is done after the next growth.

    https://sqlite.org/pragma.html#pragma_wal_checkpoint
    """
    with contextlib.suppress(sqlite3.Error):
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


def connect(path: str) -> sqlite3.Connection:
    """A connection like all others, but for its patience and its checkpoints."""
    connection = sqlite3.connect(path, check_same_thread=False)
    prepare_sqlite(connection)
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    return connection
