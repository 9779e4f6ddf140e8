"""An installation that is hurt: forge, model, processes, people who ask, and the look at it afterwards."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from sqlalchemy import select

from bot.db import tables
from bot.db.database import Database
from bot.domain.enums import Cause, OperationKind
from bot.standin import sample
from bot.standin.forge.record import Exchange
from tests.chaos.kinds import BOOK, ONE_COMMENT, ONE_PULL
from tests.chaos.mortals import Mortal
from tests.chaos.oracle import Asked, Found, held, unfinished, unpaid, verdict
from tests.chaos.plan import Case
from tests.chaos.stacks import Stack
from tests.openapi import check_all
from tests.system.rig import Rig, rig

ORGANIZATIONS: Final = 4
FILES: Final = {"dog.py": "def speak():\n    return 'meow'\n"}
VERIFIED: Final = {**FILES, ".github/issuewright.yml": "verify: python3 -c 'import dog'\n"}
END_SECONDS: Final = 180.0
LOOK_SECONDS: Final = 0.1
_SAME_KIND: Final = 5
_VARIABLE: Final = re.compile(r"[0-9a-f]{40}|\d+")


@dataclass(slots=True)
class Installation:
    """One product at work; `asked` is all that people asked of it."""

    case: Case
    stack: Stack
    product: Rig
    database: Database
    mortals: list[Mortal]
    asked: list[Asked] = field(default_factory=list)
    quiet_seconds: float = 5.0

    @property
    def workers(self) -> list[Mortal]:
        """The supervisors that have a worker."""
        return [one for one in self.mortals if "--no-worker" not in one.arguments]

    @property
    def web(self) -> Mortal:
        """The supervisor of the web process."""
        return self.mortals[0]

    async def start(self) -> None:
        """Start everything, and measure how long requests take that nobody disturbs."""
        for mortal in self.mortals:
            await mortal.start()
        await self.until_ready()
        began = time.monotonic()
        await asyncio.gather(self.ask(is_change=True), self.ask(is_change=False))
        await self.until_over()
        self.quiet_seconds = time.monotonic() - began

    async def until_ready(self) -> None:
        """Wait until the web process answers."""
        self.product.process = self.web.process
        try:
            await self.product.until(self.product.is_ready)
        finally:
            self.product.process = None

    async def ask(self, *, is_change: bool, town: int | None = None) -> Asked:
        """Somebody labels an issue in one of the organizations: the answer is a comment or a change."""
        dice = self.case.random
        town = dice.randrange(ORGANIZATIONS) if town is None else town % ORGANIZATIONS
        repository = f"town-{town}/{dice.choice(['pets', 'zoo'])}"
        title = "The dog meows" if is_change else "Why does the dog meow?"
        forge = self.product.forge
        number = await forge.open_issue(repository, sample.PERSON, title, "It should bark.")
        asked = Asked(repository, number, ONE_PULL if is_change else ONE_COMMENT)
        self.asked.append(asked)
        await forge.add_label(repository, number, "agent:fix", sample.PERSON)
        return asked

    async def ask_some(self) -> None:
        """One to three requests of both kinds."""
        for _ in range(self.case.random.randint(1, 3)):
            await self.ask(is_change=self.case.random.random() < 0.5)

    async def until_over(self) -> None:
        """Redeliver what was missed, and wait until nothing waits any more (or too long: it is stuck)."""
        end = time.monotonic() + END_SECONDS
        while time.monotonic() < end:
            await self.product.forge.settle()
            if not self.product.forge.redeliver_failed() and await self._is_over():
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _is_over(self) -> bool:
        """Whether every delivery that the forge sent is stored, and nothing waits any more."""
        if await unfinished(self.database):
            return False
        table = tables.deliveries
        async with self.database.read() as connection:
            stored = set((await connection.execute(select(table.c.guid))).scalars())
        return {one.guid for one in self.product.forge.deliveries if one.event == "issues"} <= stored

    async def progress(self) -> int:
        """A number that grows with everything that is done: requests at forge and model."""
        return len(self.product.forge.requests) + len(self.product.model.requests)

    async def judge(self) -> tuple[Found, int]:
        """What is wrong when all is over, and how many jobs were set aside after three crashes."""
        crashed = await self._set_aside()
        asked = [_given_up(one) if _place(one) in crashed else one for one in self.asked]
        found = await verdict(self.database, self.product.forge, asked)
        found.duplicates.extend(await unpaid(self.database, len(self.product.model.requests)))
        found.stuck.extend(await self._still_held())
        check_all(_one_of_each(self.product.forge.requests))
        self.product.forge.requests.clear()
        return found, len(crashed)

    async def _set_aside(self) -> set[tuple[str, int]]:
        """The threads whose job was quarantined: ended in words after three crashes without a step."""
        run, origin = tables.job_runs, tables.job_origins
        statement = (
            select(origin.c.repository_id, origin.c.number)
            .join(run, run.c.job_id == origin.c.job_id)
            .where(run.c.quarantined_at.is_not(None))
        )
        async with self.database.read() as connection:
            rows = (await connection.execute(statement)).all()
        ids = {one.id: one.full_name for one in self.product.forge.world.repositories.values()}
        return {(ids[row.repository_id], row.number) for row in rows}

    async def _still_held(self) -> Sequence[str]:
        """Places that are taken by nobody: what is admitted or leased and not at work."""
        number = await held(self.database)
        return [f"{number} leases are held by nobody"] if number else []


def _place(one: Asked) -> tuple[str, int]:
    return one.repository, one.number


def _given_up(one: Asked) -> Asked:
    """A request whose job was set aside: one comment says so, and what landed before stays."""
    maybe = frozenset({0, 1})
    causes = one.expected.causes | {Cause.BUG}
    kinds = frozenset(OperationKind)
    return replace(
        one,
        expected=replace(one.expected, causes=causes, branches=maybe, pulls=maybe, may_fail=kinds),
    )


def _one_of_each(exchanges: Sequence[Exchange]) -> list[Exchange]:
    """A few exchanges of each shape: thousands of equal ones say nothing new, and take minutes."""
    seen: dict[tuple[object, ...], int] = {}
    chosen = []
    for one in exchanges:
        size = len(one.request_body) // 512, len(one.response_body) // 2048
        shape = (one.method, _VARIABLE.sub("N", one.path), one.status, one.fault, size)
        seen[shape] = seen.get(shape, 0) + 1
        chosen += [one] if seen[shape] <= _SAME_KIND else []
    return chosen


@asynccontextmanager
async def installed(case: Case, stack: Stack, folder: Path) -> AsyncIterator[Installation]:
    """An installation for *case* that is not started yet; everything of it ends with the block."""
    settings = {"ISSUEWRIGHT_SWEEP_SECONDS": "5", "ISSUEWRIGHT_RECONCILE_SECONDS": "2"}
    if case.scenario == "leaving":
        # Ten run at once: one place of five is kept for organizations of which nothing runs.
        settings["AGENT_MAX_CONCURRENCY"] = "12"
    async with rig(folder, book=BOOK, environment={**settings, **stack.environment}) as product:
        for number in range(ORGANIZATIONS):
            name = f"town-{number}"
            product.forge.create_user(name, "Organization")
            for repository, files in (("pets", FILES), ("zoo", VERIFIED if number == 0 else FILES)):
                await product.forge.create_repository(f"{name}/{repository}", dict(files))
                product.forge.set_permission(f"{name}/{repository}", sample.PERSON, "write")
        database = Database(product.database_url)
        installation = Installation(case, stack, product, database, _mortals(case, product))
        await product.install()
        for number in range(ORGANIZATIONS):
            await product.forge.install(f"town-{number}")
        try:
            yield installation
        finally:
            for mortal in installation.mortals:
                if mortal.process is not None:
                    await mortal.kill()
            await database.close()


def _mortals(case: Case, product: Rig) -> list[Mortal]:
    """Web and workers: together and alone, or apart, as the stack is commonly run."""
    serve = ["serve", "--port", str(product.port)]
    if case.scenario == "web":
        plans = [("serve", [*serve, "--no-worker"]), ("worker-1", ["worker"])]
    elif case.stack == "sqlite":
        plans = [("serve", serve)] + [("worker-2", ["worker"])] * case.random.randint(0, 1)
    else:
        plans = [("serve", [*serve, "--no-worker"]), ("worker-1", ["worker"]), ("worker-2", ["worker"])]
    return [Mortal(name, arguments, product.folder, product.environment) for name, arguments in plans]
