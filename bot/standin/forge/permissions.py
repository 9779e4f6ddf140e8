"""The one rule for what a set of App permissions allows."""

from collections.abc import Mapping

RANKS = ("none", "read", "write", "admin")


def allows(permissions: Mapping[str, str], name: str, level: str) -> bool:
    """Whether the permissions hold *name* at *level* (read, write or admin) or above."""
    return RANKS.index(permissions.get(name, "none")) >= RANKS.index(level)
