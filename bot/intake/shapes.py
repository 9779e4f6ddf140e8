"""What a delivery may say of itself, whichever door it came through: forms of names, bounds of numbers.

Headers are not signed, and names in a body are whatever somebody chose: nothing of another form is kept.
"""

import re
from dataclasses import dataclass
from typing import Final

from bot.domain.values import Json

EVENT: Final = re.compile(r"[a-z0-9_]{1,64}", re.ASCII)
GUID: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
# The action of `repository_dispatch` is whatever its sender chose.
ACTION: Final = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,255}")
_SHORT: Final = re.compile(r"[A-Za-z0-9_.\[\]/-]{1,200}", re.ASCII)
_MAX_ID: Final = 2**63 - 1
_MAX_NUMBER: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class About:
    """Where a delivery belongs, for the order within a thread and for people; None: it does not say."""

    installation_id: int | None
    repository: str | None
    number: int | None
    sender: str | None


def about(payload: Json) -> About:
    """What a body says of its installation, its thread and its sender."""
    thread = payload.get("issue") or payload.get("pull_request") or payload
    return About(
        installation_id=_integer(payload.get("installation"), "id", _MAX_ID),
        repository=_text(payload.get("repository"), "full_name"),
        number=_integer(thread, "number", _MAX_NUMBER),
        sender=_text(payload.get("sender"), "login"),
    )


def _integer(value: object, key: str, most: int) -> int | None:
    """What stands under *key* of an object, where it is a whole number that a column can hold."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if type(found) is int and 0 < found <= most else None


def _text(value: object, key: str) -> str | None:
    """What stands under *key* of an object, where it is a short text without control characters."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) and _SHORT.fullmatch(found) else None
