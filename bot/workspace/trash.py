"""What is no longer needed is renamed aside at once, and deleted behind everybody's back."""

import secrets
import subprocess
import threading
from pathlib import Path

from bot import logs
from bot.workspace.removal import remove_tree

log = logs.get(__name__)

SETTLE_SECONDS = 60.0


class Trash:
    """A directory whose content a thread of low priority deletes; what a crash left goes the same way."""

    def __init__(self, root: Path) -> None:
        """Use *root*, which is made when it is first needed."""
        self._root = root
        self._changing = threading.Lock()
        self._thread: threading.Thread | None = None

    def take(self, path: Path) -> None:
        """Let *path* be gone from its place; one that is not there is gone already.

        Raises:
            OSError: It cannot be renamed.
        """
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            path.rename(self._root / secrets.token_hex(12))
        except FileNotFoundError:
            return
        self.empty()

    def empty(self) -> None:
        """See to it that a thread deletes all that is there; returns at once."""
        with self._changing:
            if self._thread is None and self._content():
                self._thread = threading.Thread(target=self._work, name="trash", daemon=True)
                self._thread.start()

    def settle(self, timeout_seconds: float = SETTLE_SECONDS) -> None:
        """Wait until what is there now is deleted, or the time is over."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_seconds)

    def _content(self) -> list[str]:
        try:
            return [path.name for path in self._root.iterdir()]
        except FileNotFoundError:
            return []

    def _work(self) -> None:
        stuck: set[str] = set()
        while True:
            with self._changing:
                waiting = [name for name in self._content() if name not in stuck]
                if not waiting:
                    self._thread = None
                    return
            for name in waiting:
                try:
                    remove_tree(self._root / name, is_patient=True)
                except (OSError, subprocess.SubprocessError) as error:
                    stuck.add(name)
                    log.warning("trash_stuck", why=str(error))
