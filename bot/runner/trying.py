"""What one verify command says of a change: run again in other ways where its first word is not enough."""

import asyncio
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bot.domain.ports import ToolHost
from bot.domain.values import CommandRecord, FileChange
from bot.runner import weakened
from bot.runner.failures import (
    as_related,
    as_unsteady,
    did_not_run,
    fails,
    got_better,
    is_independent,
    is_known,
    is_unsteady,
    with_fewer_tests,
    with_missing_toolchain,
    with_old_tests,
)
from bot.runner.reports import Measure

# pytest runs nothing at all when one file cannot be collected, unless it is told to.
_GO_ON: Final = "export PYTEST_ADDOPTS=--continue-on-collection-errors"


@dataclass(slots=True)
class Trials:
    """Runs a repository's commands on the base and on a change; the base's own failures are known to it.

    *may_change_tests*: the person who commands says that the tests are wrong. *must_mend*: the request is
    about a bug, so what fails still must have nothing to do with the files that are changed.
    """

    host: ToolHost
    commands: Sequence[str]
    timeout_seconds: float
    may_change_tests: bool = False
    must_mend: bool = False
    _base_again: dict[str, CommandRecord] = field(default_factory=dict, init=False)

    async def base(self) -> list[CommandRecord]:
        """Every command on the base; one whose program is missing did not run."""
        records = [await self._run_base(command) for command in self.commands]
        return [await asyncio.to_thread(with_missing_toolchain, record) for record in records]

    async def change(
        self, before: Sequence[CommandRecord], changes: Sequence[FileChange]
    ) -> list[CommandRecord]:
        """Every command on the change, judged by what it said *before*."""
        return [await self._try(old, changes) for old in before]

    async def _try(self, old: CommandRecord, changes: Sequence[FileChange]) -> CommandRecord:
        if did_not_run(old):
            return old
        record = await self._run(old)
        if not fails([old]):
            return record
        deciding = weakened.deciding(changes, self.commands)
        if not self.may_change_tests and await asyncio.to_thread(got_better, [old], [record]):
            record = await self._with_the_tests_of_before(old, record, deciding)
        if not await _knows(old, record) and await _knows(old, record, Measure.NAME):
            is_noise = await asyncio.to_thread(is_unsteady, old, await self._second(old), record)
            record = as_unsteady(record) if is_noise else record
        if self.must_mend and fails([record]) and await _knows(old, record):
            code = [each.path for each in changes if not each.is_new and each.path not in deciding]
            return await self._unless_related(record, code)
        return record

    async def _with_the_tests_of_before(
        self, old: CommandRecord, record: CommandRecord, deciding: tuple[str, ...]
    ) -> CommandRecord:
        """*record*, unless its failure ended with the tests that showed it, or with fewer tests at all."""
        again = await self._run(old, deciding) if deciding else record
        if deciding and fails([again]) and not await _knows(record, again):
            return with_old_tests(again, deciding)
        checked = await asyncio.to_thread(with_fewer_tests, old, again)
        return record if checked is again else checked

    async def _unless_related(self, record: CommandRecord, code: Sequence[str]) -> CommandRecord:
        """*record* of an old failure; where it is not the same on a base without *code*, that it needs it."""
        if not code:
            return record
        # The copy that it runs on is gone afterwards.
        command = f"rm -f -- {shlex.join(code)}\n{_GO_ON}\n{record.command}"
        without = await self._run_base(command)
        is_apart = await asyncio.to_thread(is_independent, record, without)
        return record if is_apart else as_related(record, code)

    async def _second(self, old: CommandRecord) -> CommandRecord:
        """The base once more: how much its own failures differ from run to run."""
        if old.command not in self._base_again:
            self._base_again[old.command] = await self._run_base(old.command)
        return self._base_again[old.command]

    async def _run(self, old: CommandRecord, as_before: tuple[str, ...] = ()) -> CommandRecord:
        return await self.host.verify(old.command, timeout_seconds=self.timeout_seconds, as_before=as_before)

    async def _run_base(self, command: str) -> CommandRecord:
        return await self.host.verify(command, timeout_seconds=self.timeout_seconds, at_base=True)


async def _knows(old: CommandRecord, new: CommandRecord, measure: Measure = Measure.TEXT) -> bool:
    """Whether *new* is a failure of *old*; read beside the event loop, for it is a program's output."""
    return await asyncio.to_thread(is_known, old, new, measure)
