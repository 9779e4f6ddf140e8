"""A table that fits its place: columns give way on a narrow terminal, and nothing is cut in a pipe."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from rich.cells import cell_len, set_cell_size

from bot.cli.visible import ELLIPSIS

GAP: Final = 2

Cell: TypeAlias = tuple[str, str]
"""A harmless text (see `visible`) and its style in Rich's words; an empty style is plain."""
Row: TypeAlias = Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Column:
    """How a column behaves: of the highest `rank` it goes first where there is no room, 0 stays always.

    One with `min_width` (terminal cells) shrinks to it, cut with an ellipsis; others are whole or gone.
    Below `good_width` it goes only where no column of rank 2 or more is left to give it room.
    An id (`is_id`) shrinks last of all, and keeps its end: that is where ids differ.
    """

    heading: str
    rank: int = 0
    min_width: int | None = None
    good_width: int = 0
    is_right: bool = False
    is_id: bool = False


def fitted(columns: Sequence[Column], rows: Sequence[Row], *, width: int | None) -> list[list[Cell]]:
    """The heading and the rows with every cell padded to its column; *width* None: nothing gives way."""
    wanted = [_natural(column, rows, index) for index, column in enumerate(columns)]
    shown = list(range(len(columns)))
    if width is not None:
        shown, wanted = _give_way(columns, wanted, width)
    lines: list[Row] = [[(column.heading, "bold") for column in columns], *rows]
    return [_laid_out(columns, line, shown, wanted) for line in lines]


def _natural(column: Column, rows: Sequence[Row], index: int) -> int:
    return max([cell_len(column.heading), *(cell_len(row[index][0]) for row in rows)])


def _give_way(columns: Sequence[Column], wanted: list[int], width: int) -> tuple[list[int], list[int]]:
    """Which columns are shown, and how wide each is."""
    shown = list(range(len(columns)))

    def total(widths: Sequence[int]) -> int:
        return sum(widths[index] for index in shown) + GAP * (len(shown) - 1)

    def drop(widths: Sequence[int], lowest_rank: int) -> None:
        while total(widths) > width and any(columns[index].rank >= lowest_rank for index in shown):
            shown.remove(max(shown, key=lambda index: columns[index].rank))

    drop(_least(columns, wanted, is_good=True), 2)
    least = _least(columns, wanted, is_good=False)
    drop(least, 1)
    widths = list(least)
    for index in shown if total(least) > width else ():
        if columns[index].is_id:
            widths[index] = min(wanted[index], columns[index].min_width or 0)
    for index in shown:
        widths[index] += max(0, min(wanted[index] - widths[index], width - total(widths)))
    return shown, widths


def _least(columns: Sequence[Column], wanted: Sequence[int], *, is_good: bool) -> list[int]:
    """The width below which each column does not go while others can; an id stays whole."""
    return [
        want
        if column.min_width is None or column.is_id
        else min(want, max(column.min_width, column.good_width if is_good else 0))
        for column, want in zip(columns, wanted, strict=True)
    ]


def _laid_out(
    columns: Sequence[Column], line: Row, shown: Sequence[int], widths: Sequence[int]
) -> list[Cell]:
    cells: list[Cell] = []
    for index in shown:
        text, style = line[index]
        text = cut(text, widths[index], is_end_kept=columns[index].is_id)
        gap = " " * (widths[index] - cell_len(text))
        is_last = index == shown[-1]
        after = "" if is_last else " " * GAP
        if columns[index].is_right:
            cells.append((gap + text + after, style))
        else:
            cells.append((text + ("" if is_last else gap + after), style))
    return cells


def cut(text: str, width: int, *, is_end_kept: bool = False) -> str:
    """*text* in at most *width* terminal cells, an ellipsis where its end (or its beginning) is missing."""
    if cell_len(text) <= width:
        return text
    if width <= 0:
        return ""
    if is_end_kept:  # ids are ASCII
        return ELLIPSIS + text[len(text) - width + 1 :]
    return set_cell_size(text, width - 1).rstrip() + ELLIPSIS
