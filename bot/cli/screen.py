"""Where results go: styled on a terminal, plain and aligned in a pipe, one JSON document on request."""

import io
import json
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, Final

from bot.cli.table import Cell, Column, Row, cut, fitted
from bot.cli.terminal import result, say, show
from bot.cli.visible import pretty_json

MIN_WIDTH: Final = 40
_INDENT: Final = 2


class Screen:
    """What a command says, kept until it is sent: whoever reads slowly must not hold the database.

    Every text that it is given must be harmless already (see `visible`).
    """

    def __init__(self) -> None:
        """Look once whether stdout is a terminal, and how wide; NO_COLOR and TERM=dumb are obeyed."""
        self.width: int | None = None
        self._console: Any = None
        self._kept: list[tuple[Callable[[str], None], str]] = []
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        if sys.stdout.isatty():
            from rich.console import Console

            self._console = Console(highlight=False, soft_wrap=True, emoji=False, markup=False)
            self.width = max(MIN_WIDTH, self._console.width)

    def send(self) -> None:
        """Write what was kept, results to stdout and words about them to stderr; nothing is left.

        Raises:
            Unread: Nobody reads stdout.
            UserError: Stdout cannot be written.
        """
        kept, self._kept = self._kept, []
        for write, text in kept:
            write(text)

    def aside(self, text: str) -> None:
        """One line about the results, for stderr."""
        self._kept.append((say, text))

    def line(self, *cells: Cell) -> None:
        """One line of styled pieces."""
        if self._console is None:
            self._keep("".join(text for text, _ in cells).rstrip())
            return
        from rich.text import Text

        pieces = [(text, style) if style else text for text, style in cells]
        self._draw(Text.assemble(*pieces, no_wrap=True))

    def heading(self, title: str) -> None:
        """A title above what follows."""
        self.line()
        self.line((title, "bold cyan"))

    def table(self, columns: Sequence[Column], rows: Sequence[Row], *, indent: int = 0) -> None:
        """The rows below their headings; as wide as the terminal at most."""
        room = None if self.width is None else self.width - indent
        for cells in fitted(columns, rows, width=room):
            self.line((" " * indent, ""), *cells)

    def pairs(self, pairs: Sequence[tuple[str, Cell]]) -> None:
        """Names and values below each other; a long value goes on below its own beginning."""
        widest = max((len(name) for name, _ in pairs), default=0)
        for name, (text, style) in pairs:
            label = f"{' ' * _INDENT}{name.ljust(widest)}  "
            first, *rest = self._wrapped(text, len(label))
            self.line((label, "dim"), (first, style))
            for more in rest:
                self.line((" " * len(label), ""), (more, style))

    def hints(self, hints: Sequence[tuple[str, str]]) -> None:
        """What to do next: words, and below them the command, whole in one line."""
        self.heading("What you can do")
        for words, command in hints:
            self.line(("  ", ""), (words, ""))
            if command:
                self.line(("    ", ""), (command, "bold"))

    def panel(self, title: str, lines: Sequence[Sequence[Cell]], style: str) -> None:
        """Lines in a box on a terminal, long ones going on below themselves; by themselves elsewhere."""
        if self._console is None or self.width is None:
            for cells in lines:
                self.line(*cells)
            return
        from rich.panel import Panel
        from rich.text import Text

        shown = [Text.assemble(*(cell if cell[1] else cell[0] for cell in cells)) for cells in lines]
        box = Panel(Text("\n").join(shown), title=Text(cut(title, self.width - 6)), title_align="left")
        box.border_style = style
        # A softly wrapped box would be cut at its edge.
        self._draw(box, soft_wrap=False)

    def document(self, value: Any) -> None:
        """One JSON document: in ASCII, so that nothing in it can do anything to a terminal."""
        self._keep(json.dumps(value, indent=2 if sys.stdout.isatty() else None))

    def pretty(self, value: Any) -> None:
        """A JSON value for people to read."""
        text = pretty_json(value)
        if self._console is None:
            self._keep(text)
            return
        from rich.syntax import Syntax

        self._draw(Syntax(text, "json", theme="ansi_dark", background_color="default"))

    def _keep(self, text: str) -> None:
        self._kept.append((result, text))

    def _draw(self, thing: Any, **options: Any) -> None:
        """Keep what the console makes of *thing*."""
        with self._console.capture() as capture:
            self._console.print(thing, **options)
        self._kept.append((show, capture.get()))

    def _wrapped(self, text: str, indent: int) -> list[str]:
        if self.width is None:
            return [text]
        return textwrap.wrap(text, max(10, self.width - indent), break_on_hyphens=False) or [""]
