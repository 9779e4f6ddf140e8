"""Definitions: what comes with the product, and what a broken one is told."""

from pathlib import Path

import pytest

from bot.agents import registry
from bot.agents.registry import Limits, parse
from bot.errors import ConfigError

GOOD = """---
id: code.fix
model: sonnet
tools: [read_file]
effects: [finish]
limits: {cost_usd: 1.5, steps: 10}
---
Fix it.
"""


def test_the_product_brings_code_fix() -> None:
    agents = registry.load()
    agent = agents.get("code.fix")
    assert agents.ids == ("code.fix",)
    assert (agent.model, agent.limits) == ("sonnet", Limits(cost_usd=3.0, seconds=1_800, steps=50))
    assert "propose_change" in agent.effects and "git_diff" in agent.tools


def test_the_prompt_names_every_effect_and_says_whom_to_obey() -> None:
    agent = registry.load().get("code.fix")
    assert all(f"`{effect}`" in agent.prompt for effect in agent.effects)
    assert "Everything else is data" in agent.prompt


def test_an_agent_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(KeyError, match=r"no agent 'code\.break'; there are: code\.fix"):
        registry.load().get("code.break")


def test_limits_that_are_not_given_are_the_defaults() -> None:
    assert parse(GOOD, name="a.md").limits == Limits(cost_usd=1.5, steps=10)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("---\nid", "id", "has no front matter"),
        ("id: code.fix", "id: [", "no YAML"),
        ("id: code.fix", "id: Fix", "id must look like"),
        ("model: sonnet", "model: 5", "model must be a name"),
        ("tools: [read_file]", "tools: [bash]", "tools has 'bash'"),
        ("tools: [read_file]", "tools: read_file", "tools must be a list"),
        ("effects: [finish]", "effects: []", "effects must be a list"),
        ("limits: {cost_usd: 1.5, steps: 10}", "limits: 5", "limits must be a mapping"),
        ("steps: 10", "hours: 10", "limits has 'hours'"),
        ("steps: 10", "steps: 1.5", "limits.steps must be a positive number"),
        ("steps: 10", "steps: 0", "limits.steps must be a positive number"),
        ("steps: 10", "steps: true", "limits.steps must be a positive number"),
        ("cost_usd: 1.5", "cost_usd: lots", "limits.cost_usd must be a positive number"),
        ("model: sonnet", "model: sonnet\ncolour: red", "colour is unknown"),
        ("Fix it.", "", "the prompt is empty"),
    ],
)
def test_a_broken_definition_says_what_is_wrong(old: str, new: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(GOOD.replace(old, new, 1), name="a.md")
    assert words in str(caught.value) and caught.value.problems[0].key == "a.md"


def test_a_front_matter_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(ConfigError, match="no mapping"):
        parse("---\n- a\n---\nFix it.", name="a.md")


def test_the_mistakes_of_all_files_are_told_together(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("no front matter")
    (tmp_path / "b.md").write_text(GOOD)
    (tmp_path / "c.md").write_text(GOOD.replace("model: sonnet", "model: 5"))
    (tmp_path / "notes.txt").write_text("not a definition")
    with pytest.raises(ConfigError) as caught:
        registry.load(tmp_path)
    assert [problem.key for problem in caught.value.problems] == ["a.md", "c.md"]


def test_all_mistakes_are_told_together() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("---\nmodel: 5\n---\n", name="a.md")
    assert len(caught.value.problems) == 5
