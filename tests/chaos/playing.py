"""Playing cases one after the other: each in a folder of its own, which stays where something was wrong."""

import asyncio
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.chaos.installation import installed
from tests.chaos.plan import Case, Tally
from tests.chaos.scenarios import KILLS_A_CASE, NEEDS, SCENARIOS
from tests.chaos.stacks import Stack, running_stack

_DEFAULT_KILLS: Final = 5
_START_SECONDS: Final = 120.0
_BLOW_SECONDS: Final = 120.0
Say = Callable[[str], None]


def cases(scenario: str, stack: str, seed: str, kills: int) -> Iterator[Case]:
    """The cases that come to *kills* in all; none where the scenario does not go with the stack."""
    if stack not in NEEDS.get(scenario, {stack}):
        return
    size, number = KILLS_A_CASE.get(scenario, _DEFAULT_KILLS), 0
    while kills > 0:
        yield Case(scenario, stack, seed, number, min(size, kills))
        kills -= size
        number += 1


def play(case: Case, tally: Tally, say: Say) -> bool:
    """Play *case* and count what came of it; whether all was well. A folder with something wrong is kept."""
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{case.scenario}-", dir="/tmp"))
    began = time.monotonic()
    before = len(tally.found.all)
    try:
        with running_stack(case.stack, is_durable=case.scenario == "postgres") as stack:
            asyncio.run(_play(case, stack, folder, tally))
    except (Exception, ExceptionGroup) as error:
        # One case that breaks must not end the others: it counts as stuck, with its traceback.
        tally.found.stuck.append("".join(traceback.format_exception(error)))
    tally.seconds += time.monotonic() - began
    wrong = tally.found.all[before:]
    if wrong:
        say("\n".join([*wrong, f"kept: {folder}", f"again: {case.replay}"]))
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return not wrong


async def _play(case: Case, stack: Stack, folder: Path, tally: Tally) -> None:
    async with installed(case, stack, folder) as installation:
        async with asyncio.timeout(_START_SECONDS + case.kills * _BLOW_SECONDS):
            await installation.start()
            await SCENARIOS[case.scenario](installation, tally)
        await installation.until_over()
        found, set_aside = await installation.judge()
        tally.found.add(found)
        tally.set_aside += set_aside
        tally.requests += len(installation.asked)
