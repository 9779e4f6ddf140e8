"""Who wins: people's word, the look of a model, the rules."""

from dataclasses import replace
from typing import Any

import pytest

from bot.domain.enums import IssuePriority, IssueType
from bot.domain.triage import Told
from bot.domain.values import Triage
from bot.triage.decide import READY_SURE, agents_for, choose_model, decide, question
from tests.triage.conftest import AGENTS
from tests.triage.test_look import LOOK

RULES = Triage(IssueType.TASK, IssuePriority.MEDIUM, "meta.research", "sonnet", 0.2)
FEATURE = replace(LOOK, type=IssueType.FEATURE, agent="code.feature")


def decided(told: Told = Told(), verb: str = "work", **look: Any) -> Triage:  # noqa: B008 - frozen
    return decide(RULES, replace(FEATURE, **look), told, verb=verb, default_model="sonnet")


@pytest.mark.parametrize("look", [None, replace(FEATURE, confidence=0.49)])
def test_without_an_opinion_or_with_an_unsure_one_the_rules_stand(look: Any) -> None:
    assert decide(RULES, look, Told(), verb="work", default_model="sonnet") == RULES


def test_an_opinion_takes_the_place_of_a_guess() -> None:
    assert decided() == Triage(
        IssueType.FEATURE,
        IssuePriority.HIGH,
        "code.feature",
        "haiku",
        0.9,
        complexity=3,
        module="till/money.py",
    )


@pytest.mark.parametrize(
    ("told", "verb", "look", "expected"),
    [
        # what a label says stays, and with the type the agent that follows from it
        (Told(type=IssueType.BUG), "work", {}, {"type": IssueType.BUG, "agent_type": "meta.research"}),
        (Told(type=IssueType.BUG), "work", {}, {"confidence": 0.2, "complexity": 3}),
        (Told(priority=IssuePriority.LOW), "work", {}, {"priority": IssuePriority.LOW}),
        (Told(priority=IssuePriority.CRITICAL), "work", {}, {"priority": IssuePriority.CRITICAL}),
        # a stranger's text makes nothing critical
        (Told(), "work", {"priority": IssuePriority.CRITICAL}, {"priority": IssuePriority.HIGH}),
        (Told(), "work", {"priority": IssuePriority.LOW}, {"priority": IssuePriority.LOW}),
        # the verb decides who works
        (Told(agent_type="meta.plan"), "plan", {}, {"agent_type": "meta.plan"}),
        (Told(agent_type="meta.research"), "ask", {"agent": "code.fix"}, {"agent_type": "meta.research"}),
        (Told(), "fix", {"agent": "meta.research"}, {"agent_type": "code.feature"}),
        (Told(), "fix", {"agent": "docs.write"}, {"agent_type": "docs.write"}),
        (Told(), "work", {"agent": "meta.review"}, {"agent_type": "code.feature"}),
        (Told(), "work", {"agent": "meta.deployment"}, {"agent_type": "meta.deployment"}),
        # the model
        (Told(model="opus"), "work", {}, {"model": "opus"}),
        (Told(), "work", {"complexity": 9, "model": "haiku"}, {"model": "opus"}),
    ],
)
def test_the_order_of_who_wins(told: Told, verb: str, look: Any, expected: dict[str, Any]) -> None:
    found = decided(told, verb, **look)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("told", "fixed", "default", "complexity", "expected"),
    [
        ("opus", "haiku", "claude-x", 1, "opus"),
        (None, "haiku", "claude-x", 9, "haiku"),
        (None, None, "claude-x", 9, "claude-x"),
        (None, None, "haiku", 9, "haiku"),
        (None, None, "opus", 1, "opus"),
        (None, None, "sonnet", None, "sonnet"),
        (None, None, "sonnet", 1, "haiku"),
        (None, None, "sonnet", 3, "haiku"),
        (None, None, "sonnet", 4, "sonnet"),
        (None, None, "sonnet", 7, "sonnet"),
        (None, None, "sonnet", 8, "opus"),
        (None, None, "sonnet", 10, "opus"),
    ],
)
def test_the_model_follows_from_the_strongest_word(
    told: str | None, fixed: str | None, default: str, complexity: int | None, expected: str
) -> None:
    found = choose_model(Told(model=told), complexity, default_model=default, fixed_model=fixed)
    assert found == expected


def test_a_look_chooses_among_those_who_can_do_what_was_asked() -> None:
    assert agents_for("fix", AGENTS.ids) == ("code.feature", "code.fix", "docs.write")
    assert agents_for("work", (*AGENTS.ids, "code.sql")) == (
        "code.feature",
        "code.fix",
        "code.sql",
        "docs.write",
        "meta.deployment",
        "meta.plan",
        "meta.research",
    )


UNREADY = replace(LOOK, is_ready=False, question="Which currency?", confidence=READY_SURE)


@pytest.mark.parametrize(
    ("look", "agent", "has_asked", "expected"),
    [
        (UNREADY, "code.fix", False, "Which currency?"),
        (UNREADY, "docs.write", False, "Which currency?"),
        (UNREADY, "meta.research", False, None),
        (UNREADY, "code.fix", True, None),
        (replace(UNREADY, confidence=READY_SURE - 0.01), "code.fix", False, None),
        (replace(UNREADY, is_ready=True), "code.fix", False, None),
        (replace(UNREADY, question=""), "code.fix", False, None),
        (None, "code.fix", False, None),
    ],
)
def test_a_question_is_asked_once_and_only_before_a_change_that_surely_cannot_begin(
    look: Any, agent: str, has_asked: bool, expected: str | None
) -> None:
    assert question(look, agent, has_asked=has_asked) == expected
