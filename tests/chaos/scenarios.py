"""What is done to an installation while people ask: each scenario hurts it `case.kills` times."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from tests.chaos import faults
from tests.chaos.installation import Installation
from tests.chaos.leaving import leaving_workers
from tests.chaos.plan import Tally
from tests.chaos.refusals import refused_transactions
from tests.chaos.webs import web_kills
from tests.system.rig import SHORT_TIMES

Scenario = Callable[[Installation, Tally], Awaitable[None]]
LEASE_SECONDS: Final = float(SHORT_TIMES["ISSUEWRIGHT_LEASE_SECONDS"])
_STEP_SECONDS: Final = 0.001
_REDIS_LOSSES: Final = ("FLUSHALL", "killed", "empty", "away", "full")


async def worker_kills(installation: Installation, tally: Tally) -> None:
    """SIGKILL to a worker at a random moment; its supervisor, or we, start another one."""
    dice = installation.case.random
    for _ in range(installation.case.kills):
        await installation.ask_some()
        await _moment(installation)
        victim = dice.choice(installation.workers)
        if dice.random() < 0.3:
            await victim.kill()
            await victim.start()
        else:
            await victim.kill_child("worker")
        tally.kills += 1
    await installation.until_ready()


async def power_cuts(installation: Installation, tally: Tally) -> None:
    """SIGKILL to everything at once, then a new start."""
    for _ in range(installation.case.kills):
        await installation.ask_some()
        await _moment(installation)
        await asyncio.gather(*(mortal.kill() for mortal in installation.mortals))
        tally.kills += 1
        for mortal in installation.mortals:
            await mortal.start()
        await installation.until_ready()


async def frozen_workers(installation: Installation, tally: Tally) -> None:
    """SIGSTOP to a worker for twice its lease; when it goes on, it must write nothing."""
    dice = installation.case.random
    for _ in range(installation.case.kills):
        await installation.ask_some()
        await _moment(installation)
        pid = await dice.choice(installation.workers).until_child("worker")
        os.kill(pid, signal.SIGSTOP)
        tally.kills += 1
        await asyncio.sleep(2 * LEASE_SECONDS)
        os.kill(pid, signal.SIGCONT)


async def faulty_world(installation: Installation, tally: Tally) -> None:
    """Worker kills, while forge and model answer with errors, late, twice or not at all."""
    before = len(installation.product.forge.faults.rules)
    faults.draw(installation)
    tally.note("faults", len(installation.product.forge.faults.rules) - before)
    await worker_kills(installation, tally)
    installation.product.forge.faults.clear()


async def redis_losses(installation: Installation, tally: Tally) -> None:
    """Redis is emptied, killed, full, or started again without anything that it held."""
    valkey, dice = installation.stack.valkey, installation.case.random
    assert valkey is not None, "this stack has no Redis"
    for _ in range(installation.case.kills):
        await installation.ask_some()
        await _moment(installation)
        how = _REDIS_LOSSES[tally.kills % len(_REDIS_LOSSES)]
        tally.note(how)
        if how == "FLUSHALL":
            await asyncio.to_thread(valkey.ask, "FLUSHALL")
        elif how == "full":
            await asyncio.to_thread(valkey.ask, "CONFIG", "SET", "maxmemory", "1")
            await asyncio.sleep(dice.uniform(0, 2))
            await asyncio.to_thread(valkey.ask, "CONFIG", "SET", "maxmemory", "0")
        else:
            await asyncio.to_thread(valkey.kill)
            await asyncio.sleep(dice.uniform(0, 2) if how == "away" else 0)
            await asyncio.to_thread(valkey.start_empty if how == "empty" else valkey.start)
        tally.kills += 1
        await _resumed(installation, tally)


async def _resumed(installation: Installation, tally: Tally) -> None:
    """How long one more request takes after the blow, with nobody starting anything again."""
    began = time.monotonic()
    await installation.ask(is_change=False)
    await installation.until_over()
    tally.worst("resumed ms", time.monotonic() - began)


async def database_losses(installation: Installation, tally: Tally) -> None:
    """Postgres crashes or drops all connections, and starts again."""
    postgres, dice = installation.stack.postgres, installation.case.random
    assert postgres is not None, "this stack has no Postgres"
    for _ in range(installation.case.kills):
        await installation.ask_some()
        await _moment(installation)
        how = dice.choice([signal.SIGQUIT, signal.SIGINT, signal.SIGKILL])
        tally.note(how.name)
        await asyncio.to_thread(postgres.stop, how)
        await asyncio.sleep(dice.uniform(0, 1))
        await asyncio.to_thread(postgres.start)
        tally.kills += 1
        await installation.until_ready()


async def _moment(installation: Installation) -> None:
    """The moment of the next blow: a part of a quiet run, or the nth thing that is done from now on."""
    dice = installation.case.random
    seconds = dice.uniform(0, installation.quiet_seconds)
    if dice.random() < 0.5:
        await asyncio.sleep(seconds)
        return
    enough = await installation.progress() + dice.randint(1, 60)
    end = time.monotonic() + 2 * installation.quiet_seconds
    while await installation.progress() < enough and time.monotonic() < end:  # noqa: ASYNC110 - a record
        await asyncio.sleep(_STEP_SECONDS)


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "worker": worker_kills,
    "web": web_kills,
    "power": power_cuts,
    "frozen": frozen_workers,
    "leaving": leaving_workers,
    "faults": faulty_world,
    "redis": redis_losses,
    "postgres": database_losses,
    "refusals": refused_transactions,
}
NEEDS: Final[Mapping[str, frozenset[str]]] = {
    "redis": frozenset({"postgres-redis"}),
    "postgres": frozenset({"postgres", "postgres-redis"}),
    "refusals": frozenset({"postgres", "postgres-redis"}),
}
KILLS_A_CASE: Final[Mapping[str, int]] = {
    "worker": 10,
    "web": 25,
    "power": 5,
    "frozen": 3,
    "leaving": 5,
    "faults": 5,
    "refusals": 25,
}
