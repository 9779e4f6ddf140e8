"""The list of faults names tests that there are, and scenarios that go with their stacks."""

import ast

from tests.chaos.everywhere import ROOT
from tests.chaos.faults_list import FAULTS, Blows, InSuite
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
    promised = {f"R-{number:02}" for number in [*range(3, 21), *range(30, 33)]}
    assert promised - numbers == {"R-06"}, "R-06 is measured by `make bench`"
