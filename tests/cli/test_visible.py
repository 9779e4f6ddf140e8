"""Text of people at a terminal: it shows, and does nothing else."""

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from bot.cli.document import as_document
from bot.cli.table import Column, cut, fitted
from bot.cli.visible import one_line, pretty_json

# What terminals obey, what Unicode hides, and ordinary letters of several scripts between them.
HOSTILE = st.text(
    st.sampled_from(
        "aZ9 é字👀ע\t\n\r\v\f\0\x07\x08\x1b\x7f\x80\x9b\x9d[]m;31AHJK\u200b\u200d\u202a\u202e\u2066\u2069"
    )
    | st.sampled_from("\u2028\u2029\u0085\ufeff\u00ad\u0301\u0489\U000e0041\ud800\ufe0f\u061c")
    | st.characters(),
    max_size=60,
)


def moves(text: str) -> list[str]:
    """The characters of *text* that could move the cursor, colour, hide or turn round what is shown."""
    allowed = {"\u200c", "\u200d"}  # spelling in some scripts, and in emoji
    bad = {"Cc", "Cs", "Co", "Zl", "Zp"}
    return [
        char
        for char in text
        if char not in allowed
        and (unicodedata.category(char) in bad or unicodedata.bidirectional(char) in BIDI_CONTROLS)
    ]


BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@given(HOSTILE)
@settings(max_examples=150, deadline=None)
def test_one_line_is_one_line_in_which_nothing_moves(text: str) -> None:
    shown = one_line(text)
    assert not moves(shown) and "\n" not in shown
    assert one_line(shown) == shown


@given(
    st.recursive(
        HOSTILE | st.integers() | st.none(), lambda inner: st.dictionaries(HOSTILE, inner, max_size=3)
    )
)
@settings(max_examples=100, deadline=None)
def test_json_for_people_means_the_same_and_shows_what_is_hidden(value: object) -> None:
    text = pretty_json(value)
    assert not moves(text.replace("\n", ""))
    assert json.loads(text) == json.loads(json.dumps(value))


@given(st.lists(st.lists(HOSTILE, min_size=3, max_size=3), max_size=5), st.integers(20, 200))
@settings(max_examples=100, deadline=None)
def test_a_table_never_passes_its_width_and_has_a_line_for_each_row(
    rows: list[list[str]], width: int
) -> None:
    columns = (Column("ID", is_id=True, min_width=9), Column("A", min_width=4), Column("B", rank=1))
    cells = [[("0123456789abcdef", ""), *((one_line(text), "") for text in row[1:])] for row in rows]
    lines = fitted(columns, cells, width=width)
    assert len(lines) == len(rows) + 1
    assert all(sum(cell_len(text) for text, _ in line) <= width for line in lines)


JOBS = (
    Column("JOB", is_id=True, min_width=7),
    Column("STATE"),
    Column("REQUEST", min_width=14, is_end_kept=True),
    Column("COST", rank=2, is_right=True),
    Column("TITLE", rank=3, min_width=10),
    Column("WHY", rank=1, min_width=6),
)


def shown_in(width: int | None, *rows: tuple[str, ...]) -> list[list[str]]:
    """The words of the table of jobs in so many cells."""
    lines = fitted(JOBS, [[(text, "") for text in row] for row in rows], width=width)
    return [[text.strip() for text, _ in line] for line in lines]


def test_an_id_shrinks_before_a_column_goes_and_a_number_is_never_cut() -> None:
    row = ("01M819FT8W2YJWRJESWYCYN3VK", "done", "octo-bakery/a-long-name#12345 fix", "$0.15", "Bark", "bug")
    assert [shown_in(width, row)[1] for width in (None, 92, 70, 52, 44)] == [
        list(row),
        list(row),
        ["…WYCYN3VK", *row[1:]],
        ["…CYN3VK", "done", "…g-name#12345 fix", "$0.15", "Bark", "bug"],
        ["…CYN3VK", "done", "…-name#12345 fix", "$0.15", "bug"],
    ]
    narrow = shown_in(40, (*row[:2], "octo-bakery/x#1234567 implement", *row[3:]))[1]
    assert narrow == ["…CYN3VK", "done", "…#1234567 implement", "bug"]


def test_a_column_that_says_nothing_takes_no_room_from_the_others() -> None:
    row = ("01M819FT8W2YJWRJESWYCYN3VK", "done", "octo/pets#1", "-", "", "bug")
    assert shown_in(50, row)[0] == ["JOB", "STATE", "REQUEST", "WHY"]
    assert shown_in(50, row)[1] == ["…" + row[0][-24:], "done", "octo/pets#1", "bug"]
    assert shown_in(90, row)[0] == [column.heading for column in JOBS]


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[2J\x1b[1;1Hroot# ", "root#"),
        ("\x1b]0;title\x07ok", "ok"),
        ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\r\nfake row", "a fake row"),
        ("\u202eevil", "evil"),
        ("Z" + "\u0301" * 50 + "x", "Ź\u0301\u0301x"),
        ("[bold red]x[/]", "[bold red]x[/]"),
        ("\u0301\u0301", ""),
    ],
)
def test_known_tricks_come_to_nothing(hostile: str, shown: str) -> None:
    assert one_line(hostile) == shown


def test_a_long_text_is_cut_where_it_is_told_to_be() -> None:
    assert one_line("word " * 1000, max_chars=12) == "word word w…"
    assert cut("日本語のタイトル", 7) == "日本語…" and cut("0123456789", 5, is_end_kept=True) == "…6789"
    assert cut("日本語のタイトル", 6, is_end_kept=True) == "…トル"
    assert cut("abc", 0) == ""


def test_only_names_of_ours_become_camel_case() -> None:
    assert as_document({"cost_micro_usd": 1_500_000, "data": {"snake_case": 1}}) == {
        "costUsd": 1.5,
        "data": {"snake_case": 1},
    }
