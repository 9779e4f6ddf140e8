"""Ten buggy programs, a right and a wrong fix of each: the one becomes a verified draft, the other a diff.

All jobs run in one product, which is started once for the module.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from bot.workspace.sandbox import find_bwrap
from tests.system import programs
from tests.system.effects import failed_operations, open_operations
from tests.system.programs import Ended, Program
from tests.system.rig import Rig, rig

pytestmark = pytest.mark.skipif(
    find_bwrap() is None, reason="no bubblewrap here: nothing of a repository is run"
)
in_house = pytest.mark.asyncio(loop_scope="module")

ALL: Final = programs.load()
SECONDS: Final = 300.0
NAMES: Final = [program.name for program in ALL]
WRONG: Final = [pytest.param(each, fix, id=f"{each.name}-{fix}") for each in ALL for fix in each.wrong]
PLACES: Final = [(program, fix) for program in ALL for fix in ("right", *program.wrong)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """A product in which every program was mended in both ways."""
    async with rig(tmp_path_factory.mktemp("programs"), book=programs.book(ALL)) as product:
        await product.start()
        await product.install()
        for program, fix in PLACES:
            assert await programs.ask(product, program, fix) == 1

        async def is_over() -> bool:
            jobs = await product.finished_jobs()
            return len(jobs) == len(PLACES) and not await open_operations(product)

        await product.until(is_over, timeout_seconds=SECONDS)
        yield product


async def _ended(house: Rig, program: Program, fix: str) -> Ended:
    return await programs.ended(house, program.repository(fix), 1)


def test_there_are_ten_programs_with_tests_of_their_own() -> None:
    assert len(ALL) >= 10
    assert all(any(path.startswith("tests/test_") for path in program.files) for program in ALL)
    assert sum(len(program.verify) > 1 for program in ALL) >= 2


@in_house
@pytest.mark.parametrize("program", ALL, ids=NAMES)
async def test_a_right_fix_becomes_a_verified_draft(house: Rig, program: Program, tmp_path: Path) -> None:
    done = await _ended(house, program, "right")

    assert (done.job["status"], done.job["cause"]) == ("COMPLETED", "pull_request"), done.job["error"]
    expected = [0] * (len(program.verify) - program.has_old_failures) + [1] * program.has_old_failures
    assert any(done.exits("before"))
    assert done.exits("after") == expected
    assert {row["tier"] for row in done.records} == {"sandbox"}
    assert [row["command"] for row in done.records] == program.verify * 2
    (pull,) = done.pulls
    assert pull.pull.is_draft
    assert done.branches == [pull.pull.head]
    (comment,) = done.comments
    assert f"Draft pull request #{pull.number} is ready" in comment
    assert ("Failures that were there before remain" in pull.body) is program.has_old_failures
    bare = house.forge.world.repository(program.repository("right")).path
    assert programs.run_branch(bare, pull.pull.head, program.verify, tmp_path / "clone") == expected


@in_house
@pytest.mark.parametrize(("program", "fix"), WRONG)
async def test_a_wrong_fix_is_shown_and_never_proposed(house: Rig, program: Program, fix: str) -> None:
    done = await _ended(house, program, fix)

    assert (done.job["status"], done.job["cause"]) == ("FAILED", "verify_failed"), done.job["error"]
    assert (done.pulls, done.branches) == ([], [])
    assert any(done.why("after"))
    assert {row["tier"] for row in done.records} == {"sandbox"}
    (comment,) = done.comments
    assert "No pull request" in comment
    assert "Draft pull request" not in comment
    assert set(done.diffs) == program.paths(fix)
    for diff in done.diffs.values():
        assert all(line in comment for line in programs.added_lines(diff) if line.strip())


@in_house
async def test_every_write_was_made(house: Rig) -> None:
    assert await failed_operations(house) == []


def test_the_scripts_know_their_repository_from_every_other() -> None:
    places: list[Any] = [program.repository(fix) for program, fix in PLACES]
    assert not [(one, other) for one in places for other in places if one != other and one in other]
