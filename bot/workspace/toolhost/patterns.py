"""What search_code looks for: a test of one line, and pieces of text that no matching line can lack.

The pieces ("needles") are read off Python's own parse tree of a regular expression, so that most lines are
passed over at the speed of `bytes.find`; where no needle is sure, every line is tested.
"""

import importlib
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from bot.workspace.toolhost.beneath import Trouble

MAX_NEEDLES: Final = 12
FOLDING_INTO_ASCII: Final = ("\u0130", "\u0131", "\u017f", "\u212a")
"""The characters beyond ASCII that match an ASCII letter when case is ignored: `i`, `s` and `k`."""

Needles: TypeAlias = frozenset[str]
_REPLACEMENT: Final = "\ufffd"
_TRANSPARENT: Final = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})
_CROSSING: Final = frozenset({"CATEGORY_SPACE", "CATEGORY_NOT_DIGIT", "CATEGORY_NOT_WORD"})
_WITHIN_LINE: Final = frozenset({"AT_BEGINNING", "AT_END", "AT_BOUNDARY", "AT_NON_BOUNDARY"})

# Python's own parser of regular expressions; private, so whatever it does not say costs only speed.
_PARSER: Final[Any] = importlib.import_module("re._parser")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One thing to look for.

    `find` gives where in a line the first match begins, or -1. Each set of `needles` alone is such that a
    matching line holds one of it, in lower case if `ignores_case`. `whole` finds the same matches in a
    whole text, or is None when a match might look beyond its line.
    """

    find: Callable[[str], int]
    needles: tuple[tuple[bytes, ...], ...]
    ignores_case: bool
    whole: re.Pattern[str] | None = None

    @property
    def strangers(self) -> tuple[bytes, ...]:
        """What a matching line may hold in place of a needle when case is ignored."""
        return tuple(character.encode() for character in FOLDING_INTO_ASCII) if self.ignores_case else ()


def compiled(pattern: str, *, is_regex: bool, ignores_case: bool) -> Pattern:
    """What *pattern* says, literally or as a Python regular expression for one line.

    Raises:
        Trouble: It is empty, holds a line feed, or is not well formed.
    """
    if not pattern:
        raise Trouble("The pattern is empty.")
    if "\n" in pattern:
        raise Trouble("The pattern holds a line feed; lines are searched one by one.")
    if not is_regex and not ignores_case:
        needles = () if _REPLACEMENT in pattern else (_encoded({pattern}),)
        return Pattern(lambda line: line.find(pattern), needles if all(needles) else (), ignores_case=False)
    source = pattern if is_regex else re.escape(pattern)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expression = re.compile(source, re.IGNORECASE if ignores_case else 0)
            whole = re.compile(source, expression.flags | re.MULTILINE)
            tree = _PARSER.parse(source, expression.flags & ~re.DEBUG)
    except (re.error, OverflowError, RecursionError, ValueError) as error:
        raise Trouble(f"The regular expression is not well formed: {error}.") from None
    return _from_tree(expression, whole, tree)


def _from_tree(expression: re.Pattern[str], whole: re.Pattern[str], tree: Any) -> Pattern:
    ignores_case = bool(expression.flags & re.IGNORECASE)
    try:
        found = list(_sets(tree, ignores_case=ignores_case))
        stays = _stays_in_line(tree) and not expression.flags & re.DOTALL
    except (RecursionError, AttributeError, TypeError, ValueError):
        found, stays = [], False
    needles = [_encoded(words) for words in found if min(map(len, words)) > 1]

    def find(line: str) -> int:
        match = expression.search(line)
        return match.start() if match else -1

    usable = tuple(words for words in needles if words)
    return Pattern(find, usable, ignores_case=ignores_case, whole=whole if stays else None)


def _encoded(words: Iterable[str]) -> tuple[bytes, ...]:
    try:
        return tuple(sorted(word.encode() for word in words))
    except UnicodeEncodeError:
        return ()


def _sets(tree: Any, *, ignores_case: bool) -> Iterator[Needles]:
    """Sets of words, of each of which every match holds at least one."""
    run: list[str] = []
    for operation, argument in tree:
        name = str(operation)
        if name == "LITERAL" and _is_plain(chr(argument), ignores_case=ignores_case):
            run.append(chr(argument).lower() if ignores_case else chr(argument))
            continue
        if run:
            yield frozenset({"".join(run)})
            run = []
        yield from _inner_sets(name, argument, ignores_case=ignores_case)
    if run:
        yield frozenset({"".join(run)})


def _inner_sets(name: str, argument: Any, *, ignores_case: bool) -> Iterator[Needles]:
    if name == "SUBPATTERN" and not argument[1] and not argument[2]:
        yield from _sets(argument[3], ignores_case=ignores_case)
    elif name in _TRANSPARENT and argument[0] >= 1:
        yield from _sets(argument[2], ignores_case=ignores_case)
    elif name == "ATOMIC_GROUP":
        yield from _sets(argument, ignores_case=ignores_case)
    elif name == "BRANCH":
        yield from _branch_sets(argument[1], ignores_case=ignores_case)


def _branch_sets(branches: Any, *, ignores_case: bool) -> Iterator[Needles]:
    together: set[str] = set()
    for branch in branches:
        sets = list(_sets(branch, ignores_case=ignores_case))
        if not sets:
            return
        together |= max(sets, key=lambda words: (min(map(len, words)), -len(words), sorted(words)))
    if len(together) <= MAX_NEEDLES:
        yield frozenset(together)


def _is_plain(character: str, *, ignores_case: bool) -> bool:
    """Whether *character* stands in a matching text as it is (in lower case), in the same bytes."""
    if character in {"\n", "\r", _REPLACEMENT}:
        return False
    return character.isascii() or not ignores_case


def _stays_in_line(tree: Any) -> bool:
    """Whether no match can reach, or look, beyond a line feed."""
    return all(_step_stays(str(operation), argument) for operation, argument in tree)


def _step_stays(name: str, argument: Any) -> bool:
    if name == "AT":
        return str(argument) in _WITHIN_LINE
    if name == "IN":
        return _class_stays(argument)
    if name in _TRANSPARENT:
        return _stays_in_line(argument[2])
    if name == "SUBPATTERN":
        return not argument[1] and not argument[2] and _stays_in_line(argument[3])
    if name == "BRANCH":
        return all(_stays_in_line(branch) for branch in argument[1])
    return name == "ANY" or (name == "LITERAL" and argument != ord("\n"))


def _class_stays(items: Any) -> bool:
    """Whether a class of characters has no line feed."""
    names = [(str(operation), argument) for operation, argument in items]
    if ("NEGATE", None) in names:
        return any(_has_line_feed(name, argument) for name, argument in names)
    return not any(_has_line_feed(name, argument) for name, argument in names)


def _has_line_feed(name: str, argument: Any) -> bool:
    if name == "LITERAL":
        return bool(argument == ord("\n"))
    if name == "RANGE":
        return bool(argument[0] <= ord("\n") <= argument[1])
    return name == "CATEGORY" and str(argument) in _CROSSING
