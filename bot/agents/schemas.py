"""How a tool is described to the model: its name, its words and its schema, from a few builders."""

from collections.abc import Iterable
from dataclasses import dataclass

from bot.domain.values import Json

MAX_PATH_CHARS = 1_024
MAX_LINE = 10_000_000


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One entry of the `tools` parameter."""

    name: str
    description: str
    input_schema: Json

    def to_json(self) -> Json:
        """As the Messages API takes it."""
        return {"name": self.name, "description": self.description, "input_schema": self.input_schema}


def string(description: str, max_chars: int, *, min_chars: int = 0) -> Json:
    """A string property."""
    return {"type": "string", "description": description, "minLength": min_chars, "maxLength": max_chars}


def integer(description: str, minimum: int, maximum: int) -> Json:
    """An integer property."""
    return {"type": "integer", "description": description, "minimum": minimum, "maximum": maximum}


def boolean(description: str) -> Json:
    """A boolean property."""
    return {"type": "boolean", "description": description}


def choice(description: str, words: Iterable[str]) -> Json:
    """A string property that is one of *words*."""
    return {"type": "string", "description": description, "enum": list(words)}


def list_of(description: str, items: Json, max_items: int, *, min_items: int = 0) -> Json:
    """A list property."""
    return {
        "type": "array",
        "description": description,
        "items": items,
        "minItems": min_items,
        "maxItems": max_items,
    }


def object_of(*required: str, **properties: Json) -> Json:
    """A closed object."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def spec(name: str, description: str, schema: Json) -> ToolSpec:
    """A specification whose description may be written over several lines."""
    return ToolSpec(name, " ".join(description.split()), schema)


PATH = string("Path from the repository's root, such as src/app.py", MAX_PATH_CHARS, min_chars=1)
