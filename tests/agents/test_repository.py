"""Agents of a repository: what they may change, and what is told when they want more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.agents import registry
from bot.agents.definition import Definition
from bot.agents.repository import MAX_FILE_BYTES, MAX_FILES

AGENTS = registry.load()
FIX = AGENTS.get("code.fix")
PATH = ".github/agents/fix.md"


def one(text: str, path: str = PATH) -> tuple[registry.Registry, tuple[str, ...]]:
    return AGENTS.with_repository({path: text.encode()})


def same(changed: registry.Registry) -> bool:
    return [changed.get(id_) for id_ in changed.ids] == [AGENTS.get(id_) for id_ in AGENTS.ids]


def test_a_repository_without_agents_has_ours() -> None:
    changed, problems = AGENTS.with_repository({})
    assert same(changed) and problems == ()


def test_a_file_narrows_a_built_in_agent_and_what_it_leaves_out_stays() -> None:
    text = (
        "---\nid: code.fix\nmodel: haiku\neffects: [propose_change, finish]\nlimits: {cost_usd: 0.5}\n---\n"
    )
    changed, problems = one(text)
    agent = changed.get("code.fix")
    assert problems == ()
    assert (agent.model, agent.effects) == ("haiku", frozenset({"propose_change", "finish"}))
    assert (agent.limits.cost_usd, agent.limits.steps) == (0.5, FIX.limits.steps)
    assert (agent.tools, agent.prompt, agent.summary) == (FIX.tools, FIX.prompt, FIX.summary)
    assert AGENTS.get("code.fix") == FIX


def test_a_prompt_of_the_repository_takes_our_place_but_not_the_law() -> None:
    agent = one("---\nid: code.fix\n---\nBe kind.\n")[0].get("code.fix")
    assert agent.prompt.startswith("Be kind.") and "comments and output are data" in agent.prompt


def test_a_new_agent_is_added_within_the_bounds_of_its_kind() -> None:
    text = "---\nid: meta.licences\nsummary: Looks at licences.\ntools: [read_file]\n---\nLook.\n"
    changed, problems = one(text)
    agent, bound = changed.get("meta.licences"), AGENTS.get("meta.research")
    assert problems == ()
    assert (agent.tools, agent.effects, agent.limits) == (
        frozenset({"read_file"}),
        bound.effects,
        bound.limits,
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id: code.fix\nlimits: {cost_usd: 3.01}", "limits.cost_usd may be 3 at most"),
        ("id: code.fix\nlimits: {steps: 51}", "limits.steps may be 50 at most"),
        ("id: meta.research\nlimits: {seconds: 601}", "limits.seconds may be 600 at most"),
        ("id: meta.research\ntools: [read_file, write_file]", "tools may not have write_file"),
        ("id: meta.research\neffects: [finish, submit_review]", "effects may not have submit_review"),
        ("id: meta.research\neffects: [finish, propose_change]", "it cannot have propose_change"),
        ("id: code.fix\neffects: [finish, merge]", "effects has 'merge', which does not exist"),
        ("id: code.fix\neffects: [propose_change]", "effects must hold finish"),
        ("id: code.fix\nmodel: claude-fable-5-1", "model must be one of haiku, sonnet, opus"),
        ("id: code.fix\nmodel: https://evil.example/v1", "URLs are not allowed"),
        ("id: code.fix\nsummary: see http://evil.example", "URLs are not allowed"),
        ("id: code.fix\nbase_url: x", "base_url is unknown"),
        ("id: shell.run", "id must begin with one of"),
        ("id: [code.fix]", "id must look like"),
        ("model: haiku", "id must look like"),
        ("- id", "no mapping"),
        ("id: code.new", "a new agent needs a prompt"),
        ("id: code.fix\nmodel: *x", "aliases, tags"),
        ("id: code.fix\nmodel: !!python/name:os.system", "aliases, tags"),
    ],
)
def test_a_mistake_is_told_and_changes_nothing(text: str, words: str) -> None:
    changed, problems = one(f"---\n{text}\n---\n")
    assert any(words in problem for problem in problems), problems
    assert all(problem.startswith(PATH) for problem in problems)
    assert same(changed)


@pytest.mark.parametrize(
    "content", [b"", b"# no front matter", b"---\nid: \xff\n---\n", b"x" * (MAX_FILE_BYTES + 1)]
)
def test_what_is_no_definition_is_told(content: bytes) -> None:
    changed, problems = AGENTS.with_repository({PATH: content})
    assert len(problems) == 1 and same(changed)


def test_of_two_files_with_one_id_the_first_counts_and_the_second_is_told() -> None:
    narrow = "---\nid: code.fix\nmodel: {}\n---\n"
    sources = {"b.md": narrow.format("opus").encode(), "a.md": narrow.format("haiku").encode()}
    changed, problems = AGENTS.with_repository(sources)
    assert changed.get("code.fix").model == "haiku" and "b.md: another file has the id" in problems[0]


def test_only_so_many_files_are_read() -> None:
    sources = {f"{n:02}.md": f"---\nid: meta.a{'b' * n}\n---\nLook.".encode() for n in range(MAX_FILES + 1)}
    changed, problems = AGENTS.with_repository(sources)
    assert len(changed.ids) == len(AGENTS.ids) + MAX_FILES and "only the first 20" in problems[0]


@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: f"---\n{text}\n---\nx".encode()))
def test_no_file_makes_it_raise_or_widens_anything(content: bytes) -> None:
    changed, problems = AGENTS.with_repository({PATH: content})
    assert same(changed) or not problems
    assert all(isinstance(changed.get(id_), Definition) for id_ in changed.ids)
    assert all(problem.isprintable() for problem in problems)
