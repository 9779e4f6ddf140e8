"""The effects of a running agent: checked, counted, and kept until the harness applies them."""

from bot.domain.effects import Proposal
from bot.domain.values import Json, ToolResult

MAX_REPEATS = 3
"""How often one effect may be given in a job; the last one counts."""


class Effects:
    """What the agent has asked for so far; `is_over` once it has ended its work."""

    def __init__(self) -> None:
        """Begin with nothing asked for."""
        self.proposal: Proposal | None = None
        self.analysis: str | None = None
        self.summary = ""
        self.is_over = False
        self.has_given_up = False
        self._counts: dict[str, int] = {}

    @property
    def has_result(self) -> bool:
        """Whether something stands that can be shown to people."""
        return self.proposal is not None or self.analysis is not None

    def apply(self, name: str, arguments: Json, *, has_changes: bool) -> ToolResult:
        """Take the effect *name* with arguments that fit its schema; an unfit one gets an error."""
        if self.is_over:
            return ToolResult("The work is over; nothing more is taken.", is_error=True)
        count = self._counts.get(name, 0)
        if count >= MAX_REPEATS:
            return ToolResult(f"{name} was given {count} times already; call finish now.", is_error=True)
        result = self._take(name, arguments, has_changes=has_changes)
        if not result.is_error:
            self._counts[name] = count + 1
        return result

    def _take(self, name: str, arguments: Json, *, has_changes: bool) -> ToolResult:
        """One effect, by its name."""
        if name == "propose_change":
            return self._propose(arguments["title"].strip(), arguments["body"], has_changes=has_changes)
        if name == "post_analysis":
            return self._analyse(arguments["text"])
        if name == "finish":
            return self._finish(arguments["summary"])
        self.summary, self.has_given_up, self.is_over = arguments["reason"], True, True
        return ToolResult("Noted. The work ends here.")

    def _propose(self, title: str, body: str, *, has_changes: bool) -> ToolResult:
        """Keep a proposal, if there is something to propose."""
        if not title or not body.strip():
            return ToolResult("title and body must not be blank.", is_error=True)
        if len(title.splitlines()) > 1:
            return ToolResult("title must be one line.", is_error=True)
        if not has_changes:
            return ToolResult(
                "No file has changed, so there is nothing to propose. Make the change first, or answer with "
                "post_analysis.",
                is_error=True,
            )
        self.proposal = Proposal(title=title, body=body)
        return ToolResult("The proposal is kept. Call finish when you are done.")

    def _analyse(self, text: str) -> ToolResult:
        """Keep an analysis."""
        if not text.strip():
            return ToolResult("text must not be blank.", is_error=True)
        self.analysis = text
        return ToolResult("The analysis is kept. Call finish when you are done.")

    def _finish(self, summary: str) -> ToolResult:
        """End the work, if there is a result."""
        if not self.has_result:
            return ToolResult(
                "There is no result yet: call propose_change or post_analysis first, or give_up.",
                is_error=True,
            )
        self.summary, self.is_over = summary, True
        return ToolResult("Done.")
