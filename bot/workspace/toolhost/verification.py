"""The repository's own commands: `prepare` once on the base, `verify` each on a copy of its own.

No command that the model has chosen ever runs where a verification begins: not in the tree, and not in
what `prepare` made of it.
"""

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bot.workspace.removal import remove_tree
from bot.workspace.sandbox import Launcher
from bot.workspace.toolhost import likeness, places, sandboxed
from bot.workspace.toolhost.globs import Exclusion
from bot.workspace.toolhost.places import Obstacle


class Scratch:
    """Directories below *job* for one run each; a thread removes them, for a full one takes its time."""

    def __init__(self, job: Path) -> None:
        """Make them below *job*."""
        self.job = job
        self._removing: threading.Thread | None = None

    @contextmanager
    def place(self) -> Iterator[Path]:
        """The name of a directory that is to be made; what is there afterwards is removed.

        Whoever comes next waits for that, so that there is never more than one.
        """
        self.settle()
        scratch = Path(tempfile.mkdtemp(prefix="scratch-", dir=self.job))
        try:
            yield scratch / "place"
        finally:
            self._removing = threading.Thread(target=remove_tree, args=(scratch,))
            self._removing.start()

    def settle(self) -> None:
        """Wait until nothing is left."""
        if self._removing is not None:
            self._removing.join()


def verify(
    launcher: Launcher,
    scratch: Scratch,
    command: str,
    timeout_seconds: float,
    *,
    at_base: bool = False,
    as_before: frozenset[str] = frozenset(),
    hides: Exclusion | None = None,
) -> dict[str, Any]:
    """The fields of a `CommandRecord` for *command*, run on a copy that is gone afterwards.

    The copy is the base, prepared where the repository asks for it, with the change of the tools in it
    unless *at_base*; the paths *as_before* are left out of the change, and what *hides* covers is not there.
    """
    try:
        with scratch.place() as root:
            place = places.fresh(scratch.job, root, at_base=at_base, as_before=as_before)
            if hides:
                likeness.conceal(place, hides)
            return sandboxed.run(launcher, scratch.job, place, command, timeout_seconds)
    except Obstacle as error:
        return sandboxed.not_run(f"the change does not fit on what `prepare` left: {error}")


def prepare(
    launcher: Launcher, scratch: Scratch, commands: Sequence[str], timeout_seconds: float
) -> list[dict[str, Any]]:
    """Run *commands* one after another on one copy of the base; the first failure ends it.

    When all of them end with 0, the copy is where every later command begins. Otherwise, and when we die
    meanwhile, there is none. The second time begins anew.
    """
    job = scratch.job
    remove_tree(job / "prepared")
    records: list[dict[str, Any]] = []
    with scratch.place() as root:
        place = places.fresh(job, root, at_base=True)
        for command in commands:
            records.append(sandboxed.run(launcher, job, place, command, timeout_seconds))
            if records[-1]["exit_code"] != 0:
                return records
        places.make_readable(place)
        root.rename(job / "prepared")
    return records
