"""Numbers and names that a page repeats are those of the code."""

import re
from pathlib import Path

import pytest

from bot.db.admission import NEWCOMERS_SHARE, ORGANIZATION_CAP, Places
from bot.domain import repo_config
from bot.domain.branches import branch_name
from bot.intake import dispatch, gate
from bot.limits import CONTENT_WRITES_PER_HOUR
from bot.publish.change import JOB_TRAILER
from bot.publish.pace import CONTENT
from bot.workspace import sandbox
from bot.workspace.toolhost.execute import MAX_OUTPUT_BYTES

ROOT = Path(__file__).parent.parent
MIB, GIB = 1024**2, 1024**3


def page(name: str) -> str:
    """The words of a page, in one line."""
    return " ".join((ROOT / name).read_text().split())


@pytest.mark.parametrize(
    "words",
    [
        f"a list of at most {repo_config.MAX_COMMANDS}.",
        f"1 to {repo_config.MAX_COMMAND_CHARS} characters",
        f"at most {repo_config.MAX_BYTES // 1024} KiB",
        f"({', '.join(f'`{key}`' for key in sorted(repo_config.LATER_KEYS))})",
        f"{MAX_OUTPUT_BYTES // MIB} MB of output",
        f"{sandbox.MAX_PROCESSES} processes",
        f"{sandbox.MAX_MEMORY_BYTES // GIB} GiB of memory together",
        f"{sandbox.MAX_FILE_BYTES // GIB} GiB a file",
        f"bubblewrap {'.'.join(map(str, sandbox.OLDEST_BWRAP))} or newer",
    ],
)
def test_the_page_on_the_repositorys_file_tells_its_limits(words: str) -> None:
    assert words in page("docs/repository.md")


def test_the_example_on_the_page_is_taken_without_a_word() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "repository.md").read_text(), re.DOTALL)
    found = repo_config.parse(example.encode())
    assert found.verify and not found.problems


def test_the_places_that_are_kept_are_told_as_they_are() -> None:
    assert (Places(0, NEWCOMERS_SHARE - 1).spare, Places(0, NEWCOMERS_SHARE).spare) == (0, 1)
    assert NEWCOMERS_SHARE == 5, "four pages say one in five"
    assert f"at most {ORGANIZATION_CAP} an organization" in page("README.md")
    assert "Below five places in all none is kept" in page("docs/queue.md")


@pytest.mark.parametrize("name", ["docs/queue.md", "CHANGELOG.md"])
def test_the_turns_of_deliveries_are_told_as_they_are(name: str) -> None:
    words = page(name)
    assert f"{dispatch.AT_ONCE} " in words and f"at most {dispatch.MOST_OF_ONE} " in words


def test_the_hours_limit_of_texts_is_told() -> None:
    assert {kind.value for kind in CONTENT} == {"comment", "comment_edit", "pull_request", "review"}
    assert f"{CONTENT_WRITES_PER_HOUR} comments, edits, reviews and pull requests an hour" in page(
        "README.md"
    )


def test_the_age_of_a_permission_is_told() -> None:
    assert f"that answer may be {gate.CACHE_SECONDS} s old" in page("docs/security.md")


def test_a_change_is_found_by_its_branch_and_its_trailer() -> None:
    words = page("docs/architecture.md")
    assert re.fullmatch(r"issuewright/7-[0-9a-f]{8}", branch_name(7, "a name"))
    assert "`issuewright/<issue>-<8 hex digits>`" in words
    assert f"`{JOB_TRAILER}: <name>`" in words
