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
_MODEL_WORDS = re.compile(r"(?<!\w)(?:model[:=] ?|with |use )(haiku|sonnet|opus)(?!\w)", re.IGNORECASE)
RESEARCH = "meta.research"
# Who does the work that a verb asks for, whatever the type is.
_AGENTS: Mapping[str, str] = {"ask": RESEARCH, "plan": "meta.plan"}
_BY_TYPE: Mapping[IssueType, str] = {
    IssueType.BUG: "code.fix",
    IssueType.FEATURE: "code.feature",
    IssueType.ENHANCEMENT: "code.feature",
    IssueType.TASK: "code.feature",
    IssueType.QUESTION: RESEARCH,
    IssueType.DEPLOYMENT: "meta.deployment",
}
_FIXERS: Mapping[IssueType, str] = {
    **_BY_TYPE,
    IssueType.QUESTION: "code.fix",
    IssueType.DEPLOYMENT: "code.fix",
}
_NEGATIONS = frozenset({"not", "no", "non", "invalid", "wontfix"})


@dataclass(frozen=True, slots=True)
class _Hint:
    """Words that speak for a type: how strongly (0 to 1) and which."""

    type: IssueType
    weight: float
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Told:
    """What people with a say have said themselves, so that no guess overrules it.

    Labels are put on by people with triage access or above; `model` is named in the words of a command.
    """

    type: IssueType | None = None
    priority: IssuePriority | None = None
    agent_type: str | None = None
    model: str | None = None


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
_DOCS_LABELS = frozenset({"documentation", "docs"})
_DOCS_TITLE = re.compile(r"\W{0,3}(docs?|documentation)(\([^()]*\))?\W{0,2}[:\]]", re.IGNORECASE)
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


def classify(
    title: str, body: str, labels: Sequence[str], verb: str, *, words: str = "", default_model: str
) -> Triage:
    """Classify one request; unsure means TASK, MEDIUM, with the low confidence kept.

    A label that names a type decides; without one, the headings of an issue form and the words of
    title and body add up. The priority comes from labels alone, since anybody may write a body.
    `model` is the one that *words* (of the command) name, else *default_model*. Never raises.
    """
    split = [_label_words(label) for label in labels]
    found, confidence = _by_labels(split) or _by_text(title[:_MAX_TITLE_CHARS], body[:BODY_MAX_CHARS])
    kind = found if confidence >= SURE else None
    said = told(labels, verb, words)
    return Triage(
        type=kind or IssueType.TASK,
        priority=_priority(split) or IssuePriority.MEDIUM,
        agent_type=agent_for(verb, kind, is_docs=is_about_docs(title, labels)),
        model=said.model or default_model,
        confidence=round(confidence, 3),
    )


def told(labels: Sequence[str], verb: str, words: str) -> Told:
    """What labels, verb and words of a request say in so many words; labels that disagree say nothing."""
    split = [_label_words(label) for label in labels]
    named = _by_labels(split)
    model = _MODEL_WORDS.search(words)
    return Told(
        type=named[0] if named is not None and named[1] == _LABEL_WEIGHT else None,
        priority=_priority(split),
        agent_type=_AGENTS.get(verb),
        model=model[1].lower() if model else None,
    )


def agent_for(verb: str, kind: IssueType | None, *, is_docs: bool = False) -> str:
    """Who does what *verb* asks for on a request of this type; *kind* None: nobody knows its type.

    `fix` always means somebody who can change files; without a verb of its own (the label `agent`)
    a request of unknown type is looked into first.
    """
    if verb in _AGENTS:
        return _AGENTS[verb]
    if kind is None:
        return "docs.write" if is_docs else "code.fix" if verb == "fix" else RESEARCH
    if is_docs and kind is IssueType.TASK:
        return "docs.write"
    return (_FIXERS if verb == "fix" else _BY_TYPE)[kind]


def is_about_docs(title: str, labels: Sequence[str]) -> bool:
    """Whether a label or the beginning of the title says that documentation is asked for."""
    by_label = any(_DOCS_LABELS & _label_words(label) for label in labels)
    return by_label or _DOCS_TITLE.match(title[:_MAX_TITLE_CHARS]) is not None


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


def _priority(labels: Sequence[frozenset[str]]) -> IssuePriority | None:
    """The most urgent priority that a label names."""
    for (priority, words), (_, grades) in zip(_PRIORITY_WORDS, _GRADES, strict=True):
        if any(words & label or (grades & label and _SCALES & label) for label in labels):
            return priority
    return None
