"""Structured output: the schemas that Anthropic takes, and the words in which it refuses the others.

https://platform.claude.com/docs/en/build-with-claude/structured-outputs (JSON Schema limitations)
"""

from collections.abc import Iterator
from typing import Any

from bot.standin.model.refusal import invalid

Json = dict[str, Any]
EFFORTS = ("low", "medium", "high", "xhigh", "max")
_ANY_TYPE = frozenset(
    {
        "type",
        "description",
        "title",
        "enum",
        "const",
        "default",
        "anyOf",
        "allOf",
        "$ref",
        "$defs",
        "definitions",
    }
)
_BY_TYPE = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems"}),
    "string": frozenset({"format", "pattern"}),
    "integer": frozenset[str](),
    "number": frozenset[str](),
    "boolean": frozenset[str](),
    "null": frozenset[str](),
}


def check_output_config(config: Any) -> None:
    """Refuse an `output_config` that Anthropic would refuse.

    Raises:
        Refusal: 400 invalid_request_error.
    """
    if config is None:
        return
    if not isinstance(config, dict):
        raise invalid("output_config: Input should be an object")
    for name in sorted(set(config) - {"effort", "format"}):
        raise invalid(f"output_config.{name}: Extra inputs are not permitted")
    if config.get("effort") not in {None, *EFFORTS}:
        raise invalid(f"output_config.effort: Input should be {', '.join(EFFORTS)}")
    form = config.get("format")
    if form is None:
        return
    if not isinstance(form, dict) or form.get("type") != "json_schema":
        raise invalid("output_config.format.type: Input should be 'json_schema'")
    for name in sorted(set(form) - {"type", "schema"}):
        raise invalid(f"output_config.format.{name}: Extra inputs are not permitted")
    check_schema("output_config.format.schema", form.get("schema"))


def check_schema(place: str, schema: Any) -> None:
    """Refuse a schema that cannot be kept to strictly; *place* begins the words.

    Raises:
        Refusal: 400 invalid_request_error.
    """
    if not isinstance(schema, dict):
        raise invalid(f"{place}: Input should be an object")
    kind = schema.get("type")
    if kind is not None and (not isinstance(kind, str) or kind not in _BY_TYPE):
        raise invalid(f"{place}: Invalid type {kind!r}")
    extra = sorted(set(schema) - _ANY_TYPE - _BY_TYPE.get(kind or "", frozenset()))
    if extra:
        raise invalid(f"{place}: For '{kind}' type, properties {', '.join(extra)} are not supported")
    if kind == "object" and schema.get("additionalProperties") is not False:
        raise invalid(f"{place}: For 'object' type, 'additionalProperties' must be explicitly set to false")
    if schema.get("minItems", 0) not in {0, 1}:
        raise invalid(f"{place}: For 'array' type, 'minItems' values other than 0 or 1 are not supported")
    for name, inner in _within(schema):
        check_schema(f"{place}.{name}", inner)


def _within(schema: Json) -> Iterator[tuple[str, Any]]:
    """The schemas that stand in *schema*, with their places."""
    for name in ("properties", "$defs", "definitions"):
        yield from ((f"{name}.{part}", inner) for part, inner in (schema.get(name) or {}).items())
    for name in ("anyOf", "allOf"):
        yield from ((f"{name}.{position}", inner) for position, inner in enumerate(schema.get(name) or ()))
    if "items" in schema:
        yield "items", schema["items"]


def is_asked(body: Json) -> bool:
    """Whether the request asks for JSON of a schema."""
    return bool((body.get("output_config") or {}).get("format"))
