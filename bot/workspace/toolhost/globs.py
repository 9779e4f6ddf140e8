"""Globs as the tools take them, and the paths that the repository's configuration keeps from the model."""

import re
import unicodedata
from collections.abc import Iterable

from bot.domain import globs
from bot.workspace.toolhost.beneath import Trouble


def glob_pattern(glob: str, *, is_from_root: bool = False) -> re.Pattern[str]:
    """As `bot.domain.globs.glob_pattern`.

    Raises:
        Trouble: A bracket is wrong.
    """
    try:
        return globs.glob_pattern(glob, is_from_root=is_from_root)
    except ValueError as error:
        raise Trouble(str(error)) from None


class Exclusion:
    """The paths that the repository's configuration keeps from the model."""

    def __init__(self, wanted: Iterable[str] = ()) -> None:
        """Cover what one of the globs *wanted* matches and everything below it; case does not matter.

        A leading slash ties a glob to the root, a closing one is left out.

        Raises:
            Trouble: A glob is not well formed; nothing is covered by half a list.
        """
        folded = [_folded(glob.strip()) for glob in wanted]
        self._patterns = tuple(_excluding(glob) for glob in folded if glob.strip("/"))

    def __bool__(self) -> bool:
        """Whether there is anything that it could cover."""
        return bool(self._patterns)

    def __call__(self, parts: tuple[str, ...]) -> bool:
        """Whether *parts*, or a directory on the way to it, is covered."""
        if not self._patterns or not parts:
            return False
        folded = _folded("/".join(parts)).split("/")
        ways = ("/".join(folded[:length]) for length in range(1, len(folded) + 1))
        return any(pattern.fullmatch(way) for way in ways for pattern in self._patterns)


def _excluding(glob: str) -> re.Pattern[str]:
    return glob_pattern(glob.strip("/"), is_from_root=glob.startswith("/"))


def _folded(text: str) -> str:
    """*text* as a file system that minds neither case nor form would compare it."""
    return unicodedata.normalize("NFKC", text).casefold()
