"""The effects that a model can be shown; what is done with each stands in `bot.agents.effects`."""

from bot.agents.schemas import MAX_LINE, PATH, choice, integer, list_of, object_of, spec, string
from bot.domain.effects import Severity

MAX_TITLE_CHARS = 69
MAX_BODY_CHARS = 60_000
"""GitHub cuts comments and bodies at 65,536 characters; the rest is left for what the harness adds."""
MAX_SUMMARY_CHARS = 2_000
MAX_QUESTION_CHARS = 1_000
MAX_FINDINGS = 25
MAX_FINDING_TITLE_CHARS = 120
MAX_FINDING_CHARS = 4_000
MAX_LABELS = 3
MAX_LABEL_CHARS = 50
"""https://docs.github.com/en/rest/issues/labels: a name has at most 50 characters."""

_FINDING = object_of(
    "path",
    "line",
    "severity",
    "confidence",
    "title",
    "evidence",
    path=PATH,
    line=integer("The first line that it is about, from 1, in the file as it is now", 1, MAX_LINE),
    end_line=integer("The last line that it is about; left out: the same line", 1, MAX_LINE),
    severity=choice("The harm if nothing is done", [word.value for word in Severity]),
    confidence=integer("How sure you are that it is real, in percent", 0, 100),
    title=string("What is wrong, in one line", MAX_FINDING_TITLE_CHARS, min_chars=1),
    evidence=string(
        "How you know: the input or state, the path through the code, the result",
        MAX_FINDING_CHARS,
        min_chars=1,
    ),
    suggestion=string("The text that should stand in place of these lines", MAX_FINDING_CHARS),
)

EFFECTS = (
    spec(
        "propose_change",
        """Describe the change you have made, for the pull request: what was wrong, why, what you did, how
        you know it is right. Files must have changed. Calling it again replaces the earlier text.""",
        object_of(
            "title",
            "body",
            title=string("Imperative, one line, below 70 characters", MAX_TITLE_CHARS, min_chars=1),
            body=string("Markdown for the reviewers", MAX_BODY_CHARS, min_chars=1),
        ),
    ),
    spec(
        "post_analysis",
        """Answer in words: what you found, with the evidence. Where a change was asked for, only when there
        is nothing to change, or when the right change is not yours to make. Calling it again replaces the
        earlier text.""",
        object_of("text", text=string("Markdown for the person who asked", MAX_BODY_CHARS, min_chars=1)),
    ),
    spec(
        "submit_review",
        """Give your review: what you looked at, and each finding with its place and its evidence. No
        finding at all is a good result. Calling it again replaces the earlier review.""",
        object_of(
            "summary",
            "findings",
            summary=string("What you looked at, and the verdict in words", MAX_SUMMARY_CHARS, min_chars=1),
            findings=list_of(
                "The findings, the most severe first; empty when there are none", _FINDING, MAX_FINDINGS
            ),
        ),
    ),
    spec(
        "set_labels",
        "Suggest labels for the issue, from those that the repository has. Calling it again replaces them.",
        object_of(
            "labels",
            labels=list_of(
                "Names of labels, exactly as the repository writes them",
                string("One label", MAX_LABEL_CHARS, min_chars=1),
                MAX_LABELS,
                min_items=1,
            ),
        ),
    ),
    spec(
        "suggest_duplicate",
        "Say that another issue of this repository asks for the same thing. Nothing is closed by it.",
        object_of(
            "number",
            "reason",
            number=integer("The number of the other issue", 1, 1_000_000_000),
            reason=string("What makes them the same", MAX_SUMMARY_CHARS, min_chars=1),
        ),
    ),
    spec(
        "ask_question",
        """End the work with one question to the person who asked, when you cannot go on without the answer
        and cannot find it here. It goes on when they reply. Never ask what the repository can tell.""",
        object_of(
            "question",
            question=string("One question, and what its answer decides", MAX_QUESTION_CHARS, min_chars=1),
        ),
    ),
    spec(
        "finish",
        "End the work after you have given its result.",
        object_of(
            "summary", summary=string("One or two sentences on the outcome", MAX_SUMMARY_CHARS, min_chars=1)
        ),
    ),
    spec(
        "give_up",
        "End the work without a result when you cannot do it. Say what you tried and what is missing.",
        object_of("reason", reason=string("What stood in the way", MAX_SUMMARY_CHARS, min_chars=1)),
    ),
)
