"""Triage by labels, issue forms and words."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.enums import IssuePriority, IssueType
from bot.domain.triage import SURE, Told, classify, told
from bot.domain.values import WORK, Triage

BUG_FORM = "### Steps to reproduce\n\n1. Add two\n\n### Expected behavior\n\n4\n\n### Actual behaviour\n\n5\n"
FEATURE_FORM = "### Describe the solution you'd like\n\nA knob\n\n### Alternatives considered\n\nNone\n"


def triage(title: str = "Thing", body: str = "", *labels: str) -> Triage:
    return classify(title, body, labels, "fix", default_model="sonnet")


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("bug", IssueType.BUG),
        ("Bug", IssueType.BUG),
        ("kind/bug", IssueType.BUG),
        ("type: bug", IssueType.BUG),
        (":bug: Bugfix", IssueType.BUG),
        ("regression", IssueType.BUG),
        ("enhancement", IssueType.ENHANCEMENT),
        ("feature", IssueType.FEATURE),
        ("feature-request", IssueType.FEATURE),
        ("question", IssueType.QUESTION),
        ("documentation", IssueType.TASK),
        ("deployment", IssueType.DEPLOYMENT),
    ],
)
def test_a_label_that_names_a_type_decides(label: str, expected: IssueType) -> None:
    found = triage("How does it crash?", BUG_FORM, "agent", label)
    assert (found.type, found.confidence) == (expected, 0.95)


@pytest.mark.parametrize("label", ["not a bug", "wontfix: bug", "bugle", "debug", "agent", "agent:fix", ""])
def test_a_label_that_denies_or_only_resembles_a_type_says_nothing(label: str) -> None:
    assert triage("Thing", "", label) == Triage(
        IssueType.TASK, IssuePriority.MEDIUM, "code.fix", "sonnet", confidence=0.0
    )


def test_labels_that_disagree_leave_less_confidence() -> None:
    found = triage("Thing", "", "enhancement", "bug")
    assert (found.type, found.confidence) == (IssueType.BUG, 0.6)


@pytest.mark.parametrize(
    ("title", "body", "expected"),
    [
        ("Totals", BUG_FORM, IssueType.BUG),
        ("Totals", BUG_FORM.replace("\n", "\r\n"), IssueType.BUG),
        ("Totals", FEATURE_FORM, IssueType.FEATURE),
        ("[Bug]: totals", "", IssueType.BUG),
        ("fix(cart): totals", "", IssueType.BUG),
        ("bug: totals", "", IssueType.BUG),
        ("feat: totals", "", IssueType.FEATURE),
        ("[Feature request] totals", "", IssueType.FEATURE),
        ("docs: totals", "", IssueType.TASK),
        ("[Question] totals", "", IssueType.QUESTION),
        ("Crashes on empty input", "", IssueType.BUG),
        ("ValueError in totals", "", IssueType.BUG),
        ("Sum doesn't work", "", IssueType.BUG),
        ("Add support for CSV", "", IssueType.FEATURE),
        ("Improve the speed of totals", "", IssueType.ENHANCEMENT),
        ("How do I print totals?", "", IssueType.QUESTION),
        ("Deploy the shop", "", IssueType.DEPLOYMENT),
        ("Totals", "```\nTraceback (most recent call last):\n```", IssueType.BUG),
        ("How do I print totals?", "Is it possible?", IssueType.QUESTION),
    ],
)
def test_without_such_a_label_form_and_words_decide(title: str, body: str, expected: IssueType) -> None:
    found = triage(title, body, "agent")
    assert found.type is expected and SURE <= found.confidence < 0.95


def test_more_evidence_gives_more_confidence() -> None:
    scores = [
        triage("Totals crash").confidence,
        triage("Totals crash", "a regression").confidence,
        triage("Totals crash", BUG_FORM).confidence,
    ]
    assert scores == sorted(scores) and len(set(scores)) == 3


@pytest.mark.parametrize(
    ("title", "body"),
    [
        ("Thing", ""),
        ("", ""),
        ("Totals", "It would be nice"),
        ("Totals", "a bug"),
        ("Add support for crashes", ""),
    ],
)
def test_unsure_is_a_task_of_medium_priority_with_the_low_confidence_kept(title: str, body: str) -> None:
    found = triage(title, body)
    assert (found.type, found.priority) == (IssueType.TASK, IssuePriority.MEDIUM) and found.confidence < SURE


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("P0", IssuePriority.CRITICAL),
        ("critical", IssuePriority.CRITICAL),
        ("priority/critical", IssuePriority.CRITICAL),
        ("urgent", IssuePriority.CRITICAL),
        ("priority: highest", IssuePriority.CRITICAL),
        ("P1", IssuePriority.HIGH),
        ("priority: high", IssuePriority.HIGH),
        ("high priority", IssuePriority.HIGH),
        ("Severity - Major", IssuePriority.HIGH),
        ("p2", IssuePriority.MEDIUM),
        ("priority:medium", IssuePriority.MEDIUM),
        ("P3", IssuePriority.LOW),
        ("low-priority", IssuePriority.LOW),
        ("prio: minor", IssuePriority.LOW),
        ("high", IssuePriority.MEDIUM),
        ("not critical", IssuePriority.MEDIUM),
        ("minor", IssuePriority.MEDIUM),
    ],
)
def test_priority_comes_from_labels(label: str, expected: IssuePriority) -> None:
    assert triage("Thing", "", label).priority is expected


def test_of_several_priorities_the_most_urgent_counts() -> None:
    assert triage("Thing", "", "p3", "priority: high", "P2").priority is IssuePriority.HIGH


def test_words_of_strangers_set_no_priority() -> None:
    assert triage("URGENT: critical P0 outage", "priority: critical").priority is IssuePriority.MEDIUM


@pytest.mark.parametrize(
    ("label", "by_label", "by_fix"),
    [
        ("bug", "code.fix", "code.fix"),
        ("feature", "code.feature", "code.feature"),
        ("enhancement", "code.feature", "code.feature"),
        ("chore", "code.feature", "code.feature"),
        ("documentation", "docs.write", "docs.write"),
        ("question", "meta.research", "code.fix"),
        ("deployment", "meta.deployment", "code.fix"),
        ("other", "meta.research", "code.fix"),
    ],
)
def test_the_agent_follows_from_verb_and_type(label: str, by_label: str, by_fix: str) -> None:
    agents = {
        verb: classify("Thing", "", [label], verb, default_model="sonnet").agent_type
        for verb in (WORK, "fix", "ask", "plan")
    }
    assert agents == {WORK: by_label, "fix": by_fix, "ask": "meta.research", "plan": "meta.plan"}


@pytest.mark.parametrize(
    ("title", "agent"),
    [
        ("docs: say what split does", "docs.write"),
        ("[Docs] totals", "docs.write"),
        ("docs(api): totals", "docs.write"),
        ("docs crash", "code.fix"),
        ("chore: totals", "code.feature"),
    ],
)
def test_a_title_that_asks_for_documentation_goes_to_the_writer(title: str, agent: str) -> None:
    assert classify(title, "", [], WORK, default_model="sonnet").agent_type == agent


def test_a_bug_in_the_documentation_is_still_a_bug() -> None:
    found = classify("Thing", "", ["docs", "bug"], WORK, default_model="sonnet")
    assert (found.type, found.agent_type) == (IssueType.BUG, "code.fix")


@pytest.mark.parametrize(
    ("words", "model"),
    [
        ("", "sonnet"),
        ("with opus", "opus"),
        ("please use Haiku", "haiku"),
        ("model: opus", "opus"),
        ("model=haiku and be quick", "haiku"),
        ("write a haiku", "sonnet"),
        ("with opusculum", "sonnet"),
    ],
)
def test_the_words_of_a_command_may_name_a_model(words: str, model: str) -> None:
    assert classify("Thing", "with opus", [], "fix", words=words, default_model="sonnet").model == model


def test_what_people_with_a_say_have_said_is_known() -> None:
    assert told(["bug", "P1"], "plan", "with opus") == Told(
        IssueType.BUG, IssuePriority.HIGH, "meta.plan", "opus"
    )
    assert told(["bug", "question"], WORK, "") == Told()
    assert told(["needs info"], "fix", "") == Told()


@given(st.text(), st.text(), st.lists(st.text(max_size=60), max_size=5))
@settings(max_examples=300, deadline=None)
def test_no_text_makes_it_raise(title: str, body: str, labels: list[str]) -> None:
    found = triage(title, body, *labels)
    assert 0.0 <= found.confidence <= 1.0


@pytest.mark.parametrize("piece", ["a", "# ", "#\n", "bug(", "how ", "error", "\n", "does not ", "é_", "? "])
def test_long_texts_are_read_quickly(piece: str) -> None:
    assert triage(piece * 100_000, piece * 100_000).confidence <= 1.0
