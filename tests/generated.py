"""The files that are written from a source: `make docs` writes them, the tests compare them."""

import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from bot.agents import registry
from bot.config import SETTINGS, Option
from bot.config_money import BUDGET_OPTIONS, MODEL_OPTIONS
from bot.config_options import AGENT_OPTIONS, GITHUB_OPTIONS, SERVICE_OPTIONS, TIMING_OPTIONS
from bot.config_provider import PROVIDER_OPTIONS
from bot.domain.commands import COMMANDS
from bot.domain.states import ISSUE_EDGES, JOB_EDGES, By
from bot.web.metrics_table import METRICS

Edges: TypeAlias = Iterable[tuple[tuple[str, str], frozenset[By]]]

ROOT = Path(__file__).parent.parent
_GROUPS = {
    "GitHub": GITHUB_OPTIONS,
    "The agent": AGENT_OPTIONS,
    "The model's provider": PROVIDER_OPTIONS,
    "Models": MODEL_OPTIONS,
    "Budgets": BUDGET_OPTIONS,
    "The service": SERVICE_OPTIONS,
    "Timing (the defaults are right for production)": TIMING_OPTIONS,
}
_EXAMPLE_HEAD = """\
# Every setting with its default. Copy this file to .env and fill in what you need; an empty
# value counts as not set, and what the environment says wins over this file.
# Each secret may instead be put into a file: NAME_FILE=/path/to/it. More: docs/configuration.md
"""
_LINE = re.compile(r"^  (?:- )?(?P<name>\w+)(?:: (?P<level>\w+))?  # (?P<why>.+)$", re.MULTILINE)


def env_example() -> str:
    """The whole of `.env.example`."""
    return _EXAMPLE_HEAD + "".join(
        f"\n# ── {title} ──\n" + "".join(_example(option) for option in options)
        for title, options in _GROUPS.items()
    )


def configuration_tables() -> str:
    """The generated part of `docs/configuration.md`."""
    return "\n\n".join(f"### {title}\n\n{_rows(options)}" for title, options in _GROUPS.items())


def permission_table() -> str:
    """The permissions of `app.yml` with their reasons."""
    rows = [f"| `{name}` | {level} | {why} |" for name, level, why in manifest_lines() if level]
    return "\n".join(["| permission | access | what for |", "| --- | --- | --- |", *rows])


def event_table() -> str:
    """The events of `app.yml` with their reasons."""
    rows = [f"| `{name}` | {why} |" for name, level, why in manifest_lines() if not level]
    return "\n".join(["| event | what for |", "| --- | --- |", *rows])


def manifest_lines() -> Iterator[tuple[str, str, str]]:
    """Name, access ("" for an event) and reason of each line of `app.yml` that has one."""
    for match in _LINE.finditer((ROOT / "app.yml").read_text()):
        yield match["name"], match["level"] or "", match["why"]


def command_table() -> str:
    """The commands that people may write, from the registry."""
    rows = []
    for command in COMMANDS:
        names = ", ".join(f"`/agent {name}`" for name in (command.verb, *command.aliases))
        rows.append(f"| {names} | {command.meaning} | {command.who} |")
    return "\n".join(["| command | what it does | who |", "| --- | --- | --- |", *rows])


def agent_table() -> str:
    """The agents that come with the product."""
    agents = registry.load()
    rows = []
    for agent in (agents.get(id_) for id_ in agents.ids):
        limits = agent.limits
        bounds = f"${limits.cost_usd:g}, {limits.seconds / 60:g} min, {limits.steps} steps"
        rows.append(f"| `{agent.id}` | {agent.summary} | {bounds} |")
    return "\n".join(["| agent | what it does | at most |", "| --- | --- | --- |", *rows])


def edge_table(edges: Edges) -> str:
    """A table of states: from, to, and who may cause it."""
    rows = [f"| {old} | {new} | {', '.join(sorted(by))} |" for (old, new), by in edges]
    return "\n".join(["| from | to | by |", "| --- | --- | --- |", *rows])


def edge_diagram(edges: Edges) -> str:
    """The same as a Mermaid diagram."""
    pairs = [pair for pair, _ in edges]
    finals = {new for _, new in pairs} - {old for old, _ in pairs}
    lines = [f"    {old} --> {new}" for old, new in pairs]
    ends = [f"    {state} --> [*]" for state in sorted(finals)]
    return "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> PENDING", *lines, *ends, "```"])


def metric_table() -> str:
    """What /metrics tells."""
    rows = []
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "-"
        rows.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.about} |")
    return "\n".join(["| metric | kind | labels | what it is |", "| --- | --- | --- | --- |", *rows])


def files() -> dict[Path, str]:
    """Each file with generated parts, and the whole text that it should have."""
    return {
        ROOT / ".env.example": env_example(),
        **_filled("docs/configuration.md", settings=configuration_tables()),
        **_filled("docs/agents.md", agents=agent_table()),
        **_filled("docs/operations.md", metrics=metric_table()),
        **_filled("docs/permissions.md", permissions=permission_table(), events=event_table()),
        **_filled(
            "docs/architecture.md", issues=edge_table(ISSUE_EDGES.items()), jobs=edge_table(JOB_EDGES.items())
        ),
        **_filled(
            "README.md",
            commands=command_table(),
            permissions=permission_table(),
            jobs=edge_diagram(JOB_EDGES.items()),
        ),
    }


def _filled(name: str, **parts: str) -> dict[Path, str]:
    text = (ROOT / name).read_text()
    for part, content in parts.items():
        head, tail = f"<!-- {part}: written by `make docs` -->", f"<!-- /{part} -->"
        before, middle, rest = text.partition(head)
        after = rest.partition(tail)[2]
        text = f"{before}{middle}\n\n{content}\n\n{tail}{after}"
    return {ROOT / name: text}


def _example(option: Option) -> str:
    about = "\n".join(textwrap.wrap(option.about, 98, initial_indent="# ", subsequent_indent="# "))
    return f"{about}\n{option.name}={option.default}\n"


def _rows(options: tuple[Option, ...]) -> str:
    rows = [_row(option) for option in options]
    return "\n".join(["| variable | default | what it does |", "| --- | --- | --- |", *rows])


def _row(option: Option) -> str:
    default = f"`{option.default}`" if option.default else "–"
    secret = " Secret." if option.is_secret else ""
    return f"| `{option.name}` | {default} | {option.about}{secret} |"


def write() -> None:
    """Bring all generated files up to date."""
    assert {option for group in _GROUPS.values() for option in group} == set(SETTINGS)
    for path, text in files().items():
        path.write_text(text)


if __name__ == "__main__":
    write()
