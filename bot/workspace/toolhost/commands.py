"""The model's own commands: one copy for the whole job, and the output of the last few of them.

The copy outlives a command, so that what was built is built; before each one every file of the tree stands
in it again as the tools see it. Nothing of it ever comes back into the tree.
"""

import subprocess
from collections import OrderedDict
from pathlib import Path
from typing import Any

from bot.domain import masks
from bot.domain.paths import RefusedPath
from bot.workspace.removal import remove_tree
from bot.workspace.sandbox import Launcher
from bot.workspace.toolhost import likeness, places, sandboxed
from bot.workspace.toolhost.beneath import Trouble
from bot.workspace.toolhost.globs import Exclusion
from bot.workspace.toolhost.likeness import Difference, Kind
from bot.workspace.toolhost.places import Obstacle, Place
from bot.workspace.toolhost.reply import Reply

HEAD_CHARS = 4_000
TAIL_CHARS = 8_000
"""A test run says what failed at its end."""
MAX_PIECE_CHARS = 24_000
KEPT_OUTPUTS = 8
MAX_NAMES = 20

_TROUBLES = (Obstacle, RefusedPath, Trouble, OSError)


class Commands:
    """The commands of one job; a new process begins with a new copy."""

    def __init__(self, launcher: Launcher, job: Path) -> None:
        """Run with *launcher* below *job*."""
        self._launcher = launcher
        self._job = job
        self._place: Place | None = None
        self._new: frozenset[tuple[str, ...]] = frozenset()
        self._outputs: OrderedDict[int, str] = OrderedDict()
        self._count = 0
        self.hides = Exclusion()
        """What is not in the copy, because the model must not see it."""

    def run(self, command: str, timeout_seconds: float) -> Reply:
        """Run *command* on the job's copy, brought up to date with the tree first."""
        try:
            place, is_new = self._up_to_date()
        except (Obstacle, subprocess.SubprocessError) as error:
            return Reply(f"The command was not run: {error}.", is_error=True)
        record = sandboxed.run(self._launcher, self._job, place, command, timeout_seconds)
        if record["exit_code"] is None:
            return Reply(f"The command was not run: {record['reason']}.", is_error=True)
        self._count += 1
        # Masked whole: a piece that begins in the middle of a secret would not look like one.
        output = self._outputs[self._count] = masks.mask(record["output"])[0]
        while len(self._outputs) > KEPT_OUTPUTS:
            self._outputs.popitem(last=False)
        lines = [_ending(record), _clipped(output, self._count), *self._traces(place)]
        if is_new and self._count > 1:
            lines.append(
                "(The copy in which commands run had to be made anew; what was built there is gone.)"
            )
        return Reply("\n".join(line for line in lines if line))

    def read_output(self, run: int, offset: int = 0, limit: int = MAX_PIECE_CHARS) -> Reply:
        """Characters of the output of command number *run*, from *offset*."""
        if run not in self._outputs:
            known = ", ".join(str(number) for number in self._outputs) or "none"
            return Reply(f"The output of run {run} is not kept; kept are: {known}.", is_error=True)
        output = self._outputs[run]
        first = min(max(offset, 0), len(output))
        piece = output[first : first + min(max(limit, 1), MAX_PIECE_CHARS)]
        last = first + len(piece)
        more = f"; go on with offset {last}" if last < len(output) else "; this is the end"
        return Reply(f"[run {run}, characters {first} to {last} of {len(output)}{more}]\n{piece}")

    def _up_to_date(self) -> tuple[Place, bool]:
        """The copy, and whether it was made just now."""
        root = self._job / "run"
        if self._place is not None:
            try:
                likeness.bring_back(self._job, self._place, self.hides)
            except _TROUBLES:
                self._place = None
            else:
                return self._place, False
        remove_tree(root)
        self._new = frozenset()
        try:
            place = places.fresh(self._job, root, at_base=False)
            if self.hides:
                likeness.conceal(place, self.hides)
            self._new = self._new_names(likeness.bring_back(self._job, place, self.hides))
        except (RefusedPath, Trouble, OSError) as error:
            raise Obstacle(f"no copy of the repository can be made ({error})") from None
        self._place = place
        return place, True

    def _traces(self, place: Place) -> list[str]:
        """What the command did to its copy, in words."""
        try:
            found = likeness.differences(self._job, place, self.hides)
        except _TROUBLES:
            return ["(What the command did to its copy cannot be told.)"]
        lines = []
        changed = [d.path for d in found if d.kind is Kind.CHANGED]
        deleted = [d.path for d in found if d.kind is Kind.DELETED]
        for word, paths in (("changed", changed), ("deleted", deleted)):
            if paths:
                lines.append(
                    f"[In its private copy only, the command {word} {_named(paths)}. The repository's files "
                    "are as before, and so will the copy be for the next command; use the file tools.]"
                )
        known, self._new = self._new, self._new_names(found)
        made = ["/".join(parts) for parts in self._new - known]
        if made:
            lines.append(f"[New in its private copy, kept there for the next command: {_named(made)}.]")
        return lines

    @staticmethod
    def _new_names(found: list[Difference]) -> frozenset[tuple[str, ...]]:
        return frozenset(difference.parts for difference in found if difference.kind is Kind.NEW)


def _ending(record: dict[str, Any]) -> str:
    seconds = record["duration_ms"] / 1000
    stopped = f"; {record['reason']}" if record["reason"] else ""
    return f"exit code {record['exit_code']} after {seconds:.1f} s{stopped}"


def _clipped(output: str, run: int) -> str:
    """The head and the tail of *output*, and how to see what is between them."""
    if len(output) <= HEAD_CHARS + TAIL_CHARS:
        return output.rstrip("\n") or "(no output)"
    hidden = len(output) - HEAD_CHARS - TAIL_CHARS
    note = (
        f"[… {hidden} characters left out; read_output with run {run} and offset {HEAD_CHARS} shows them …]"
    )
    return f"{output[:HEAD_CHARS]}\n{note}\n{output[-TAIL_CHARS:]}"


def _named(paths: list[str]) -> str:
    shown = ", ".join(ascii(path)[1:-1] for path in sorted(paths)[:MAX_NAMES])
    return shown if len(paths) <= MAX_NAMES else f"{shown} and {len(paths) - MAX_NAMES} more"
