"""`issuewright budget`: what is spent of each budget, and when it begins anew."""

import argparse
from functools import partial
from typing import Final

from bot.cli import desk as desks
from bot.cli import times
from bot.cli.desk import SYSTEM, Desk
from bot.cli.document import as_document
from bot.cli.table import Cell, Column
from bot.cli.terminal import EXIT_OK
from bot.cli.visible import one_line
from bot.db import spending
from bot.db.spending import SpendLine
from bot.domain.money import usd_text

_FULL: Final = 1.0
_NEARLY: Final = 0.8
_COLUMNS: Final = (
    Column("BUDGET"),
    Column("OF", min_width=12),
    Column("IN", rank=3, min_width=8),
    Column("SPENT", is_right=True),
    Column("LIMIT", rank=1, is_right=True),
    Column("USED", is_right=True),
    Column("ANEW IN", rank=2, is_right=True),
)


def run(arguments: argparse.Namespace) -> int:
    """Show the budgets; returns the exit code.

    Raises:
        ConfigError: The settings or the database cannot be used.
    """
    return desks.run(arguments, partial(_show, arguments))


async def _show(arguments: argparse.Namespace, desk: Desk) -> int:
    async with desk.database.read() as connection:
        lines = await spending.listing(
            SYSTEM, connection, desk.settings.budgets, limit=arguments.limit, now=desk.now
        )
    if desk.is_json:
        desk.screen.document(as_document(lines))
    else:
        desk.screen.table(_COLUMNS, [_row(line, desk) for line in lines])
    return EXIT_OK


def _row(line: SpendLine, desk: Desk) -> list[Cell]:
    share = line.spent_micro_usd / line.limit_micro_usd if line.limit_micro_usd else 0.0
    style = "red" if share >= _FULL else "yellow" if share >= _NEARLY else ""
    return [
        (line.kind.value.replace("_", " "), ""),
        (one_line(line.name, max_chars=120), "bold"),
        (one_line(line.organization or "-", max_chars=120), "dim"),
        (usd_text(line.spent_micro_usd), style),
        (usd_text(line.limit_micro_usd) if line.limit_micro_usd else "none", "dim"),
        (f"{share:.0%}" if line.limit_micro_usd else "-", style),
        (times.span(desk.now, line.resets_at), "dim"),
    ]
