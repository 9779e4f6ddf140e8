"""The tools that change files, and the account of what they changed."""

import os
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from bot.domain import masks
from bot.domain.paths import check_writable, split
from bot.workspace.toolhost import diff
from bot.workspace.toolhost.beneath import MAX_FILE_BYTES, Tree, Trouble
from bot.workspace.toolhost.originals import MAX_TOUCHED_FILES, Original, Originals
from bot.workspace.toolhost.reading import check_numbers, decoded
from bot.workspace.toolhost.reply import paged

MAX_DIFF_LINES = 1_000
_NOTHING = "Nothing is changed."
_NEW_FILE_MODE = 0o644
_SHOWN_PLACES = 10
_BLOTS = re.compile(r"\0+")

_State: TypeAlias = tuple[bytes, int] | None
"""The bytes and the permission bits of a file; None when nothing is there."""


class Editor:
    """Changes the files of one tree and remembers each as it was."""

    def __init__(self, tree: Tree, originals: Originals) -> None:
        """Work on *tree*; first touches go to *originals*."""
        self._tree = tree
        self._originals = originals
        self._told: dict[str, tuple[_State, dict[str, Any]]] = {}

    def edit_file(self, path: str, old: str, new: str) -> str:
        """Replace *old*, which must stand exactly once in the file as the tools show it, by *new*."""
        parts = self._writable(path)
        _check_no_environment(parts[-1])
        content, mode = self._tree.read(parts)
        text = decoded(content)
        _check_no_mask(old + new, text)
        old, new = _fitting_line_ends(text, old, new)
        seen = masks.blot(text)
        _check_once(seen, old, new)
        start = seen.index(old)
        end = start + len(old)
        changed = text[:start] + new + text[end:]
        _check_hides(seen[:start], seen[end:], new, changed)
        self._write(parts, changed, (content, mode))
        line = text.count("\n", 0, start) + 1
        return f"Edited {path} at line {line}."

    def write_file(self, path: str, content: str) -> str:
        """Make the file *path*, or replace it whole."""
        parts = self._writable(path)
        before = self._tree.read_if_there(parts)
        _check_no_mask(content, "" if before is None else decoded(before[0]))
        self._write(parts, content, before)
        return f"{'Wrote' if before else 'Created'} {path} ({len(content)} characters)."

    def delete_file(self, path: str) -> str:
        """Remove one text file."""
        parts = self._writable(path)
        content, mode = self._tree.read(parts)
        decoded(content)
        self._keep(parts, (content, mode))
        with self._tree.directory(parts[:-1]) as directory_fd:
            os.unlink(parts[-1], dir_fd=directory_fd)
        self._tree.drop_empty(parts[:-1])
        return f"Deleted {path}."

    def git_diff(self, skip: int = 0) -> str:
        """Everything that was changed so far, as one patch, after its first *skip* lines."""
        check_numbers(skip=skip + 1)
        patches = (_patch(original, now, is_masked=True).text for original, now in self._changed())
        lines = (line for patch in patches for line in patch.removesuffix("\n").split("\n"))
        text = paged(lines, skip=skip, limit=MAX_DIFF_LINES, nothing=_NOTHING)
        return text if text == _NOTHING else text + "\n"

    def changes(self) -> list[dict[str, Any]]:
        """One record per changed file, sorted by path: the fields of `bot.domain.values.FileChange`."""
        return [self._change(original, now) for original, now in self._changed()]

    def _change(self, original: Original, now: _State) -> dict[str, Any]:
        """The record of a file; one that is as it was the last time is not compared again."""
        known = self._told.get(original.path)
        if known is None or known[0] != now:
            known = self._told[original.path] = (now, _change(original, now))
        return known[1]

    def _changed(self) -> Iterator[tuple[Original, _State]]:
        for original in self._originals:
            now = self._tree.read_if_there(tuple(original.path.split("/")))
            if (now[0] if now else None) != original.content:
                yield original, now

    def _writable(self, path: str) -> tuple[str, ...]:
        if path.endswith("/"):
            raise Trouble("This names a directory; name a file.")
        parts = split(path)
        self._tree.check_shown(parts)
        check_writable(parts)
        return parts

    def _write(self, parts: tuple[str, ...], text: str, before: _State) -> None:
        content = _encoded(text)
        self._keep(parts, before)
        self._make_directories(parts[:-1])
        with self._tree.directory(parts[:-1]) as directory_fd:
            mode = before[1] if before else self._mode_of_original(parts)
            self._originals.place(content, mode, parts[-1], directory_fd)

    def _keep(self, parts: tuple[str, ...], before: _State) -> None:
        path = "/".join(parts)
        if self._originals.is_full_for(path):
            raise Trouble(f"More than {MAX_TOUCHED_FILES} files are touched already; make a smaller change.")
        content, mode = before or (None, _NEW_FILE_MODE)
        self._originals.keep(path, content, mode)

    def _mode_of_original(self, parts: tuple[str, ...]) -> int:
        original = self._originals.get("/".join(parts))
        return original.mode if original else _NEW_FILE_MODE

    def _make_directories(self, parts: tuple[str, ...]) -> None:
        for length in range(len(parts)):
            with self._tree.directory(parts[:length]) as directory_fd:
                try:
                    os.mkdir(parts[length], 0o755, dir_fd=directory_fd)
                except FileExistsError:
                    continue


def _check_no_environment(name: str) -> None:
    """Refuse to edit a file whose values are masked: whether an edit fits would tell what they are."""
    if masks.is_env_file(name):
        raise Trouble(
            f"The values in {name} are hidden, so no part of it can be edited. "
            "Write the whole file with write_file, or change its template."
        )


def _check_no_mask(given: str, text: str) -> None:
    """Refuse a mask that the file itself does not hold: it would be written where a secret stands."""
    strange = next((found[0] for found in masks.MASK.finditer(given) if found[0] not in text), None)
    if strange is not None:
        raise Trouble(
            f"{strange} is not in the file: the tools show it where a secret stands. "
            "Leave those lines out of the edit; they cannot be changed with the tools."
        )


def _check_hides(before: str, after: str, new: str, changed: str) -> None:
    """Refuse an edit beside a secret, or by which one would no longer look like one and be shown.

    *before* and *after* are what stays around *new*, blotted; *changed* is the whole.
    """
    blotted = masks.blot(changed)
    hidden = _BLOTS.finditer(before + " " * len(new) + after)
    is_shown = any(blotted[blots.start() : blots.end()] != blots[0] for blots in hidden)
    if is_shown or before.endswith("\0") or after.startswith("\0"):
        raise Trouble(
            "This edit ends at a secret that the tools hide, or would change how it reads. "
            "Leave at least one character on each side of the secret as it is."
        )


def _encoded(text: str) -> bytes:
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError:
        raise Trouble("The text holds half of a surrogate pair and cannot be written as UTF-8.") from None
    if b"\0" in content:
        raise Trouble("The text holds a NUL character; the tools write text only.")
    if len(content) > MAX_FILE_BYTES:
        raise Trouble(f"The file would have {len(content)} bytes; at most {MAX_FILE_BYTES} are written.")
    return content


def _fitting_line_ends(text: str, old: str, new: str) -> tuple[str, str]:
    """With a CRLF file and LF arguments, the arguments in CRLF."""
    if "\r" in old or "\n" not in old + new or "\r\n" not in text or text.count("\n") != text.count("\r\n"):
        return old, new
    return old.replace("\n", "\r\n"), new.replace("\r\n", "\n").replace("\n", "\r\n")


def _check_once(text: str, old: str, new: str) -> None:
    if not old:
        raise Trouble("old is empty; name the exact text to replace, or use write_file.")
    if old == new:
        raise Trouble("old and new are the same; nothing would change.")
    if "\0" in old:
        raise Trouble("old does not occur in the file: no text holds a NUL.")
    places = _places(text, old)
    if len(places) == 1:
        return
    if places:
        shown = ", ".join(str(line) for line in places[:_SHOWN_PLACES])
        raise Trouble(
            f"old occurs {len(places)} times (lines {shown}); add lines around it until it is unique."
        )
    raise Trouble("old does not occur in the file." + _hint(text, old))


def _places(text: str, old: str) -> list[int]:
    """The line of each place where *old* begins, overlapping ones too."""
    lines: list[int] = []
    position = text.find(old)
    line, counted_to = 1, 0
    while position != -1 and len(lines) < MAX_TOUCHED_FILES:
        line += text.count("\n", counted_to, position)
        counted_to = position
        lines.append(line)
        position = text.find(old, position + 1)
    return lines


def _hint(text: str, old: str) -> str:
    first = next((line.strip() for line in old.split("\n") if line.strip()), "")
    near = [n for n, line in enumerate(text.split("\n"), start=1) if first and line.strip() == first]
    if not near:
        return " Read the file again and copy the text exactly."
    shown = ", ".join(str(line) for line in near[:_SHOWN_PLACES])
    return f" Its first line stands at line {shown}; compare spaces, tabs and the lines that follow."


def _patch(original: Original, now: _State, *, is_masked: bool = False) -> diff.Patch:
    """What became of a file; masked in the whole file, since a hunk may begin in the middle of a secret."""
    name = original.path.rpartition("/")[2]
    return diff.make(
        original.path,
        None if original.content is None else original.content.decode("utf-8"),
        None if now is None else decoded(now[0]),
        is_executable=_is_executable(original, now),
        shown=(lambda text: masks.mask_file(name, text)[0]) if is_masked else str,
    )


def _is_executable(original: Original, now: _State) -> bool:
    return bool((now[1] if now else original.mode) & 0o100)


def _change(original: Original, now: _State) -> dict[str, Any]:
    patch = _patch(original, now)
    return {
        "path": original.path,
        "content": None if now is None else decoded(now[0]),
        "is_new": original.content is None,
        "is_executable": _is_executable(original, now),
        "patch": patch.text,
        "added_lines": patch.added_lines,
        "removed_lines": patch.removed_lines,
    }
