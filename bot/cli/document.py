"""Records as JSON for other programs: camelCase names, ISO times in UTC, money in USD."""

from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final

_MICRO: Final = "_micro_usd"
_MICRO_PER_USD: Final = 1_000_000


def as_document(value: Any) -> Any:
    """*value* (records, rows by column keys, lists of them) in the form of the API.

    Only names that we gave are turned into camelCase: below `data` everything stays as it was stored.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return as_document({item.name: getattr(value, item.name) for item in fields(value)})
    if isinstance(value, dict):
        return dict(_pair(str(name), item) for name, item in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return [as_document(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value.value if isinstance(value, Enum) else value


def _pair(name: str, value: Any) -> tuple[str, Any]:
    if name.endswith(_MICRO):
        return _camel(name.removesuffix(_MICRO) + "_usd"), None if value is None else value / _MICRO_PER_USD
    return _camel(name), value if name == "data" else as_document(value)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
