"""What becomes of a request: the rules, what people said themselves, and then what a model thinks of it.

Who wins, the strongest first:

    type, priority   a label > the look of the model (priority HIGH at most) > the rules
    agent            the verb > a label's type > the look > the rules
    model            words of the command > the repository's agent file > AGENT_DEFAULT_MODEL, if it is not
                     the default > complexity (1-3 haiku, 4-7 sonnet, 8-10 opus) > the default
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from bot.domain.agent_kinds import writes
from bot.domain.enums import IssuePriority
from bot.domain.triage import SURE, Told, agent_for
from bot.domain.values import Triage
from bot.triage.look import Look

READY_SURE: Final = 0.7
"""How sure a look must be that something is missing before the work stops for a question."""
DEFAULT_MODEL: Final = "sonnet"
_SMALL: Final = 3
_MIDDLE: Final = 7


def decide(
    rules: Triage,
    look: Look | None,
    told: Told,
    *,
    verb: str,
    default_model: str,
    fixed_model: str | None = None,
) -> Triage:
    """The triage of a request; *rules* is what stands without a model.

    *default_model* is the setting, *fixed_model* the one that the repository's own definition names.
    A look that is not sure of itself changes nothing. Never raises.
    """
    if look is None or look.confidence < SURE:
        model = choose_model(told, None, default_model=default_model, fixed_model=fixed_model)
        return replace(rules, model=model)
    kind = told.type or look.type
    return replace(
        rules,
        type=kind,
        priority=told.priority or _bounded(look.priority),
        agent_type=_agent(rules, look, told, verb),
        model=choose_model(told, look.complexity, default_model=default_model, fixed_model=fixed_model),
        confidence=rules.confidence if told.type else look.confidence,
        complexity=look.complexity,
        module=look.module,
    )


def choose_model(
    told: Told, complexity: int | None, *, default_model: str, fixed_model: str | None = None
) -> str:
    """The model of a job (alias or name): see the table above; *complexity* None: nobody knows it."""
    if told.model is not None:
        return told.model
    if fixed_model is not None:
        return fixed_model
    if default_model != DEFAULT_MODEL or complexity is None:
        return default_model
    return "haiku" if complexity <= _SMALL else "sonnet" if complexity <= _MIDDLE else "opus"


def agents_for(verb: str, ids: Collection[str]) -> tuple[str, ...]:
    """Of the agents that there are, those that a look may choose for *verb*, sorted.

    For `fix` only who can change files; never who works on other things than requests.
    """
    apart = {"meta.triage", "meta.review", "meta.feedback-analyzer"}
    chosen = (id_ for id_ in ids if id_ not in apart)
    return tuple(sorted(id_ for id_ in chosen if verb != "fix" or writes(id_)))


def question(look: Look | None, agent_type: str, *, has_asked: bool) -> str | None:
    """The one question to ask before any money is spent on a change, or None: the work begins.

    Only for who changes files, only when the look is sure that something is missing and can say what; never a
    second time for the same request (*has_asked*). The look has read the words of the person who commands.
    """
    if look is None or has_asked or not writes(agent_type):
        return None
    if look.is_ready or look.confidence < READY_SURE:
        return None
    return look.question or None


def _agent(rules: Triage, look: Look, told: Told, verb: str) -> str:
    """Who does it: people's word first, then the look's, if it may choose that one."""
    if told.agent_type is not None:
        return told.agent_type
    if told.type is not None:
        return rules.agent_type
    if look.agent in agents_for(verb, [look.agent]):
        return look.agent
    return agent_for(verb, look.type)


def _bounded(priority: IssuePriority) -> IssuePriority:
    """A stranger's text never makes a request critical: only a label does."""
    return IssuePriority.HIGH if priority is IssuePriority.CRITICAL else priority
