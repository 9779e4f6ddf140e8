"""`issuewright agents`: what is told of each agent, and checking a repository's own files."""

import json
import re
from pathlib import Path

import pytest

from bot.agents import registry
from bot.agents.tools import EFFECT_NAMES, TOOL_NAMES
from bot.cli import main
from bot.cli.agents import check

DOCS = (Path(__file__).parents[2] / "docs" / "agents.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- example: (\S+) -->\n\n```markdown\n(.*?)```", DOCS, re.DOTALL))
BROKEN = "---\nid: code.fix\nmodel: gpt\nlimits: {cost_usd: 9}\ntools: [bash]\n---\n"


def test_the_list_names_every_agent_with_its_limits(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["agents", "list"]) == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.split()[:3] == ["AGENT", "MODEL", "COST"]
    assert tuple(row.split()[0] for row in rows) == registry.load().ids
    assert "$1.00" in next(row for row in rows if row.startswith("meta.plan"))


def test_the_list_is_one_document_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["agents", "list", "--json"]) == 0
    agents = json.loads(capsys.readouterr().out)
    assert [agent["id"] for agent in agents] == list(registry.load().ids)
    assert agents[1]["limits"] == {"costUsd": 3.0, "seconds": 1800, "steps": 50, "tokens": 2_000_000}


def test_one_agent_is_shown_with_its_prompt(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["agents", "show", "meta.research"]) == 0
    out = capsys.readouterr().out
    assert "$1, 10 minutes, 30 steps" in out and "post_analysis, ask_question" in out
    assert "What it is told" in out and "# What you may trust" in out


def test_an_agent_as_a_document_has_its_prompt_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["agents", "show", "code.fix", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["prompt"] == registry.load().get("code.fix").prompt


@pytest.mark.parametrize("is_json", [False, True])
def test_an_agent_that_is_not_there_is_told_with_those_that_are(
    is_json: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.main(["agents", "show", "code.break\x1b[2J", *(["--json"] if is_json else [])]) == 1
    said = capsys.readouterr()
    assert said.out == "" and "meta.triage" in said.err and "\x1b" not in said.err
    assert not is_json or "no agent is called" in json.loads(said.err)["error"]


def test_the_examples_of_the_docs_are_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(EXAMPLES) == ["code.fix.md", "meta.licences.md"]
    for name, text in EXAMPLES.items():
        (tmp_path / name).write_text(text)
    assert main.main(["agents", "check", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "code.fix, in place of the built-in one: right" in out
    assert "meta.licences, a new agent: right" in out


def test_every_mistake_of_a_file_is_told_and_the_whole_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.md").write_text(BROKEN)
    (tmp_path / "b.md").write_text("---\nid: code.fix\n---\n")
    (tmp_path / "notes.txt").write_text("no agent")
    assert main.main(["agents", "check", "--json", str(tmp_path)]) == 1
    broken, right = json.loads(capsys.readouterr().out)
    assert (broken["id"], right["id"], right["problems"]) == (None, "code.fix", [])
    assert any("tools has 'bash'" in problem for problem in broken["problems"])
    assert main.main(["agents", "check", str(tmp_path / "a.md")]) == 1
    assert "tools has 'bash'" in capsys.readouterr().out


def test_what_only_the_files_together_show_is_told_too(tmp_path: Path) -> None:
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text("---\nid: code.fix\n---\n")
    first, second = check([tmp_path])
    assert first.problems == () and "another file has the id code.fix" in second.problems[0]
    many = tmp_path / "many"
    many.mkdir()
    for number in range(21):
        (many / f"{number:02}.md").write_text(f"---\nid: meta.a{'b' * number}\n---\nLook.")
    assert "only the first 20 are read" in check([many])[-1].problems[0]


@pytest.mark.parametrize("name", ["missing.md", ""])
def test_a_file_that_cannot_be_read_is_told(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["agents", "check", str(tmp_path / name)]) == 1
    words = capsys.readouterr().err
    assert ("cannot be read: No such file" if name else "there is no Markdown file there") in words


@pytest.mark.parametrize("heading", ["tools", "effects"])
def test_the_docs_name_every_tool_and_effect(heading: str) -> None:
    (row,) = [line for line in DOCS.splitlines() if line.startswith(f"| `{heading}` |")]
    assert set(re.findall(r"`(\w+)`", row)) == {heading} | (
        TOOL_NAMES if heading == "tools" else EFFECT_NAMES
    )
