"""A change of one text file as a patch in git's format, exact to the byte, that `git apply` accepts.

The format is that of https://git-scm.com/docs/diff-format; lines end at a line feed and nowhere else.
"""

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

CONTEXT_LINES = 3
MAX_COMPARED_PAIRS = 40_000_000
"""Above this product of line counts the changed middle is replaced whole, which is quick and still right."""

_Opcode: TypeAlias = tuple[str, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Patch:
    """The text of a patch and the count of its lines."""

    text: str
    added_lines: int
    removed_lines: int


def make(
    path: str,
    old: str | None,
    new: str | None,
    *,
    is_executable: bool,
    shown: Callable[[str], str] = str,
) -> Patch:
    """The patch that turns *old* into *new* at *path*; None stands for a file that is not there.

    *shown* makes of each whole text what the patch shows of it, line by line.
    """
    old_lines, new_lines = _lines(old or ""), _lines(new or "")
    opcodes = _opcodes(old_lines, new_lines)
    old_shown, new_shown = _lines(shown(old or "")), _lines(shown(new or ""))
    hunks = [_hunk(group, old_shown, new_shown) for group in _groups(opcodes)]
    removed = sum(o[2] - o[1] for o in opcodes if o[0] != "equal")
    added = sum(o[4] - o[3] for o in opcodes if o[0] != "equal")
    head = _head(path, old, new, is_executable=is_executable, has_hunks=bool(hunks))
    return Patch(head + "".join(hunks), added, removed)


def _head(path: str, old: str | None, new: str | None, *, is_executable: bool, has_hunks: bool) -> str:
    before, after = _quoted(f"a/{path}"), _quoted(f"b/{path}")
    mode = "100755" if is_executable else "100644"
    lines = [f"diff --git {before} {after}\n"]
    if old is None:
        lines.append(f"new file mode {mode}\n")
    if new is None:
        lines.append(f"deleted file mode {mode}\n")
    if has_hunks:
        lines.append(f"--- {'/dev/null' if old is None else before + _tab(path)}\n")
        lines.append(f"+++ {'/dev/null' if new is None else after + _tab(path)}\n")
    return "".join(lines)


def _tab(path: str) -> str:
    """A name with a space ends with a tab, so that nobody takes its end for a date."""
    return "\t" if " " in path else ""


def _quoted(name: str) -> str:
    """*name* as git writes it: in quotes when it holds a quote, a backslash or a control character."""
    plain = all(character >= " " and character not in '"\\\x7f' for character in name)
    if plain:
        return name
    return '"' + "".join(_escaped(character) for character in name) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character < " " or character == "\x7f":
        return f"\\{ord(character):03o}"
    return character


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    last = lines.pop()
    return [line + "\n" for line in lines] + ([last] if last else [])


def _opcodes(old: list[str], new: list[str]) -> list[_Opcode]:
    """How *old* becomes *new*; the equal head and tail are set aside before the costly comparison."""
    shorter = min(len(old), len(new))
    head = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    most = shorter - head
    tail = next((i for i in range(most) if old[-1 - i] != new[-1 - i]), most)
    old_end, new_end = len(old) - tail, len(new) - tail
    middle = _middle(old[head:old_end], new[head:new_end])
    shifted = [(tag, i1 + head, i2 + head, j1 + head, j2 + head) for tag, i1, i2, j1, j2 in middle]
    first, last = ("equal", 0, head, 0, head), ("equal", old_end, len(old), new_end, len(new))
    return [o for o in (first, *shifted, last) if o[2] > o[1] or o[4] > o[3]]


def _middle(old: list[str], new: list[str]) -> list[_Opcode]:
    if not old and not new:
        return []
    if len(old) * len(new) > MAX_COMPARED_PAIRS:
        return [("replace", 0, len(old), 0, len(new))]
    return list(difflib.SequenceMatcher(None, old, new).get_opcodes())


def _groups(opcodes: list[_Opcode]) -> Iterator[list[_Opcode]]:
    """Changes with their context; far ones fall into groups of their own."""
    group: list[_Opcode] = []
    for tag, i1, i2, j1, j2 in opcodes:
        if tag != "equal":
            group.append((tag, i1, i2, j1, j2))
            continue
        if group and i2 - i1 > 2 * CONTEXT_LINES:
            yield [*group, (tag, i1, i1 + CONTEXT_LINES, j1, j1 + CONTEXT_LINES)]
            group = []
        skip = 0 if group else max(0, i2 - i1 - CONTEXT_LINES)
        group.append((tag, i1 + skip, i2, j1 + skip, j2))
    if any(tag != "equal" for tag, *_ in group):
        yield _with_short_tail(group)


def _with_short_tail(group: list[_Opcode]) -> list[_Opcode]:
    tag, i1, i2, j1, _ = group[-1]
    if tag != "equal":
        return group
    kept = min(CONTEXT_LINES, i2 - i1)
    return [*group[:-1], (tag, i1, i1 + kept, j1, j1 + kept)]


def _hunk(group: list[_Opcode], old: list[str], new: list[str]) -> str:
    first, last = group[0], group[-1]
    parts = [f"@@ -{_span(first[1], last[2])} +{_span(first[3], last[4])} @@\n"]
    for tag, i1, i2, j1, j2 in group:
        if tag == "equal":
            parts += [_marked(" ", line) for line in old[i1:i2]]
        else:
            parts += [_marked("-", line) for line in old[i1:i2]]
            parts += [_marked("+", line) for line in new[j1:j2]]
    return "".join(parts)


def _span(start: int, end: int) -> str:
    return f"{start + 1 if end > start else start},{end - start}"


def _marked(mark: str, line: str) -> str:
    return mark + line if line.endswith("\n") else f"{mark}{line}\n\\ No newline at end of file\n"
