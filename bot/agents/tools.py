"""The tools and effects that a model can be shown: names, words and schemas; byte-stable, in this order.

Tools run in the tool host; effects are data for the harness (`bot.agents.effects`).
"""

from dataclasses import dataclass
from typing import Any

from bot.domain.values import Json

MAX_PATH_CHARS = 1_024
MAX_PATTERN_CHARS = 500
MAX_CONTENT_CHARS = 400_000
MAX_TITLE_CHARS = 69
MAX_BODY_CHARS = 60_000
"""GitHub cuts comments and bodies at 65,536 characters; the rest is left for what the harness adds."""
MAX_SUMMARY_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One entry of the `tools` parameter."""

    name: str
    description: str
    input_schema: Json
    is_effect: bool = False

    def to_json(self) -> Json:
        """As the Messages API takes it."""
        return {"name": self.name, "description": self.description, "input_schema": self.input_schema}


def _string(description: str, max_chars: int, *, min_chars: int = 0) -> Json:
    """A string property."""
    return {"type": "string", "description": description, "minLength": min_chars, "maxLength": max_chars}


def _integer(description: str, minimum: int, maximum: int) -> Json:
    """An integer property."""
    return {"type": "integer", "description": description, "minimum": minimum, "maximum": maximum}


def _boolean(description: str) -> Json:
    """A boolean property."""
    return {"type": "boolean", "description": description}


def _object(*required: str, **properties: Json) -> Json:
    """A closed object."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _spec(name: str, description: str, schema: Json, **extra: Any) -> ToolSpec:
    """A specification whose description may be written over several lines."""
    return ToolSpec(name, " ".join(description.split()), schema, **extra)


_PATH = _string("Path from the repository's root, such as src/app.py", MAX_PATH_CHARS, min_chars=1)
_UNDER = _string("Only below this directory; left out: the whole repository", MAX_PATH_CHARS, min_chars=1)

_ALL = (
    _spec(
        "read_file",
        """Read a text file with line numbers. Long files come in parts: `offset_line` is the first line to
        show. The numbers and the tab after them are not part of the file.""",
        _object(
            "path",
            path=_PATH,
            offset_line=_integer("First line to show, from 1", 1, 10_000_000),
            limit_lines=_integer("How many lines to show at most", 1, 2_000),
        ),
    ),
    _spec(
        "list_directory",
        "List the entries of a directory; directories end with a slash.",
        _object(
            path=_string("Directory; left out: the repository's root", MAX_PATH_CHARS, min_chars=1),
            depth=_integer("How many levels to show; left out: 1", 1, 10),
        ),
    ),
    _spec(
        "search_files",
        "Find files whose path matches a glob, such as **/test_*.py.",
        _object("pattern", pattern=_string("The glob", MAX_PATTERN_CHARS, min_chars=1), path=_UNDER),
    ),
    _spec(
        "search_code",
        "Find lines that hold a text, or match a regular expression; answers path:line: text.",
        _object(
            "pattern",
            pattern=_string("The text, or the regular expression", MAX_PATTERN_CHARS, min_chars=1),
            regex=_boolean("Read the pattern as a Python regular expression; left out: as plain text"),
            path=_UNDER,
            limit=_integer("How many lines at most; left out: 100", 1, 500),
        ),
    ),
    _spec(
        "edit_file",
        """Replace one exact piece of a file. `old` must stand in the file exactly once, spaces and line ends
        included, without line numbers; take as many lines around it as make it unique.""",
        _object(
            "path",
            "old",
            "new",
            path=_PATH,
            old=_string(
                "The text to replace, exactly as it stands in the file", MAX_CONTENT_CHARS, min_chars=1
            ),
            new=_string("The text to put there; empty to take the old text out", MAX_CONTENT_CHARS),
        ),
    ),
    _spec(
        "write_file",
        "Write a whole file: a new one, or a small one that changes all over. For changes prefer edit_file.",
        _object("path", "content", path=_PATH, content=_string("The whole new text", MAX_CONTENT_CHARS)),
    ),
    _spec("delete_file", "Delete one file.", _object("path", path=_PATH)),
    _spec(
        "git_diff",
        "Show what you have changed so far, as a unified diff against the commit you started from.",
        _object(),
    ),
    _spec(
        "propose_change",
        """Describe the change you have made, for the pull request: what was wrong, why, what you did, how you
        know it is right. Files must have changed. Calling it again replaces the earlier text.""",
        _object(
            "title",
            "body",
            title=_string("Imperative, one line, below 70 characters", MAX_TITLE_CHARS, min_chars=1),
            body=_string("Markdown for the reviewers", MAX_BODY_CHARS, min_chars=1),
        ),
        is_effect=True,
    ),
    _spec(
        "post_analysis",
        """Answer with an analysis instead of a change: when there is nothing to change, or when the right
        change is not yours to make. Calling it again replaces the earlier text.""",
        _object("text", text=_string("Markdown for the person who asked", MAX_BODY_CHARS, min_chars=1)),
        is_effect=True,
    ),
    _spec(
        "finish",
        "End the work after propose_change or post_analysis.",
        _object(
            "summary", summary=_string("One or two sentences on the outcome", MAX_SUMMARY_CHARS, min_chars=1)
        ),
        is_effect=True,
    ),
    _spec(
        "give_up",
        "End the work without a result when you cannot do it. Say what you tried and what is missing.",
        _object("reason", reason=_string("What stood in the way", MAX_SUMMARY_CHARS, min_chars=1)),
        is_effect=True,
    ),
)
CATALOG = {spec.name: spec for spec in _ALL}
TOOL_NAMES = frozenset(spec.name for spec in _ALL if not spec.is_effect)
EFFECT_NAMES = frozenset(spec.name for spec in _ALL if spec.is_effect)


def select(names: frozenset[str]) -> tuple[ToolSpec, ...]:
    """The specifications of *names* in the catalogue's order, so that the prefix stays the same."""
    return tuple(spec for spec in _ALL if spec.name in names)
