"""What a model writes never looks like the harness's own record of what it ran."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.domain.enums import Tier, When
from bot.publish import render
from bot.publish.render import Check
from bot.publish.sanitize import sanitize
from bot.publish.signs import LEAST_LEVEL, unsigned
from bot.publish.surface import parsed

CHECKS = [Check("make test", when, 0, 5, Tier.SANDBOX, "", "c0ffee") for when in When]
RECORD = render.verification(CHECKS, "")
PIECES = (
    "#",
    "##",
    "### ",
    " Verification",
    "\n",
    "===",
    "---",
    "|",
    " Command ",
    "`",
    "> ",
    "- ",
    "```",
    "✅",
    RECORD,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# All\n\n## is\n\n### well", "#### All\n\n#### is\n\n#### well"),
        ("#### deep\n\n##### deeper", "#### deep\n\n##### deeper"),
        ("> - ## Verification", "> - #### Verification"),
        ("Verification\n===\ntext", "Verification\n\ntext"),
        ("Verification\n---", "Verification"),
        ("✅ passed, ❌ failed, ⚪ not run", "✓ passed, ✗ failed, ○ not run"),
        ("```\n# kept ✅\n```", "```\n# kept ✅\n```"),
        ("    # kept ✅", "    # kept ✅"),
        ("#no heading, #tag", "#no heading, #tag"),
        ("text\n\n---\n\ntext", "text\n\n---\n\ntext"),
        ("| a | b |\n| --- | --- |\n| 1 | 2 |", "| a | b |\n| --- | --- |\n| 1 | 2 |"),
        (
            "| **command** | Before  the change | `After the Change` |\n|:--|---|---|\n| x | ✅ | ✅ |",
            "| **command** | Before  the change | `After the Change` |\n\n| x | ✓ | ✓ |",
        ),
    ],
)
def test_headings_marks_and_tables_of_the_record_are_not_the_models(text: str, shown: str) -> None:
    assert unsigned(text) == shown


def test_the_record_itself_in_a_models_words_is_none() -> None:
    shown = sanitize(f"### Verification\n\n{RECORD}").text
    assert not any(token.type == "table_open" for token in parsed(shown))
    assert "✅" not in shown


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@example("`\n---\n")
def test_no_words_have_a_sign_of_the_record_the_second_time_nothing_changes(text: str) -> None:
    shown = sanitize(text).text
    assert sanitize(shown).text == shown
    tokens = parsed(shown)
    levels = [int(token.tag[1:]) for token in tokens if token.type == "heading_open"]
    assert all(level >= LEAST_LEVEL for level in levels)
    heads = [tokens[place + 3].content for place, token in enumerate(tokens) if token.type == "table_open"]
    assert "Command" not in heads


def test_the_record_says_on_which_commit_it_was_run() -> None:
    assert "Run by Issuewright on commit `c0ffee`, without and with the change." in RECORD
    not_run = [Check("make test", When.AFTER, None, 0, Tier.NONE, "no sandbox", "c0ffee")]
    assert "c0ffee" not in render.verification(not_run, "")
