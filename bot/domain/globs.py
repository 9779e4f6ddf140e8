"""Globs for whole paths, as people write them for search_files, `glob` and `exclude:`; pure rules."""

import re
from typing import Final

_PIECES: Final = re.compile(r"(?:\*\*/)+|\*\*+|\*|\?|\[[!^]?\]?[^\]/]*\]|.", re.DOTALL)


def glob_pattern(glob: str, *, is_from_root: bool = False) -> re.Pattern[str]:
    """The pattern of *glob* for whole paths: `*` and `?` stay within a component, `**/` crosses them.

    A glob without a slash matches the last component at any depth, unless it *is_from_root*.

    Raises:
        ValueError: A bracket is wrong.
    """
    text = glob.removeprefix("./")
    if "/" not in text and not is_from_root:
        text = "**/" + text
    try:
        return re.compile("".join(_translated(piece) for piece in _PIECES.findall(text)), re.DOTALL)
    except re.error:
        raise ValueError(f"The glob {glob!r} is not well formed.") from None


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
