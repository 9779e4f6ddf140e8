"""The tools that change files, and the account of what they changed."""

import os
from collections.abc import Iterator
from typing import Any

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


class Editor:
    """Changes the files of one tree and remembers each as it was."""

    def __init__(self, tree: Tree, originals: Originals) -> None:
        """Work on *tree*; first touches go to *originals*."""
        self._tree = tree
        self._originals = originals

    def edit_file(self, path: str, old: str, new: str) -> str:
        """Replace *old*, which must stand exactly once in the file, by *new*."""
        parts = self._writable(path)
        _check_no_environment(parts[-1])
        content, mode = self._tree.read(parts)
        text = decoded(content)
        _check_no_mask(old + new, text)
        old, new = _fitting_line_ends(text, old, new)
        _check_once(text, old, new)
        self._write(parts, text.replace(old, new, 1), (content, mode))
        line = text[: text.index(old)].count("\n") + 1
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
        patches = (_masked_patch(change) for change in self._changes())
        lines = (line for patch in patches for line in patch.removesuffix("\n").split("\n"))
        text = paged(lines, skip=skip, limit=MAX_DIFF_LINES, nothing=_NOTHING)
        return text if text == _NOTHING else text + "\n"

    def changes(self) -> list[dict[str, Any]]:
        """One record per changed file, sorted by path: the fields of `bot.domain.values.FileChange`."""
        return list(self._changes())

    def _changes(self) -> Iterator[dict[str, Any]]:
        for original in self._originals:
            now = self._tree.read_if_there(tuple(original.path.split("/")))
            if (now[0] if now else None) != original.content:
                yield _change(original, now)

    def _writable(self, path: str) -> tuple[str, ...]:
        if path.endswith("/"):
            raise Trouble("This names a directory; name a file.")
        parts = split(path)
        self._tree.check_shown(parts)
        check_writable(parts)
        return parts

    def _write(self, parts: tuple[str, ...], text: str, before: tuple[bytes, int] | None) -> None:
        content = _encoded(text)
        self._keep(parts, before)
        self._make_directories(parts[:-1])
        with self._tree.directory(parts[:-1]) as directory_fd:
            mode = before[1] if before else self._mode_of_original(parts)
            self._originals.place(content, mode, parts[-1], directory_fd)

    def _keep(self, parts: tuple[str, ...], before: tuple[bytes, int] | None) -> None:
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


def _masked_patch(change: dict[str, Any]) -> str:
    return masks.mask_file(change["path"].rpartition("/")[2], change["patch"])[0]


def _change(original: Original, now: tuple[bytes, int] | None) -> dict[str, Any]:
    old = None if original.content is None else original.content.decode("utf-8")
    new = None if now is None else decoded(now[0])
    is_executable = bool((now[1] if now else original.mode) & 0o100)
    patch = diff.make(original.path, old, new, is_executable=is_executable)
    return {
        "path": original.path,
        "content": new,
        "is_new": original.content is None,
        "is_executable": is_executable,
        "patch": patch.text,
        "added_lines": patch.added_lines,
        "removed_lines": patch.removed_lines,
    }
