"""A small map of the repository: its directories, and the definitions that most other files mention.

The idea is Aider's repository map (https://aider.chat/docs/repomap.html), by counting instead of a graph.
The same tree gives the same bytes.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple

from bot.domain import masks
from bot.workspace.toolhost.corpus import Corpus
from bot.workspace.toolhost.languages import CODE_SUFFIXES, numbered, suffix_of
from bot.workspace.toolhost.reading import shown

MAX_CHARS: Final = 60_000
MAX_LOOKED_AT_BYTES: Final = 16 * 1024 * 1024
MIN_OF_A_FILE_BYTES: Final = 2 * 1024
_DIRECTORIES_SHARE: Final = 0.4
_MAX_DEPTH: Final = 4
_MAX_NAMES_OF_A_FILE: Final = 6
_MAX_DEFINERS: Final = 4
"""A name that more files define says little about any of them."""
_LONG_WORD_CHARS: Final = 9
_TESTS: Final = re.compile(
    r"(?i)(?:^|[/._-])(?:tests?|specs?|__tests__|fixtures|vendor|node_modules)(?:[/._-]|$)"
)
_WORD: Final = re.compile(rb"[A-Za-z_]\w{3,60}")


class _Definition(NamedTuple):
    name: str
    number: int


def survey(corpus: Corpus, max_chars: int) -> str:
    """The map of the tree that *corpus* holds, in at most *max_chars* characters; may be empty.

    Raises:
        Trouble: There are too many files.
    """
    room = min(max_chars, MAX_CHARS)
    paths = [member.path for member in corpus.refresh()]
    directories = _fitting(_directory_lines(paths), int(room * _DIRECTORIES_SHARE))
    room -= len(directories) + 2
    names = _fitting(_definition_lines(corpus, len(paths)), room)
    text = "\n\n".join(part for part in (directories, names) if part)
    return masks.mask(shown(text))[0][:max_chars]


def _directory_lines(paths: list[str]) -> list[str]:
    """Each directory with the number of files below it, the upper ones first where not all fit."""
    counts: Counter[tuple[str, ...]] = Counter()
    for path in paths:
        parts = path.split("/")[:-1]
        counts.update(tuple(parts[:depth]) for depth in range(1, min(len(parts), _MAX_DEPTH) + 1))
    chosen = sorted(counts, key=lambda parts: (len(parts), parts))
    lines = [f"{'/'.join(parts)}/ ({counts[parts]})" for parts in chosen]
    return ["Directories, with their files:", *lines] if lines else []


def _definition_lines(corpus: Corpus, file_count: int) -> list[str]:
    defined, mentions = _looked_at(corpus, file_count)
    definers = Counter(name for definitions in defined.values() for name in {d.name for d in definitions})
    scores: dict[str, list[tuple[float, _Definition]]] = defaultdict(list)
    for path, definitions in defined.items():
        for definition in definitions:
            others = mentions[definition.name] - definers[definition.name]
            if others > 0 and definers[definition.name] <= _MAX_DEFINERS:
                weight = _weight(path, definition.name) / definers[definition.name]
                scores[path].append((weight * math.sqrt(others), definition))
    best = {path: _best(found) for path, found in scores.items()}
    order = sorted(best, key=lambda path: (-sum(score for score, _ in best[path]), path))
    lines = [f"{path}: " + ", ".join(f"{d.name} {d.number}" for d in _in_order(best[path])) for path in order]
    return ["Definitions that other files use most (name and line):", *lines] if lines else []


def _weight(path: str, name: str) -> float:
    """How much a mention says: little for plain words and private names, less for tests."""
    is_plain = len(name) < _LONG_WORD_CHARS and name.islower() and "_" not in name
    weight = 0.1 if is_plain or name.startswith("_") else 1.0
    return weight * (0.2 if _TESTS.search(path) else 1.0)


def _looked_at(corpus: Corpus, file_count: int) -> tuple[dict[str, list[_Definition]], Counter[str]]:
    """What each file defines, and how many files mention each name that is defined."""
    share = max(MIN_OF_A_FILE_BYTES, MAX_LOOKED_AT_BYTES // max(1, file_count))
    defined: dict[str, list[_Definition]] = {}
    mentions: Counter[bytes] = Counter()
    left = MAX_LOOKED_AT_BYTES
    for block, indexes in corpus.blocks(()):
        for index in indexes:
            name = block.members[index].parts[-1]
            if suffix_of(name) not in CODE_SUFFIXES or left <= 0:
                continue
            head = block.text(index)[:share]
            left -= len(head)
            mentions.update(set(_WORD.findall(head)))
            defined[block.members[index].path] = _definitions(name, head)
    wanted = {definition.name for definitions in defined.values() for definition in definitions}
    return defined, Counter({name: mentions[name.encode()] for name in wanted})


def _definitions(name: str, head: bytes) -> list[_Definition]:
    found: list[_Definition] = []
    for number, match in numbered(name, head.decode("utf-8", "replace")):
        called = next((group for group in match.groups() if group), "")
        if called.isascii() and _WORD.fullmatch(called.encode()):
            found.append(_Definition(called, number))
    return found


def _best(found: list[tuple[float, _Definition]]) -> list[tuple[float, _Definition]]:
    first: dict[str, tuple[float, _Definition]] = {}
    for score, definition in found:
        first.setdefault(definition.name, (score, definition))
    return sorted(first.values(), key=lambda pair: (-pair[0], pair[1].number))[:_MAX_NAMES_OF_A_FILE]


def _in_order(best: list[tuple[float, _Definition]]) -> list[_Definition]:
    return sorted((definition for _, definition in best), key=lambda definition: definition.number)


def _fitting(lines: Iterable[str], room: int) -> str:
    """As many whole lines as fit; a heading alone is nothing."""
    taken: list[str] = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        taken.append(line)
    return "\n".join(taken) if len(taken) > 1 else ""
