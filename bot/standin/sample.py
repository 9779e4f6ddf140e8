"""The demo's world as data: a small repository with a real bug, a person's issue, and the played answers."""

from typing import Any, Final

OWNER: Final = "octo-bakery"
REPOSITORY: Final = "octo-bakery/till"
PERSON: Final = "mona"
LABEL: Final = "agent"
TITLE: Final = "Bug: splitting a bill loses cents"
BODY: Final = """### What happened

Three of us split a bill of $10.00. The till asked each of us for $3.33, so the bakery is one cent short.

### Steps to reproduce

```python
from till.money import split

sum(split(1000, 3))  # 999
```

### Expected behaviour

The parts always add up to the bill, and nobody pays more than one cent more than anybody else.
"""

_MONEY: Final = '''"""Amounts of money, in whole cents."""


def split(total_cents: int, people: int) -> list[int]:
    """Split a bill into one part for each person; the parts add up to the bill."""
    if people < 1:
        raise ValueError("a bill needs at least one person")
    share = total_cents // people
    return [share] * people


def show(amount_cents: int) -> str:
    """An amount as people write it."""
    return f"${amount_cents // 100}.{amount_cents % 100:02d}"
'''

_TESTS: Final = """import unittest

from till.money import show, split


class SplitTest(unittest.TestCase):
    def test_an_even_bill_is_split_evenly(self):
        self.assertEqual([500, 500], split(1000, 2))

    def test_the_parts_add_up_to_the_bill(self):
        self.assertEqual(1000, sum(split(1000, 3)))

    def test_nobody_pays_more_than_one_cent_more(self):
        parts = split(1001, 4)
        self.assertEqual(1001, sum(parts))
        self.assertLessEqual(max(parts) - min(parts), 1)

    def test_a_bill_needs_somebody_who_pays(self):
        with self.assertRaises(ValueError):
            split(1000, 0)


class ShowTest(unittest.TestCase):
    def test_cents_have_two_digits(self):
        self.assertEqual("$10.05", show(1005))


if __name__ == "__main__":
    unittest.main()
"""

FILES: Final[dict[str, str]] = {
    "README.md": "# till\n\nWhat a bakery's till needs to know about money.\n",
    ".github/issuewright.yml": "verify: python3 -m unittest\n",
    "till/__init__.py": "",
    "till/money.py": _MONEY,
    "tests/__init__.py": "",
    "tests/test_money.py": _TESTS,
}

_OLD: Final = "    share = total_cents // people\n    return [share] * people\n"
_NEW: Final = """    share, rest = divmod(total_cents, people)
    return [share + 1] * rest + [share] * (people - rest)
"""
_PROPOSAL: Final = """`split` in `till/money.py` rounded every part down and dropped the remainder, \
so the parts added up to less than the bill whenever it could not be divided evenly.

The remainder is now handed out one cent at a time to the first people. The parts add up to the bill \
and differ by at most one cent; even bills and the check for an empty table are as before.

`tests/test_money.py` covers both rules already; the two tests that failed describe this bug."""


def _call(name: str, **given: object) -> dict[str, Any]:
    return {"type": "tool_use", "name": name, "input": given}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


_TRIAGE: Final = {
    "reasoning": "The parts of a bill do not add up; the report says what should happen instead.",
    "type": "BUG",
    "priority": "HIGH",
    "complexity": 4,
    "module": "till/money.py",
    "agent": "code.fix",
    "model": "sonnet",
    "confidence": 0.95,
    "ready": True,
    "missing": [],
    "question": "",
}
BOOK: Final[dict[str, Any]] = {
    "scripts": [
        {
            "name": "triage",
            "match": "splitting a bill",
            "output": True,
            "turns": [{"json": _TRIAGE}],
        },
        {
            "name": "split",
            "match": "splitting a bill",
            "turns": [
                {
                    "content": [
                        _text("I will look at the layout and at every use of `split`."),
                        _call("list_directory", path="."),
                        _call("search_code", pattern="split("),
                    ]
                },
                {
                    "content": [
                        _call("read_file", path="till/money.py"),
                        _call("read_file", path="tests/test_money.py"),
                    ]
                },
                {
                    "content": [
                        _text("The remainder of the division is dropped. I will hand it out."),
                        _call("edit_file", path="till/money.py", old=_OLD, new=_NEW),
                    ]
                },
                {"content": [_call("git_diff")]},
                {
                    "content": [
                        _call(
                            "propose_change", title="Hand out the remainder of a split bill", body=_PROPOSAL
                        ),
                        _call("finish", summary="The parts of a split bill add up to it again."),
                    ]
                },
            ],
        },
    ]
}
