"""Reading single fields of a JSON body, with GitHub's refusal when the type is wrong."""

from bot.standin.forge import refusals
from bot.standin.forge.call import Json


def required_text(body: Json, field: str, resource: str) -> str:
    """A text that must be there and not be empty."""
    found = body.get(field)
    if not isinstance(found, str) or not found:
        raise refusals.invalid(resource, field, "missing_field" if not found else "invalid")
    return found


def optional_text(body: Json, field: str, resource: str) -> str | None:
    """A text, or None when it is absent or null."""
    found = body.get(field)
    if found is not None and not isinstance(found, str):
        raise refusals.invalid(resource, field)
    return found


def flag(body: Json, field: str, resource: str) -> bool:
    """True or false; false when it is absent."""
    found = body.get(field, False)
    if not isinstance(found, bool):
        raise refusals.invalid(resource, field)
    return found


def texts(body: Json, field: str, resource: str) -> list[str] | None:
    """A list of texts, or None when it is absent."""
    found = body.get(field)
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise refusals.invalid(resource, field)
    return found


def names(body: Json, field: str, resource: str) -> list[str] | None:
    """A list of names given as texts or as objects with a `name`, or None when it is absent."""
    found = body.get(field)
    if found is None or not isinstance(found, list):
        return texts(body, field, resource)
    plain = [one.get("name") if isinstance(one, dict) else one for one in found]
    return texts({field: plain}, field, resource)


def choice(body: Json, field: str, resource: str, allowed: tuple[str, ...]) -> str | None:
    """One of the allowed words, or None when it is absent or null."""
    found = optional_text(body, field, resource)
    if found is not None and found not in allowed:
        raise refusals.invalid(resource, field)
    return found
