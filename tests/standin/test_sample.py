"""The demo's world holds together: the bug is real, the played answers mend it."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bot.agents import arguments
from bot.agents.tools import CATALOG
from bot.domain import repo_config
from bot.domain.paths import protected_reason
from bot.handlers.labels import VERB_OF_LABEL
from bot.standin import sample
from bot.standin.model.script import Book

CALLS = [
    block
    for script in Book.read(sample.BOOK).scripts
    for turn in script.turns
    for block in turn.content
    if block["type"] == "tool_use"
]


def run_tests(folder: Path, files: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run the sample's own tests on *files*."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    words = [sys.executable, "-B", "-m", "unittest"]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def mended() -> dict[str, str]:
    """The files after the edits that the played answers make."""
    files = dict(sample.FILES)
    for call in CALLS:
        given = call["input"]
        if call["name"] == "edit_file":
            assert files[given["path"]].count(given["old"]) == 1
            files[given["path"]] = files[given["path"]].replace(given["old"], given["new"])
    return files


def test_the_bug_is_real(tmp_path: Path) -> None:
    done = run_tests(tmp_path, sample.FILES)
    assert done.returncode == 1
    assert "failures=2" in done.stderr


def test_the_played_answers_mend_it(tmp_path: Path) -> None:
    done = run_tests(tmp_path, mended())
    assert (done.returncode, "OK" in done.stderr) == (0, True)


def test_every_played_call_fits_its_tool() -> None:
    assert [problem for call in CALLS for problem in _problems(call["name"], call["input"])] == []
    assert [call["name"] for call in CALLS][-2:] == ["propose_change", "finish"]


def _problems(name: str, given: Mapping[str, object]) -> list[str]:
    return list(arguments.problems(CATALOG[name].input_schema, dict(given)))


def test_the_book_can_be_played_for_the_samples_issue() -> None:
    book = Book.read(sample.BOOK)
    body = {"messages": [{"role": "user", "content": f"{sample.TITLE}\n{sample.BODY}"}]}
    chosen = book.choose(body)
    assert chosen is not None
    assert chosen.name == "split"
    look = book.choose({**body, "output_config": {"format": {"type": "json_schema", "schema": {}}}})
    assert look is not None
    assert look.name == "triage"


def test_the_repository_says_how_it_is_verified() -> None:
    config = repo_config.parse(sample.FILES[".github/issuewright.yml"].encode())
    assert (config.verify, config.problems) == (("python3 -m unittest",), ())


def test_the_label_is_one_that_starts_work() -> None:
    assert sample.LABEL in VERB_OF_LABEL


def test_nothing_that_is_edited_is_protected() -> None:
    edited = {path for path, text in mended().items() if text != sample.FILES[path]}
    assert edited
    assert [path for path in edited if protected_reason(path)] == []
