"""The agents that there are: those that come with the product, and what a repository makes of them."""

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from bot.agents import repository
from bot.agents.definition import Definition, Limits, parse
from bot.errors import ConfigError, Problem

__all__ = ["Definition", "Limits", "Registry", "load", "parse"]


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

    def with_repository(self, sources: Mapping[str, bytes]) -> "tuple[Registry, tuple[str, ...]]":
        """These agents as the files of a repository (*sources*: path to content) change and add to them.

        A file with a mistake changes nothing, and what is wrong with it is one of the lines that come
        with the result. Never raises.
        """
        found, problems = repository.read(sources, self._definitions)
        return Registry({**self._definitions, **found}), problems


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
