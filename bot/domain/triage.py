"""What a request is and how soon it should run: pure rules over labels, issue form and words."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from bot.domain.enums import IssuePriority, IssueType
from bot.domain.values import Triage
from bot.limits import BODY_MAX_CHARS

SURE = 0.5
_MAX_TITLE_CHARS = 1_024
_AGENTS: Mapping[str, str] = {"fix": "code.fix"}
_NEGATIONS = frozenset({"not", "no", "non", "invalid", "wontfix"})


@dataclass(frozen=True, slots=True)
class _Hint:
    """Words that speak for a type: how strongly (0 to 1) and which."""

    type: IssueType
    weight: float
    pattern: re.Pattern[str]


def _words(*phrases: str) -> re.Pattern[str]:
    """Matches any of *phrases* as whole words, in upper or lower case."""
    return re.compile(rf"(?<!\w)(?:{'|'.join(phrases)})(?!\w)", re.IGNORECASE)


_TYPE_LABELS: tuple[tuple[IssueType, frozenset[str]], ...] = (
    (IssueType.BUG, frozenset({"bug", "bugs", "bugfix", "defect", "regression", "crash"})),
    (IssueType.FEATURE, frozenset({"feature", "features"})),
    (IssueType.ENHANCEMENT, frozenset({"enhancement", "enhancements", "improvement"})),
    (IssueType.QUESTION, frozenset({"question", "questions"})),
    (IssueType.DEPLOYMENT, frozenset({"deployment", "deploy"})),
    (IssueType.TASK, frozenset({"documentation", "docs", "task", "chore", "refactoring", "maintenance"})),
)
_LABEL_WEIGHT = 0.95
_SPLIT_LABEL_WEIGHT = 0.6

_PRIORITY_WORDS: tuple[tuple[IssuePriority, frozenset[str]], ...] = (
    (IssuePriority.CRITICAL, frozenset({"p0", "critical", "blocker", "urgent", "sev0", "s0"})),
    (IssuePriority.HIGH, frozenset({"p1", "sev1"})),
    (IssuePriority.MEDIUM, frozenset({"p2", "sev2"})),
    (IssuePriority.LOW, frozenset({"p3", "p4", "sev3", "trivial"})),
)
_GRADES: tuple[tuple[IssuePriority, frozenset[str]], ...] = (
    (IssuePriority.CRITICAL, frozenset({"highest"})),
    (IssuePriority.HIGH, frozenset({"high", "major"})),
    (IssuePriority.MEDIUM, frozenset({"medium", "normal"})),
    (IssuePriority.LOW, frozenset({"low", "minor", "lowest"})),
)
_SCALES = frozenset({"priority", "prio", "severity", "importance"})

_HEADINGS: tuple[_Hint, ...] = (
    _Hint(IssueType.BUG, 0.6, _words("(steps |how )?to reproduce", "reproduction")),
    _Hint(IssueType.BUG, 0.6, _words("describe the bug", "bug description", "what happened")),
    _Hint(IssueType.BUG, 0.5, _words("expected behaviou?r", "actual behaviou?r", "current behaviou?r")),
    _Hint(IssueType.FEATURE, 0.6, _words("describe the solution you'?d like", "proposed solution")),
    _Hint(IssueType.FEATURE, 0.5, _words("alternatives( considered)?", "feature description", "use case")),
)
_TITLE: tuple[_Hint, ...] = (
    _Hint(IssueType.BUG, 0.7, re.compile(r"\W{0,3}(bug|fix|crash)(\([^()]*\))?\W{0,2}[:\]]", re.IGNORECASE)),
    _Hint(
        IssueType.FEATURE,
        0.7,
        re.compile(r"\W{0,3}(feature( request)?|feat)(\([^()]*\))?\W{0,2}[:\]]", re.IGNORECASE),
    ),
    _Hint(
        IssueType.TASK, 0.7, re.compile(r"\W{0,3}(docs?|chore|refactor|test|ci)\W{0,2}[:\]]", re.IGNORECASE)
    ),
    _Hint(IssueType.QUESTION, 0.7, re.compile(r"\W{0,3}question\W{0,2}[:\]]", re.IGNORECASE)),
)
_TITLE_WORDS: tuple[_Hint, ...] = (
    _Hint(
        IssueType.BUG,
        0.55,
        _words(
            "bugs?", "broken", "crash(es|ed|ing)?", "exception", "regression", "fails?", "failing", "wrong"
        ),
    ),
    _Hint(IssueType.BUG, 0.55, _words(r"does ?n[o']t work", r"not working", r"\w*(error|exception)")),
    _Hint(IssueType.FEATURE, 0.55, _words("add support", "support for", "feature request", "new feature")),
    _Hint(IssueType.ENHANCEMENT, 0.55, _words("improve(ment)?", "enhance(ment)?", "speed up", "optimi[sz]e")),
    _Hint(
        IssueType.QUESTION,
        0.55,
        re.compile(r"^(how|why|what|where|when|is|can|could|does|do)\b.*\?\s*\Z", re.IGNORECASE),
    ),
    _Hint(IssueType.DEPLOYMENT, 0.55, _words("deploy(ment|s|ing)?", "roll ?out", "release to production")),
)
_BODY_WORDS: tuple[_Hint, ...] = (
    _Hint(
        IssueType.BUG,
        0.5,
        _words(r"traceback \(most recent call last\)", "stack ?trace", "segmentation fault"),
    ),
    _Hint(IssueType.BUG, 0.3, _words("bug", "crash(es|ed)?", "regression", "broken", r"does ?n[o']t work")),
    _Hint(IssueType.FEATURE, 0.3, _words("feature request", "would be (nice|great|useful)", "add support")),
    _Hint(IssueType.QUESTION, 0.3, _words("how (do|can|should) (i|we)", "is it possible")),
    _Hint(IssueType.DEPLOYMENT, 0.3, _words("deploy(ment)? to (staging|production)")),
)


def classify(title: str, body: str, labels: Sequence[str], verb: str, *, default_model: str) -> Triage:
    """Classify one request; unsure means TASK, MEDIUM, with the low confidence kept.

    A label that names a type decides; without one, the headings of an issue form and the words of
    title and body add up. The priority comes from labels alone, since anybody may write a body.
    `agent_type` is "code.fix" whatever the type is: the other agents come with their own definitions.
    `model` is *default_model*. Never raises.
    """
    words = [_label_words(label) for label in labels]
    kind, confidence = _by_labels(words) or _by_text(title[:_MAX_TITLE_CHARS], body[:BODY_MAX_CHARS])
    return Triage(
        type=kind if confidence >= SURE else IssueType.TASK,
        priority=_priority(words),
        agent_type=_AGENTS.get(verb, "code.fix"),
        model=default_model,
        confidence=round(confidence, 3),
    )


def _label_words(label: str) -> frozenset[str]:
    """The words of a label such as `kind/bug`, `Priority: high` or `:bug: Bugfix`; none if it negates."""
    words = frozenset(re.findall(r"[a-z0-9]+", label.casefold()))
    return frozenset() if words & _NEGATIONS else words


def _by_labels(labels: Sequence[frozenset[str]]) -> tuple[IssueType, float] | None:
    """The type that labels name; of several the first in the table, with less confidence."""
    named = [kind for kind, words in _TYPE_LABELS if any(words & label for label in labels)]
    if not named:
        return None
    return named[0], _LABEL_WEIGHT if len(named) == 1 else _SPLIT_LABEL_WEIGHT


def _by_text(title: str, body: str) -> tuple[IssueType, float]:
    """The type for which the text speaks most, less half of what speaks for the next one."""
    doubt: dict[IssueType, float] = {}
    for hint in _hints(title, body):
        doubt[hint.type] = doubt.get(hint.type, 1.0) * (1.0 - hint.weight)
    ranked = sorted(doubt, key=lambda kind: doubt[kind])
    if not ranked:
        return IssueType.TASK, 0.0
    rival = 1.0 - doubt[ranked[1]] if len(ranked) > 1 else 0.0
    return ranked[0], max(0.0, 1.0 - doubt[ranked[0]] - rival / 2)


def _hints(title: str, body: str) -> Iterator[_Hint]:
    """Every hint of the tables that fits."""
    headings = "\n".join(line for line in body.splitlines() if line.startswith("#"))
    return chain(
        (hint for hint in _HEADINGS if hint.pattern.search(headings)),
        (hint for hint in _TITLE if hint.pattern.match(title)),
        (hint for hint in _TITLE_WORDS if hint.pattern.search(title)),
        (hint for hint in _BODY_WORDS if hint.pattern.search(body)),
    )


def _priority(labels: Sequence[frozenset[str]]) -> IssuePriority:
    """The most urgent priority that a label names, else MEDIUM."""
    for (priority, words), (_, grades) in zip(_PRIORITY_WORDS, _GRADES, strict=True):
        if any(words & label or (grades & label and _SCALES & label) for label in labels):
            return priority
    return IssuePriority.MEDIUM
