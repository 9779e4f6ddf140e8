"""Arguments against the schemas that the model was shown."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.agents.arguments import problems
from bot.agents.tools import CATALOG, EFFECT_NAMES, TOOL_NAMES, select

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def wrong(name: str, arguments: Any) -> list[str]:
    return problems(CATALOG[name].input_schema, arguments)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("read_file", {"path": "a.py"}),
        ("read_file", {"path": "a.py", "offset_line": 1, "limit_lines": 2_000}),
        ("search_code", {"pattern": "x", "regex": True}),
        ("edit_file", {"path": "a.py", "old": "a", "new": ""}),
        ("git_diff", {}),
    ],
)
def test_what_fits_has_no_problem(name: str, arguments: dict[str, Any]) -> None:
    assert wrong(name, arguments) == []


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("read_file", [], ["The arguments must be an object."]),
        ("read_file", {}, ["`path` is missing."]),
        ("read_file", {"path": ""}, ["`path` must not be empty."]),
        ("read_file", {"path": "a\0b"}, ["`path` must not contain a NUL character."]),
        ("read_file", {"path": "a", "offset_line": 0}, ["`offset_line` must lie between 1 and 10000000."]),
        ("read_file", {"path": "a", "offset_line": True}, ["`offset_line` must be an integer."]),
        ("read_file", {"path": "a", "offset_line": 1.5}, ["`offset_line` must be an integer."]),
        ("search_code", {"pattern": "x", "regex": "yes"}, ["`regex` must be true or false."]),
        ("git_diff", {"path": "a"}, ["`path` is not an argument (known: skip)."]),
        ("read_file", {"path": "x" * 2_000}, ["`path` has 2,000 characters; at most 1,024 are allowed."]),
    ],
)
def test_what_does_not_fit_is_said_in_words(name: str, arguments: Any, expected: list[str]) -> None:
    assert wrong(name, arguments) == expected


@given(st.sampled_from(sorted(CATALOG)), JSON)
def test_no_json_makes_the_check_fall_over(name: str, arguments: Any) -> None:
    found = wrong(name, arguments)
    assert all(isinstance(sentence, str) and len(sentence) < 300 for sentence in found)
    if not found:
        assert set(CATALOG[name].input_schema["required"]) <= set(arguments)


def test_every_entry_is_a_tool_or_an_effect() -> None:
    assert frozenset(CATALOG) == TOOL_NAMES | EFFECT_NAMES
    assert frozenset() == TOOL_NAMES & EFFECT_NAMES


def test_a_selection_keeps_the_order_of_the_catalogue() -> None:
    assert [spec.name for spec in select(frozenset({"finish", "read_file"}))] == ["read_file", "finish"]
