"""Reads `.github/issuewright.yml` of the default branch: a closed schema, no URLs, no surprises."""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import chain

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from bot.domain.globs import glob_pattern
from bot.domain.values import RepositoryConfig

MAX_BYTES = 65_536
MAX_COMMANDS = 10
MAX_COMMAND_CHARS = 500
MAX_EXCLUDED = 50
MAX_GLOB_CHARS = 200
_MAX_EVENTS = 4_000
_MAX_DEPTH = 12
_MAX_PROBLEMS = 20
_MAX_SHOWN_CHARS = 80
_URL = re.compile(r"(?:https?|ftps?|ssh|git|wss?)://", re.IGNORECASE)
# Keys that belong to the file and are read elsewhere, or later; they are no mistake.
LATER_KEYS = frozenset({"bots", "labels", "limits", "prefix", "publish", "review", "roles", "triage"})
_TEXT = "tag:yaml.org,2002:str"
_NOTHING = "tag:yaml.org,2002:null"


class _Refused(Exception):
    """The file is not used at all; says why."""


def parse(text: bytes | None) -> RepositoryConfig:
    """Read the file; None is a repository without one. Never raises.

    Each mistake becomes one line in `problems`; what is faulty falls back to its default (for
    `verify` and `prepare` as a whole, since half of one would mislead), the rest stands: of `exclude`
    each glob that can be read.
    """
    if text is None:
        return RepositoryConfig()
    try:
        root = _compose(text)
    except _Refused as refused:
        return RepositoryConfig(problems=(str(refused),))
    if root is None:
        return RepositoryConfig()
    seen, problems = _read(root)
    values = {name: _value(name, node, problems) for name, node in seen.items() if name in _READERS}
    return RepositoryConfig(**values, problems=tuple(problems[:_MAX_PROBLEMS]))


def _compose(raw: bytes) -> MappingNode | None:
    """The file's nodes; nothing is constructed, so no tag can do anything."""
    if len(raw) > MAX_BYTES:
        raise _Refused(f"the file is larger than {MAX_BYTES} bytes")
    try:
        text = raw.decode("utf-8-sig")
        _guard(text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except UnicodeDecodeError:
        raise _Refused("the file is not UTF-8 text") from None
    except yaml.YAMLError as error:
        raise _Refused(_in_words(error)) from None
    if root is None or root.tag == _NOTHING:
        return None
    if not isinstance(root, MappingNode):
        raise _Refused("the file must hold keys and values, such as `verify: make test`")
    return root


def _guard(text: str) -> None:
    """Refuse aliases, tags, deep nesting and a flood of values, before anything is built."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None):
            raise _Refused("aliases (`*name`) and tags (`!name`) are not allowed")
        if depth > _MAX_DEPTH or count > _MAX_EVENTS:
            raise _Refused("the file is nested too deeply, or holds too many values")


def _in_words(error: yaml.YAMLError) -> str:
    """What the YAML reader found wrong, in one line."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return "the file holds characters that YAML does not allow"
    return f"line {error.problem_mark.line + 1}: {_shown(error.problem or 'no YAML')}"


def _read(root: MappingNode) -> tuple[dict[str, Node], list[str]]:
    """The first node of each known key, and the problems of the top level."""
    problems: list[str] = []
    seen: dict[str, Node] = {}
    for key, value in root.value:
        name = key.value if isinstance(key, ScalarNode) else ""
        if name not in _READERS and any(_URL.search(scalar.value) for scalar in _scalars(value)):
            problems.append(f"{_line(key)}: URLs are not allowed")
        if name not in _READERS and name not in LATER_KEYS:
            problems.append(f"{_line(key)}: unknown key `{_shown(name)}`")
        elif name in seen:
            problems.append(f"{_line(key)}: `{name}` stands there twice; the first one counts")
        else:
            seen[name] = value
    return seen, problems


def _value(name: str, node: Node, problems: list[str]) -> tuple[str, ...]:
    """What *node* says for *name*; what is wrong with it joins *problems*."""
    try:
        return _READERS[name](name, node, problems)
    except _Refused as refused:
        problems.append(str(refused))
        return ()


def _items(name: str, node: Node, most: int, kind: str) -> list[Node]:
    """One value, or a list of at most *most*."""
    if node.tag == _NOTHING:
        return []
    items = list(node.value) if isinstance(node, SequenceNode) else [node]
    if len(items) > most:
        raise _Refused(f"{_line(node)}: `{name}` may hold at most {most} {kind}")
    return items


def _commands(name: str, node: Node, _problems: list[str]) -> tuple[str, ...]:
    """`verify`, `prepare`: one command, or a list of at most `MAX_COMMANDS`."""
    return tuple(_command(name, item) for item in _items(name, node, MAX_COMMANDS, "commands"))


def _command(name: str, node: Node) -> str:
    """One command: text in one line."""
    command = _text(node, f"a `{name}` command")
    if not command or len(command) > MAX_COMMAND_CHARS:
        raise _Refused(f"{_line(node)}: a `{name}` command must have 1 to {MAX_COMMAND_CHARS} characters")
    if any(not (char.isprintable() or char == "\t") for char in command):
        raise _Refused(f"{_line(node)}: a `{name}` command must be one line; use a list for several")
    if _URL.search(command):
        raise _Refused(f"{_line(node)}: URLs are not allowed; a `{name}` command has no network")
    return command


def _globs(name: str, node: Node, problems: list[str]) -> tuple[str, ...]:
    """`exclude`: one glob, or a list of at most `MAX_EXCLUDED`; a faulty one alone falls away."""
    globs: list[str] = []
    items = _items(name, node, _MAX_EVENTS, "globs")
    if len(items) > MAX_EXCLUDED:
        problems.append(
            f"{_line(node)}: `{name}` may hold at most {MAX_EXCLUDED} globs; the first ones count"
        )
    for item in items[:MAX_EXCLUDED]:
        try:
            globs.append(_glob(name, item))
        except _Refused as refused:
            problems.append(str(refused))
    return tuple(globs)


def _glob(name: str, node: Node) -> str:
    """One glob of relative paths."""
    glob = _text(node, f"a glob of `{name}`")
    if not glob.strip("/") or len(glob) > MAX_GLOB_CHARS or not glob.isprintable():
        raise _Refused(
            f"{_line(node)}: a glob of `{name}` must have 1 to {MAX_GLOB_CHARS} printable characters"
        )
    if glob.startswith("!") or ".." in glob.split("/"):
        raise _Refused(f"{_line(node)}: a glob of `{name}` must not begin with `!` or hold `..`")
    try:
        glob_pattern(glob.casefold())
    except ValueError:
        raise _Refused(f"{_line(node)}: a glob of `{name}` is not well formed") from None
    return glob


def _text(node: Node, what: str) -> str:
    if not isinstance(node, ScalarNode) or node.tag != _TEXT:
        raise _Refused(f"{_line(node)}: {what} must be text; put it in quotes")
    return str(node.value).strip()


_READERS: Mapping[str, Callable[[str, Node, list[str]], tuple[str, ...]]] = {
    "verify": _commands,
    "prepare": _commands,
    "exclude": _globs,
}


def _scalars(node: Node) -> Iterator[ScalarNode]:
    """Every scalar in *node* (at most `_MAX_DEPTH` levels)."""
    if isinstance(node, ScalarNode):
        yield node
        return
    parts = chain.from_iterable(node.value) if isinstance(node, MappingNode) else node.value
    yield from chain.from_iterable(_scalars(part) for part in parts)


def _line(node: Node) -> str:
    """Where *node* stands, for people."""
    return f"line {node.start_mark.line + 1}"


def _shown(name: str) -> str:
    """Somebody's words as they may be shown: short, printable, without back-ticks."""
    return "".join(char for char in name[:_MAX_SHOWN_CHARS].replace("`", "'") if char.isprintable())
