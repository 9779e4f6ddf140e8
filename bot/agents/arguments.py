"""Arguments of a tool call checked against the schema that the model was shown, with words it can act on."""

from typing import Any

from bot.domain.values import Json

_TYPES: dict[str, tuple[type, str]] = {
    "string": (str, "a string"),
    "integer": (int, "an integer"),
    "boolean": (bool, "true or false"),
}
MAX_NAME_CHARS = 60


def problems(schema: Json, arguments: Any) -> list[str]:
    """What is wrong with *arguments*, one sentence each; empty when nothing is.

    Knows the part of JSON Schema that our tools use: an object of strings, integers and booleans with
    `required`, `minLength`, `maxLength`, `minimum`, `maximum`; other fields are not allowed.
    """
    if not isinstance(arguments, dict):
        return ["The arguments must be an object."]
    properties = schema["properties"]
    found = [f"`{name}` is missing." for name in schema["required"] if name not in arguments]
    for name, value in arguments.items():
        if name in properties:
            found += _value_problems(name, properties[name], value)
        else:
            known = ", ".join(properties)
            found.append(f"`{str(name)[:MAX_NAME_CHARS]}` is not an argument (known: {known}).")
    return found


def _value_problems(name: str, rule: Json, value: Any) -> list[str]:
    """What is wrong with one value."""
    type_, words = _TYPES[rule["type"]]
    if not isinstance(value, type_) or (type_ is int and isinstance(value, bool)):
        return [f"`{name}` must be {words}."]
    if isinstance(value, str):
        return _length_problems(name, rule, value)
    if not isinstance(value, bool) and not rule.get("minimum", value) <= value <= rule.get("maximum", value):
        return [f"`{name}` must lie between {rule.get('minimum')} and {rule.get('maximum')}."]
    return []


def _length_problems(name: str, rule: Json, value: str) -> list[str]:
    """Whether a string is too short, too long, or holds what no file or comment can hold."""
    if len(value) < rule.get("minLength", 0):
        return [f"`{name}` must not be empty."]
    if len(value) > rule["maxLength"]:
        return [f"`{name}` has {len(value):,} characters; at most {rule['maxLength']:,} are allowed."]
    if "\0" in value:
        return [f"`{name}` must not contain a NUL character."]
    return []
