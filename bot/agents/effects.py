"""The effects of a running agent: checked, counted, and kept until the harness applies them."""

from collections.abc import Callable, Mapping
from typing import Final

from bot.agents import checks
from bot.agents.effect_specs import MAX_LABELS
from bot.domain.effects import Duplicate, Proposal, Review
from bot.domain.values import Json, ToolResult

MAX_REPEATS = 3
"""How often one effect may be given in a job; the last one counts."""
NOTHING_CHANGED: Final = (
    "No file has changed, so there is nothing to propose. Make the change first, or answer with "
    "post_analysis."
)
KEPT: Final = "{} is kept. Call finish when you are done."


class Effects:
    """What the agent has asked for so far; `is_over` once it has ended its work.

    Where the repository's own labels are known, only these are taken.
    """

    def __init__(self, known_labels: frozenset[str] | None = None) -> None:
        """Begin with nothing asked for."""
        self.proposal: Proposal | None = None
        self.analysis: str | None = None
        self.review: Review | None = None
        self.labels: tuple[str, ...] = ()
        self.duplicate: Duplicate | None = None
        self.question: str | None = None
        self.summary = ""
        self.is_over = False
        self.has_given_up = False
        self._known_labels = known_labels
        self._counts: dict[str, int] = {}

    @property
    def has_result(self) -> bool:
        """Whether something stands that can be shown to people."""
        return bool(self.proposal or self.analysis or self.review or self.labels or self.duplicate)

    def reopen(self) -> None:
        """Take the end back: what was given stands, and each effect may be given as often as at first."""
        self.summary, self.question, self.is_over, self.has_given_up = "", None, False, False
        self._counts.clear()

    def apply(self, name: str, arguments: Json, *, has_changes: bool) -> ToolResult:
        """Take the effect *name* with arguments that fit its schema; an unfit one gets an error."""
        if self.is_over:
            return ToolResult("The work is over; nothing more is taken.", is_error=True)
        count = self._counts.get(name, 0)
        if count >= MAX_REPEATS:
            return ToolResult(f"{name} was given {count} times already; call finish now.", is_error=True)
        if name == "propose_change" and not has_changes:
            return ToolResult(NOTHING_CHANGED, is_error=True)
        result = self._take(name, arguments)
        if not result.is_error:
            self._counts[name] = count + 1
        return result

    def _take(self, name: str, given: Json) -> ToolResult:
        """One effect, by its name."""
        takers: Mapping[str, Callable[[Json], ToolResult]] = {
            "propose_change": self._propose,
            "post_analysis": self._analyse,
            "submit_review": self._review,
            "set_labels": self._label,
            "suggest_duplicate": self._duplicate,
            "ask_question": self._ask,
            "finish": self._finish,
            "give_up": self._give_up,
        }
        return takers[name](given)

    def _propose(self, given: Json) -> ToolResult:
        """Keep a proposal."""
        title, body = given["title"].strip(), given["body"]
        if not title or not body.strip():
            return ToolResult("title and body must not be blank.", is_error=True)
        if not checks.is_one_line(title):
            return ToolResult("title must be one line.", is_error=True)
        self.proposal = Proposal(title=title, body=body)
        return ToolResult(KEPT.format("The proposal"))

    def _analyse(self, given: Json) -> ToolResult:
        """Keep an analysis."""
        if not given["text"].strip():
            return ToolResult("text must not be blank.", is_error=True)
        self.analysis = given["text"]
        return ToolResult(KEPT.format("The analysis"))

    def _review(self, given: Json) -> ToolResult:
        """Keep a review whose every finding can be shown at its place."""
        wrong = checks.review_problems(given)
        if wrong:
            return ToolResult(" ".join(wrong), is_error=True)
        self.review = checks.review(given)
        return ToolResult(KEPT.format(f"The review with {len(self.review.findings)} findings"))

    def _label(self, given: Json) -> ToolResult:
        """Keep labels that the repository has."""
        names = tuple(dict.fromkeys(name.strip() for name in given["labels"]))
        if not all(name and checks.is_one_line(name) for name in names):
            return ToolResult("A label must be one line and not blank.", is_error=True)
        known = self._known_labels
        unknown = [name for name in names if known is not None and name not in known]
        if unknown:
            words = ", ".join(sorted(known or ())[: checks.MAX_SHOWN_LABELS]) or "none"
            return ToolResult(f"The repository has no label {unknown[0]!r}. It has: {words}.", is_error=True)
        self.labels = names[:MAX_LABELS]
        return ToolResult(KEPT.format("The list of labels"))

    def _duplicate(self, given: Json) -> ToolResult:
        """Keep the pointer to another issue."""
        if not given["reason"].strip():
            return ToolResult("reason must not be blank.", is_error=True)
        self.duplicate = Duplicate(given["number"], given["reason"].strip())
        return ToolResult(KEPT.format("The suggestion"))

    def _ask(self, given: Json) -> ToolResult:
        """End the work with a question."""
        question = given["question"].strip()
        if not question:
            return ToolResult("question must not be blank.", is_error=True)
        self.question, self.summary, self.is_over = question, question, True
        return ToolResult("The question is asked. The work goes on when it is answered.")

    def _finish(self, given: Json) -> ToolResult:
        """End the work, if there is a result."""
        if not self.has_result:
            return ToolResult(
                "There is no result yet: give it with the tool that is meant for it first, or call give_up.",
                is_error=True,
            )
        self.summary, self.is_over = given["summary"], True
        return ToolResult("Done.")

    def _give_up(self, given: Json) -> ToolResult:
        """End the work without a result."""
        self.summary, self.has_given_up, self.is_over = given["reason"], True, True
        return ToolResult("Noted. The work ends here.")
