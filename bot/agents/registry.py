"""Agent definitions: Markdown files with a closed front matter, read once and checked whole."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml

from bot.agents.tools import EFFECT_NAMES, TOOL_NAMES
from bot.errors import ConfigError, Problem

_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)
_ID = re.compile(r"[a-z]+(\.[a-z-]+)+")
_KEYS = {"id", "model", "tools", "effects", "limits"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may use. `tokens` bounds input and output together where a model has no price."""

    cost_usd: float = 3.0
    seconds: int = 1_800
    steps: int = 50
    tokens: int = 2_000_000


@dataclass(frozen=True, slots=True)
class Definition:
    """One agent: its default model (an alias or a name), what it may use and ask for, and its prompt."""

    id: str
    model: str
    tools: frozenset[str]
    effects: frozenset[str]
    limits: Limits
    prompt: str


class Registry:
    """The agents that there are, by id."""

    def __init__(self, definitions: Mapping[str, Definition]) -> None:
        """Hold *definitions*."""
        self._definitions = dict(definitions)

    def get(self, agent_id: str) -> Definition:
        """The agent with this id.

        Raises:
            KeyError: there is none; the message lists those that there are.
        """
        if agent_id not in self._definitions:
            raise KeyError(f"no agent {agent_id!r}; there are: {', '.join(self.ids)}")
        return self._definitions[agent_id]

    @property
    def ids(self) -> tuple[str, ...]:
        """Every id, sorted."""
        return tuple(sorted(self._definitions))


def load(folder: Traversable | None = None) -> Registry:
    """Read the definitions in *folder*; without one, those that come with the product.

    Raises:
        ConfigError: one of them is broken; all mistakes of all files together.
    """
    found: dict[str, Definition] = {}
    problems: list[Problem] = []
    whole = folder or files("bot.agents") / "definitions"
    entries = sorted(whole.iterdir(), key=lambda entry: entry.name)
    for entry in (entry for entry in entries if entry.name.endswith(".md")):
        try:
            definition = parse(entry.read_text(encoding="utf-8"), name=entry.name)
        except ConfigError as error:
            problems += error.problems
        else:
            found[definition.id] = definition
    if problems:
        raise ConfigError(*problems)
    return Registry(found)


def parse(text: str, *, name: str) -> Definition:
    """Read one definition; *name* is the file's, for the report.

    Raises:
        ConfigError: the front matter is missing, is no YAML, or holds something unknown.
    """
    match = _FRONT_MATTER.match(text)
    if match is None:
        raise ConfigError(Problem(name, "has no front matter", "begin with a block between two lines of ---"))
    try:
        data = yaml.safe_load(match[1])
    except yaml.YAMLError as error:
        raise ConfigError(Problem(name, "the front matter is no YAML", str(error))) from error
    prompt = match[2].strip()
    problems = [
        Problem(name, wrong, "see bot/agents/definitions/code.fix.md") for wrong in _wrongs(data, prompt)
    ]
    if problems:
        raise ConfigError(*problems)
    return Definition(
        id=data["id"],
        model=data["model"],
        tools=frozenset(data["tools"]),
        effects=frozenset(data["effects"]),
        limits=Limits(**data.get("limits", {})),
        prompt=prompt,
    )


def _wrongs(data: Any, prompt: str) -> list[str]:
    """Everything that is wrong with a front matter and its prompt, in words."""
    if not isinstance(data, dict):
        return ["the front matter is no mapping"]
    wrongs = [f"{key} is unknown" for key in data if key not in _KEYS]
    if not isinstance(data.get("id"), str) or not _ID.fullmatch(data["id"]):
        wrongs.append("id must look like code.fix")
    if not isinstance(data.get("model"), str) or not data["model"]:
        wrongs.append("model must be a name")
    wrongs += _unknown_names(data.get("tools"), TOOL_NAMES, "tools")
    wrongs += _unknown_names(data.get("effects"), EFFECT_NAMES, "effects")
    wrongs += _limit_wrongs(data.get("limits", {}))
    if not prompt:
        wrongs.append("the prompt is empty")
    return wrongs


def _unknown_names(names: Any, known: frozenset[str], key: str) -> list[str]:
    """Whether *names* is a list of names that exist."""
    if not isinstance(names, list) or not names:
        return [f"{key} must be a list of names"]
    return [f"{key} has {name!r}, which does not exist" for name in names if name not in known]


def _limit_wrongs(limits: Any) -> list[str]:
    """Whether every limit is known and a positive number."""
    if not isinstance(limits, dict):
        return ["limits must be a mapping"]
    known = set(Limits.__dataclass_fields__)
    wrongs = [f"limits has {key!r}, which does not exist" for key in limits if key not in known]
    for key, value in limits.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        if not is_number or (key != "cost_usd" and not isinstance(value, int)):
            wrongs.append(f"limits.{key} must be a positive number")
    return wrongs
