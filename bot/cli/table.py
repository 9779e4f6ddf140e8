"""A table that fits its place: columns give way on a narrow terminal, and nothing is cut in a pipe."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from rich.cells import cell_len, set_cell_size

from bot.cli.visible import ELLIPSIS

GAP: Final = 2
_MAX_KEPT: Final = 30
_EMPTY: Final = frozenset({"", "-"})

Cell: TypeAlias = tuple[str, str]
"""A harmless text (see `visible`) and its style in Rich's words; an empty style is plain."""
Row: TypeAlias = Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Column:
    """How a column behaves: of the highest `rank` it goes first where there is no room, 0 stays always.

    One with `min_width` (terminal cells) shrinks to it, cut with an ellipsis; others are whole or gone.
    Below `good_width` it goes only where no column of rank 2 or more is left to give it room.
    An id (`is_id`) shrinks before any column goes: the commands take a part of it. `is_end_kept`: what
    is cut off is the beginning, and from its last `#` on it is whole; ids and addresses differ at the end.
    """

    heading: str
    rank: int = 0
    min_width: int | None = None
    good_width: int = 0
    is_right: bool = False
    is_id: bool = False
    is_end_kept: bool = False


def fitted(columns: Sequence[Column], rows: Sequence[Row], *, width: int | None) -> list[list[Cell]]:
    """The heading and the rows with every cell padded to its column; *width* None: nothing gives way."""
    wanted = [_natural(column, rows, index) for index, column in enumerate(columns)]
    shown = list(range(len(columns)))
    if width is not None:
        shown, wanted = _give_way(columns, rows, wanted, width)
    lines: list[Row] = [[(column.heading, "bold") for column in columns], *rows]
    return [_laid_out(columns, line, shown, wanted) for line in lines]


def _natural(column: Column, rows: Sequence[Row], index: int) -> int:
    return max([cell_len(column.heading), *(cell_len(row[index][0]) for row in rows)])


def _give_way(
    columns: Sequence[Column], rows: Sequence[Row], wanted: Sequence[int], width: int
) -> tuple[list[int], list[int]]:
    """Which columns are shown, and how wide each is."""
    least = [_least(column, rows, index, wanted[index]) for index, column in enumerate(columns)]
    good = [
        max(floor, min(want, column.good_width))
        for column, floor, want in zip(columns, least, wanted, strict=True)
    ]
    empty = {
        index
        for index, column in enumerate(columns)
        if column.rank and all(row[index][0] in _EMPTY for row in rows)
    }
    shown: list[int] = []

    def total(widths: Sequence[int], indexes: Sequence[int]) -> int:
        return sum(widths[index] for index in indexes) + GAP * (len(indexes) - 1)

    for index in sorted(range(len(columns)), key=lambda index: (index in empty, columns[index].rank)):
        rank = columns[index].rank
        # What says nothing comes last, and costs the others nothing.
        needed = wanted if index in empty else least if rank == 1 else good
        if rank == 0 or total(needed, [*shown, index]) <= width:
            shown.append(index)
    shown.sort()
    widths = list(least)
    whole = [least[index] if column.is_id else wanted[index] for index, column in enumerate(columns)]
    for goal in (good, whole, wanted):
        # Who lacks least is served first: many whole columns are worth more than one.
        for index in sorted(shown, key=lambda index: goal[index] - widths[index]):
            widths[index] += max(0, min(goal[index] - widths[index], width - total(widths, shown)))
    return shown, widths


def _least(column: Column, rows: Sequence[Row], index: int, want: int) -> int:
    """The width below which the column does not go."""
    if column.min_width is None:
        return want
    kept = [_cell_len_from_number(row[index][0]) for row in rows] if column.is_end_kept else []
    return min(want, max([column.min_width, *kept]))


def _cell_len_from_number(text: str) -> int:
    """How long *text* is from its last `#` on, with an ellipsis before it; 0 where there is none."""
    _, mark, number = text.rpartition("#")
    return min(_MAX_KEPT, cell_len(ELLIPSIS + mark + number)) if mark else 0


def _laid_out(
    columns: Sequence[Column], line: Row, shown: Sequence[int], widths: Sequence[int]
) -> list[Cell]:
    cells: list[Cell] = []
    for index in shown:
        text, style = line[index]
        text = cut(text, widths[index], is_end_kept=columns[index].is_id or columns[index].is_end_kept)
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
    if is_end_kept:
        end = text[len(text) - width + 1 :]
        while cell_len(end) >= width:
            end = end[1:]
        return ELLIPSIS + end
    return set_cell_size(text, width - 1).rstrip() + ELLIPSIS
