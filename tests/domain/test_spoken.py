"""Hostile texts: no shape of Markdown makes the command parser raise, stall, or run what is quoted."""

import time
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.commands import CommandProblem, explain, parse
from bot.domain.spoken import spoken_lines
from bot.limits import BODY_MAX_CHARS

PIECES = (
    "/agent fix¦/agent ¦/agent¦\n¦\r¦\r\n¦\n\n¦    ¦\t¦ ¦> ¦- ¦1. ¦"
    "# ¦```¦~~~¦`¦``¦[¦]¦(¦)¦](x)¦![¦<¦>¦<!--¦-->¦"
    "<div>¦</div>¦<details>¦</details>¦<b>¦</b>¦</a>¦<?¦?>¦"
    "<![CDATA[¦]]>¦*¦**¦_¦\\¦&amp;¦&¦[a]: b¦---¦===¦|¦\0¦"
    "\ud800¦\ufeff¦\u00a0¦\u2028¦\x0b¦\x85¦é¦😀"
)
MARKDOWN = st.lists(st.sampled_from(PIECES.split("¦")) | st.text(max_size=8), max_size=60).map("".join)

REPEATED = (
    '[¦![¦[a](¦[a](b¦[a](b "¦[a]: b\n¦[a\n¦[a]: b "\n¦[[a]]¦a<!--¦'
    "a<?¦a<!A ¦<a x¦a<![CDATA[¦*a ¦**a¦*a _b ¦_¦> ¦>¦"
    "> a\n¦- ¦- a\n¦1. a\n¦> - a\n¦`¦`` ` ¦a\n¦<a>\n¦<div>\n\n¦<!-- ¦"
    "&a¦<a:¦\\¦a  \n¦# a\n¦```\n¦<b>\n/agent fix\n¦ ¦"
    "[x\n/agent fix\n¦/agent fix</b> ¦> /agent fix\n¦/agent fix¦<div>\n\n/agent fix\n\n"
)


@given(MARKDOWN)
@settings(max_examples=1_500, deadline=None)
def test_no_text_makes_it_raise(text: str) -> None:
    said = parse(text)
    assert said is None or "/agent" in text
    if isinstance(said, CommandProblem):
        assert text.count("\n") + text.count("\r") + 1 >= said.line >= 1 <= said.column
        assert "`" not in said.quote and said.quote.count("\n") == 1 and explain(said)


@given(MARKDOWN)
@settings(max_examples=500, deadline=None)
def test_nothing_runs_from_a_text_that_is_quoted_as_a_whole(text: str) -> None:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert parse("\n".join(f"> {line}" for line in lines)) is None


@given(MARKDOWN)
@settings(max_examples=500, deadline=None)
def test_nothing_runs_from_a_fence_that_the_text_cannot_close(text: str) -> None:
    assert parse(f"{'~' * 70}\n{text.replace('~~~', '')}\n/agent fix") is None


@given(MARKDOWN)
@settings(max_examples=500, deadline=None)
def test_every_line_that_counts_begins_with_the_prefix_and_comes_once_in_order(text: str) -> None:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found = list(spoken_lines(lines, "/agent"))
    assert found == sorted(set(found)) and all(lines[index].strip().startswith("/agent") for index in found)


def test_all_commands_of_a_text_are_found_with_their_lines() -> None:
    text = "/a x\n> /a no\n\n/a y\n\n- item\n\n  /a z\n\n```\n/a no\n```\n/a w"
    assert list(spoken_lines(text.split("\n"), "/a")) == [0, 3, 7, 12]


@pytest.mark.parametrize("piece", REPEATED.split("¦"))
def test_hostile_repetition_takes_linear_time(piece: str) -> None:
    def seconds(size: int) -> float:
        text = piece * (size // len(piece) - 4) + "\n/agent fix\n"
        started = time.process_time()
        list(islice(spoken_lines(text[-size:].split("\n"), "/agent"), size))
        return time.process_time() - started

    seconds(100)
    assert seconds(BODY_MAX_CHARS // 2) < max(2.0, 20 * seconds(BODY_MAX_CHARS // 16))  # quadratic: over 10 s
