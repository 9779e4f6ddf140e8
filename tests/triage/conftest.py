"""A classifier on the real SDK and the scripted model server, with its money in memory."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from bot.agents import registry
from bot.domain.budget import BudgetExceeded
from bot.domain.enums import ThreadKind
from bot.domain.values import Actor, Json, Origin, RepositoryRef, Snapshot, Usage
from bot.llm.client import AnthropicModel
from bot.llm.prices import Catalogue
from bot.standin.model.server import ModelServer
from bot.triage.classify import Classifier, Subject
from bot.triage.decide import agents_for
from tests.fakes import ManualClock

DELIMITER = "text-0123456789abcdef"
AGENTS = registry.load()
REPOSITORY = RepositoryRef(1, "octo/till")
OPINION: Json = {
    "reasoning": "split drops the rest.",
    "type": "BUG",
    "priority": "HIGH",
    "complexity": 3,
    "module": "till/money.py",
    "agent": "code.fix",
    "model": "haiku",
    "confidence": 0.9,
    "ready": True,
    "missing": [],
    "question": "",
}


def opinion(**changes: Any) -> Json:
    """What a good model answers, with changes."""
    return {**OPINION, **changes}


def origin(title: str = "Thing", body: str = "", *labels: str, verb: str = "work", words: str = "") -> Origin:
    """A request in a thread."""
    return Origin(
        repository_id=1,
        number=7,
        kind=ThreadKind.ISSUE,
        verb=verb,
        actor=Actor(9, "maria"),
        trigger="label:agent",
        trigger_key="k",
        snapshot=Snapshot(title, body, words, labels, "stranger"),
        installation_id=2,
    )


def subject(of: Origin) -> Subject:
    """What the classifier gets of it."""
    agents = tuple((id_, AGENTS.get(id_).summary) for id_ in agents_for(of.verb, AGENTS.ids))
    return Subject(REPOSITORY, of.number, of.verb, of.snapshot, agents)


@dataclass
class Purse:
    """Money with one limit."""

    limit_micro_usd: int = 1_000_000
    reserved: list[int] = field(default_factory=list)
    settled: dict[str, int] = field(default_factory=dict)

    async def reserve(self, micro_usd: int, tokens: int) -> str:
        assert tokens > 0
        if micro_usd > self.limit_micro_usd:
            raise BudgetExceeded(
                "this job",
                spent_micro_usd=0,
                reserve_micro_usd=micro_usd,
                limit_micro_usd=self.limit_micro_usd,
            )
        self.reserved.append(micro_usd)
        return f"row{len(self.reserved)}"

    async def settle(self, reservation_id: str, usage: Usage, micro_usd: int) -> None:
        assert reservation_id not in self.settled
        self.settled[reservation_id] = micro_usd


@dataclass
class Desk:
    """A classifier and all that it works with."""

    server: ModelServer
    classifier: Classifier
    purse: Purse
    clock: ManualClock

    def play(self, *turns: Json, faults: tuple[Json, ...] = (), **script: Any) -> None:
        """Let the model say this from now on."""
        self.server.requests.clear()
        scripts = [{"name": "triage", "match": "Classify this request", "turns": list(turns), **script}]
        self.server.play({"scripts": scripts, "faults": list(faults)})

    @property
    def sent(self) -> list[Json]:
        """The bodies of all requests."""
        return [request["body"] for request in self.server.requests]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """A desk whose model has nothing to say yet."""
    server = ModelServer({"scripts": []}, api_key="sk-ant-test")
    await server.start()
    model = AnthropicModel("sk-ant-test", server.url)
    clock, purse = ManualClock(), Purse()
    yield Desk(server, Classifier(model, purse, clock, Catalogue(), DELIMITER), purse, clock)
    await model.close()
    await server.stop()
