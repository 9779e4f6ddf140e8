"""What a person sees of the demo: a live story in a terminal, plain lines elsewhere."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from rich.console import Console
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from bot.cli.demo_facts import Line

_PARTS: Final = {
    "stage": "cyan",
    "receive": "blue",
    "submit": "magenta",
    "agent": "yellow",
    "verify": "green",
    "publish": "cyan",
}
_PART_WIDTH: Final = 8


class View:
    """Writes to one console; colours and boxes only where it is a terminal."""

    def __init__(self, *, to_stderr: bool) -> None:
        """Talk on stderr where stdout is kept for the result."""
        self._console = Console(stderr=to_stderr, highlight=False, soft_wrap=True)

    def open(self) -> None:
        """Say what is going to happen, and what of it is played."""
        words = (
            "A person puts the label [b]agent[/b] on an issue, and Issuewright does its main job.\n"
            "[dim]GitHub and Claude are stand-ins on this machine, and the model's answers are a playback. "
            "Webhooks, database,\nqueue, checkout, sandbox, tests and git are the real ones.[/dim]"
        )
        if self._console.is_terminal:
            self._console.print(Panel(words, title="issuewright demo", border_style="cyan"))
        else:
            self._console.print(Text.from_markup(words).plain)

    def working(self) -> AbstractContextManager[object]:
        """A spinner below the story while it goes on, in a terminal."""
        if self._console.is_terminal:
            return self._console.status("[dim]at work[/dim]", spinner="dots")
        return nullcontext()

    def tell(self, line: Line) -> None:
        """One line of the story."""
        mark = Text("✔ " if line.is_good else "✘ ", style="green" if line.is_good else "red")
        part = Text(line.part.ljust(_PART_WIDTH), style=_PARTS.get(line.part, ""))
        self._console.print(Text.assemble("  ", mark, part, " ", line.text))

    def diff(self, patch: str) -> None:
        """The change."""
        self._console.print()
        if self._console.is_terminal:
            self._console.print(Syntax(patch.rstrip(), "diff", theme="ansi_dark", background_color="default"))
        else:
            self._console.print(patch.rstrip(), markup=False)
        self._console.print()

    def record(self, records: Sequence[Mapping[str, Any]]) -> None:
        """The verification before and after, and what to do where it did not run."""
        table = Table(title="Verification, as the harness recorded it", title_justify="left")
        for heading in ("when", "command", "exit", "tier"):
            table.add_column(heading)
        for each in records:
            code = each["exit_code"]
            style = "dim" if code is None else "green" if code == 0 else "red"
            shown = "not run" if code is None else str(code)
            table.add_row(str(each["when"]), each["command"], Text(shown, style=style), str(each["tier"]))
        if self._console.is_terminal:
            self._console.print(table)
            return
        for each in records:
            shown = "not run" if each["exit_code"] is None else f"exit {each['exit_code']}"
            self._console.print(
                f"verification {each['when']}: {each['command']}: {shown}, tier {each['tier']}"
            )

    def close(self, found: Mapping[str, Any], where: Sequence[tuple[str, str]]) -> None:
        """The result and where to look at it."""
        pull = found["pull_request"]
        figures = [
            f"{found['comments']} comment in the thread",
            f"{found['steps']} model turns",
            f"${found['cost_usd']:.4f} by the price table",
            f"{found['seconds']:.1f} s",
        ]
        words = [
            f"Draft pull request #{pull['number']} on branch {pull['head']}",
            " · ".join(figures),
            *(f"{name}: {address}" for name, address in where),
        ]
        if self._console.is_terminal:
            self._console.print(Panel("\n".join(words), border_style="green"), markup=False)
        else:
            self._console.print("\n".join(words), markup=False)

    def fail(self, words: str) -> None:
        """Why there is no result."""
        self._console.print(Text(words, style="red"))

    def say(self, words: str) -> None:
        """A sentence by itself."""
        self._console.print(words, markup=False)
