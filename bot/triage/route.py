"""The whole of triage for one job, as the runner calls it: look, then decide."""

from dataclasses import dataclass
from functools import partial

from bot.agents.registry import Registry
from bot.domain import triage
from bot.domain.values import Origin, RepositoryRef, Triage
from bot.triage.classify import Classifier, Subject
from bot.triage.decide import agents_for, decide
from bot.triage.look import Look


@dataclass(frozen=True, slots=True)
class Routed:
    """What a job is to be, and the look behind it."""

    triage: Triage
    look: Look | None


async def route(
    origin: Origin,
    repository: RepositoryRef,
    *,
    registry: Registry,
    classifier: Classifier,
    default_model: str,
) -> Routed:
    """Triage a job before its first turn; *registry* has the repository's agents in it.

    A second call for one job may come to another end, so what it came to is to be written down before the
    first turn.

    Raises:
        AccountRefused: The key or the account serves nobody now.
    """
    snapshot = origin.snapshot
    rules = triage.classify(
        snapshot.title,
        snapshot.body,
        snapshot.labels,
        origin.verb,
        words=snapshot.words,
        default_model=default_model,
    )
    told = triage.told(snapshot.labels, origin.verb, snapshot.words)
    agents = tuple((id_, registry.get(id_).summary) for id_ in agents_for(origin.verb, registry.ids))
    found = await classifier.look(Subject(repository, origin.number, origin.verb, snapshot, agents))
    decided = partial(decide, rules, found, told, verb=origin.verb, default_model=default_model)
    agent = registry.get(decided().agent_type)
    chosen = decided(fixed_model=agent.model if agent.has_own_model else None)
    return Routed(chosen, found)
