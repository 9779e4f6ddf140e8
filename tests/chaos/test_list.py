"""The list of faults names tests that there are, and scenarios that go with their stacks."""

import ast
import re

from tests.chaos.__main__ import SHARES
from tests.chaos.everywhere import NAME, ROOT
from tests.chaos.faults_list import Blows, InSuite
from tests.chaos.faults_model import FAULTS
from tests.chaos.numbers import LIST
from tests.chaos.scenarios import NEEDS, SCENARIOS


def test_every_play_of_the_list_is_there() -> None:
    plays = [play for fault in FAULTS for play in fault.plays]
    nodes = [node.partition("::") for play in plays if isinstance(play, InSuite) for node in play.nodes]
    assert len(nodes) > 30
    for path, _, name in nodes:
        tree = ast.parse((ROOT / path).read_text())
        functions = {one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert not name or name in functions, f"{path}::{name}"
    for play in plays:
        if isinstance(play, Blows):
            assert play.scenario in SCENARIOS
            assert play.stack in NEEDS.get(play.scenario, {play.stack})


def test_the_list_has_every_number_that_is_promised() -> None:
    numbers = {number for fault in FAULTS for number in fault.number.split(", ")}
    promised = {f"R-{number:02}" for number in [*range(3, 28), *range(30, 33)]}
    assert promised - numbers == {"R-06"}, "R-06 is measured by `make bench`"


def test_each_scenario_plays_the_share_that_the_page_says() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text()
    said = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.MULTILINE))
    assert said.keys() == {*SCENARIOS, NAME, LIST}
    for name in SCENARIOS:
        assert said[name].endswith(f"; {_in_words(SHARES.get(name, 1.0))}"), name


def _in_words(share: float) -> str:
    """A share of N as the page writes it."""
    if share == 1.0:
        return "N"
    return f"N / {round(1 / share)}" if (1 / share).is_integer() else f"{share:g} N"
