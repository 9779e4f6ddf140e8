"""Globs for whole paths, as people write them for search_files, `glob` and `exclude:`."""

import re
import unicodedata
from collections.abc import Iterable

from bot.workspace.toolhost.beneath import Trouble

_PIECES = re.compile(r"(?:\*\*/)+|\*\*+|\*|\?|\[[!^]?\]?[^\]/]*\]|.", re.DOTALL)


def glob_pattern(glob: str, *, is_from_root: bool = False) -> re.Pattern[str]:
    """The pattern of *glob* for whole paths: `*` and `?` stay within a component, `**/` crosses them.

    A glob without a slash matches the last component at any depth, unless it *is_from_root*.

    Raises:
        Trouble: A bracket is wrong.
    """
    text = glob.removeprefix("./")
    if "/" not in text and not is_from_root:
        text = "**/" + text
    try:
        return re.compile("".join(_translated(piece) for piece in _PIECES.findall(text)), re.DOTALL)
    except re.error:
        raise Trouble(f"The glob {glob!r} is not well formed.") from None


class Exclusion:
    """The paths that the repository's configuration keeps from the model."""

    def __init__(self, globs: Iterable[str] = ()) -> None:
        """Cover what one of *globs* matches and everything below it; case and width do not matter.

        A leading slash ties a glob to the root, a closing one is left out.

        Raises:
            Trouble: A glob is not well formed; nothing is covered by half a list.
        """
        wanted = [_folded(glob.strip()) for glob in globs]
        self._patterns = tuple(_excluding(glob) for glob in wanted if glob.strip("/"))

    def __call__(self, parts: tuple[str, ...]) -> bool:
        """Whether *parts*, or a directory on the way to it, is covered."""
        if not self._patterns:
            return False
        folded = _folded("/".join(parts)).split("/")
        ways = ("/".join(folded[:length]) for length in range(1, len(folded) + 1))
        return any(pattern.fullmatch(way) for way in ways for pattern in self._patterns)


def _excluding(glob: str) -> re.Pattern[str]:
    return glob_pattern(glob.strip("/"), is_from_root=glob.startswith("/"))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _translated(piece: str) -> str:
    known = {"*": r"[^/]*", "?": r"[^/]"}
    if piece in known:
        return known[piece]
    if piece.startswith("**"):
        return r"(?:[^/]+/)*" if piece.endswith("/") else r".*"
    if len(piece) > 1:
        inside = piece[1:-1].replace("\\", r"\\").replace("[", r"\[")
        return f"[{'^' + inside[1:] if inside[0] in '!^' else inside}]"
    return re.escape(piece)
