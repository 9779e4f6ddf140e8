"""One agent's definition: a Markdown file with a closed front matter, checked whole.

---
id: code.fix
summary: Changes the code as a bug report asks.
model: sonnet
tools: [read_file, edit_file]
effects: [propose_change, finish]
limits: {cost_usd: 3.0, seconds: 1800, steps: 50, tokens: 2000000}
---
The prompt.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import yaml

from bot.agents.tools import CATALOG, EFFECT_NAMES, TOOL_NAMES
from bot.domain.agent_kinds import KINDS, answers, kind_of
from bot.errors import ConfigError, Problem

MAX_SUMMARY_CHARS: Final = 120
MAX_PROMPT_CHARS: Final = 40_000
_FRONT_MATTER: Final = re.compile(r"\A---\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n(.*))?\Z", re.DOTALL)
_ID: Final = re.compile(r"[a-z]+(\.[a-z]+(-[a-z]+)*)+")
_NAMED: Final = re.compile(r"`([a-z_]+)`")
_MAX_VALUES: Final = 500
_REMEDY: Final = "see docs/agents.md"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may use. `tokens` bounds input and output together where a model has no price."""

    cost_usd: float = 3.0
    seconds: int = 1_800
    steps: int = 50
    tokens: int = 2_000_000

    def wider_than(self, other: "Limits") -> list[str]:
        """The names of those limits that allow more than *other* does."""
        names = [field.name for field in fields(self)]
        return [name for name in names if getattr(self, name) > getattr(other, name)]


@dataclass(frozen=True, slots=True)
class Definition:
    """One agent: its default model (an alias or a name), what it may use and ask for, and its prompt.

    `has_own_model`: a repository has chosen its model, so that nothing but a person's word changes it.
    """

    id: str
    model: str
    tools: frozenset[str]
    effects: frozenset[str]
    limits: Limits
    prompt: str
    summary: str = ""
    has_own_model: bool = False


def parse(text: str, *, name: str, base: Definition | None = None) -> Definition:
    """Read one definition; *name* is the file's, for the report. What is left out is as in *base*.

    Raises:
        ConfigError: the front matter is missing, is no YAML, or holds something unknown; every mistake.
    """
    return checked(*split(text, name=name), name=name, base=base)


def checked(data: Any, prompt: str, *, name: str, base: Definition | None = None) -> Definition:
    """The same for a file that was split.

    Raises:
        ConfigError: the front matter holds something unknown, or not what it must; every mistake.
    """
    wrongs = _wrongs(data, prompt, is_whole=base is None)
    if wrongs:
        raise ConfigError(*(Problem(name, wrong, _REMEDY) for wrong in wrongs))
    whole = _built(data, prompt, base)
    wrongs = _misfits(whole, is_own_prompt=bool(prompt))
    if wrongs:
        raise ConfigError(*(Problem(name, wrong, _REMEDY) for wrong in wrongs))
    return whole


def split(text: str, *, name: str) -> tuple[Any, str]:
    """The front matter as YAML without aliases and tags, and the prompt below it.

    Raises:
        ConfigError: there is no front matter, or it is no such YAML.
    """
    match = _FRONT_MATTER.match(text)
    if match is None:
        raise ConfigError(Problem(name, "has no front matter", "begin with a block between two lines of ---"))
    try:
        for count, event in enumerate(yaml.parse(match[1], Loader=yaml.SafeLoader)):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None) or count > _MAX_VALUES:
                raise ConfigError(Problem(name, "the front matter holds aliases, tags or too much", _REMEDY))
        return yaml.safe_load(match[1]), (match[2] or "").replace("\r\n", "\n").strip()
    except (yaml.YAMLError, ValueError) as error:
        words = " ".join(str(error).split())[:200]
        raise ConfigError(Problem(name, "the front matter is no YAML", words)) from error


def _built(data: Mapping[str, Any], prompt: str, base: Definition | None) -> Definition:
    """The definition, where everything has the right form."""
    limits = {field.name: getattr(base.limits, field.name) for field in fields(Limits)} if base else {}
    return Definition(
        id=data["id"],
        model=data.get("model", base and base.model),
        tools=frozenset(data["tools"]) if "tools" in data or base is None else base.tools,
        effects=frozenset(data["effects"]) if "effects" in data or base is None else base.effects,
        limits=Limits(**{**limits, **data.get("limits", {})}),
        prompt=prompt or (base.prompt if base else ""),
        summary=data.get("summary", base.summary if base else "").strip(),
        has_own_model=base is not None and "model" in data,
    )


def _wrongs(data: Any, prompt: str, *, is_whole: bool) -> list[str]:
    """Every wrong form in a front matter and its prompt, in words; *is_whole*: nothing may be left out."""
    if not isinstance(data, dict):
        return ["the front matter is no mapping"]
    checks: dict[str, list[str]] = {
        "id": _id_wrongs(data.get("id")),
        "summary": _summary_wrongs(data.get("summary")),
        "model": [] if isinstance(data.get("model"), str) and data["model"] else ["model must be a name"],
        "tools": _name_wrongs(data.get("tools"), TOOL_NAMES, "tools"),
        "effects": _name_wrongs(data.get("effects"), EFFECT_NAMES, "effects"),
        "limits": _limit_wrongs(data.get("limits", {})),
    }
    found = [f"{str(key)[:60]} is unknown" for key in data if key not in checks]
    for key, wrongs in checks.items():
        found += wrongs if is_whole or key == "id" or key in data else []
    if not prompt and is_whole:
        found.append("the prompt is empty")
    if len(prompt) > MAX_PROMPT_CHARS:
        found.append(f"the prompt has {len(prompt):,} characters; at most {MAX_PROMPT_CHARS:,} are allowed")
    return found


def _misfits(definition: Definition, *, is_own_prompt: bool) -> list[str]:
    """What does not fit together although each part has the right form; an inherited prompt is left alone."""
    offered = definition.tools | definition.effects
    found = [
        f"the prompt names `{word}`, which the agent is not offered"
        for word in dict.fromkeys(_NAMED.findall(definition.prompt))
        if is_own_prompt and word in CATALOG and word not in offered
    ]
    if "finish" not in definition.effects:
        found.append("effects must hold finish, or the agent could never end its work")
    if answers(definition.id) and "propose_change" in definition.effects:
        found.append("an agent of kind meta answers; it cannot have propose_change")
    return found


def _id_wrongs(id_: Any) -> list[str]:
    """Whether the id has the form of one, and a kind that exists."""
    if not isinstance(id_, str) or not _ID.fullmatch(id_):
        return ["id must look like code.fix"]
    return [] if kind_of(id_) in KINDS else [f"id must begin with one of {', '.join(KINDS)}"]


def _summary_wrongs(summary: Any) -> list[str]:
    """Whether the line for people is one line."""
    is_line = isinstance(summary, str) and summary.strip() and len(summary.strip().splitlines()) == 1
    if not is_line or len(summary) > MAX_SUMMARY_CHARS:
        return [f"summary must be one line of at most {MAX_SUMMARY_CHARS} characters"]
    return []


def _name_wrongs(names: Any, known: frozenset[str], key: str) -> list[str]:
    """Whether *names* is a list of names that exist."""
    if not isinstance(names, list) or not names:
        return [f"{key} must be a list of names"]
    unknown = [name for name in names if not isinstance(name, str) or name not in known]
    return [f"{key} has {str(name)[:60]!r}, which does not exist" for name in unknown]


def _limit_wrongs(limits: Any) -> list[str]:
    """Whether every limit is known and a positive number."""
    if not isinstance(limits, dict):
        return ["limits must be a mapping"]
    known = set(Limits.__dataclass_fields__)
    wrongs = [f"limits has {str(key)[:60]!r}, which does not exist" for key in limits if key not in known]
    for key, value in limits.items():
        is_number = (
            isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
        )
        if not is_number or (key != "cost_usd" and not isinstance(value, int)):
            wrongs.append(f"limits.{str(key)[:60]} must be a positive number")
    return wrongs
