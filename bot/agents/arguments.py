"""Arguments of a tool call checked against the schema that the model was shown, with words it can act on."""

from typing import Any

from bot.domain.values import Json

_TYPES: dict[str, tuple[type, str]] = {
    "string": (str, "a string"),
    "integer": (int, "an integer"),
    "boolean": (bool, "true or false"),
    "array": (list, "a list"),
    "object": (dict, "an object"),
}
MAX_NAME_CHARS = 60
MAX_PROBLEMS = 10
"""One list may hold many mistakes; the model needs only enough of them to see what is wrong."""


def problems(schema: Json, arguments: Any) -> list[str]:
    """What is wrong with *arguments*, one sentence each, at most `MAX_PROBLEMS`; empty when nothing is.

    Knows the part of JSON Schema that our tools use: closed objects and lists of strings, integers and
    booleans with `required`, `minLength`, `maxLength`, `minimum`, `maximum`, `minItems`, `maxItems`, `enum`.
    """
    if not isinstance(arguments, dict):
        return ["The arguments must be an object."]
    return _object_problems("", schema, arguments)[:MAX_PROBLEMS]


def _object_problems(where: str, schema: Json, given: Json) -> list[str]:
    """What is wrong with one object; *where* is its own name and a dot, or nothing."""
    properties = schema["properties"]
    found = [f"`{where}{name}` is missing." for name in schema["required"] if name not in given]
    for name, value in given.items():
        if name in properties:
            found += _value_problems(f"{where}{name}", properties[name], value)
        else:
            known = ", ".join(properties)
            found.append(f"`{where}{str(name)[:MAX_NAME_CHARS]}` is not an argument (known: {known}).")
    return found


def _value_problems(name: str, rule: Json, value: Any) -> list[str]:
    """What is wrong with one value."""
    type_, words = _TYPES[rule["type"]]
    if not isinstance(value, type_) or (type_ is int and isinstance(value, bool)):
        return [f"`{name}` must be {words}."]
    if isinstance(value, dict):
        return _object_problems(f"{name}.", rule, value)
    if isinstance(value, list):
        return _list_problems(name, rule, value)
    if isinstance(value, str):
        return _string_problems(name, rule, value)
    if not isinstance(value, bool) and not rule.get("minimum", value) <= value <= rule.get("maximum", value):
        return [f"`{name}` must lie between {rule.get('minimum')} and {rule.get('maximum')}."]
    return []


def _list_problems(name: str, rule: Json, values: list[Any]) -> list[str]:
    """Whether a list has too few or too many items, and what is wrong with each of them."""
    least, most = rule.get("minItems", 0), rule["maxItems"]
    if not least <= len(values) <= most:
        return [f"`{name}` has {len(values)} items; it may have {least} to {most}."]
    return [
        problem
        for index, value in enumerate(values)
        for problem in _value_problems(f"{name}[{index}]", rule["items"], value)
    ]


def _string_problems(name: str, rule: Json, value: str) -> list[str]:
    """Whether a string is too short, too long, none of those that are known, or holds what nothing can."""
    if "enum" in rule and value not in rule["enum"]:
        return [f"`{name}` must be one of {', '.join(rule['enum'])}."]
    if len(value) < rule.get("minLength", 0):
        return [f"`{name}` must not be empty."]
    if len(value) > rule.get("maxLength", len(value)):
        return [f"`{name}` has {len(value):,} characters; at most {rule['maxLength']:,} are allowed."]
    if "\0" in value:
        return [f"`{name}` must not contain a NUL character."]
    return []
