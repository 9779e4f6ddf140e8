"""Every secret that settings hold: what a log blanks, and what is never published."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from bot.config import SETTINGS, Settings
from bot.config_database import passwords
from bot.config_forms import Secret
from bot.config_queue import redis_passwords

_INSIDE: Final[dict[str, Callable[[str], tuple[str, ...]]]] = {
    "database_url": passwords,
    "redis_url": redis_passwords,
}
"""Addresses: the host is no secret, and to blank it would hide where something failed."""


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """The text of every setting that is marked as a secret, of an address its password in each spelling."""
    marked = (option.field for option in SETTINGS if option.is_secret)
    return tuple(
        found
        for name in marked
        for text in _texts(getattr(settings, name))
        for found in (_INSIDE[name](text) if name in _INSIDE else (text,))
    )


def _texts(value: Any) -> Iterator[str]:
    """The texts of a setting, which may hold several, or none."""
    for item in value if isinstance(value, tuple) else (value,):
        if item is not None:
            yield item.reveal() if isinstance(item, Secret) else item
