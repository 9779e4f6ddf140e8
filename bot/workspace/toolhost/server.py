"""The file server: one JSON line in, one tool run, one JSON line out."""

import inspect
import json
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any, BinaryIO, TypeAlias

from bot.domain import masks
from bot.domain.paths import RefusedPath
from bot.workspace.toolhost.beneath import Tree, Trouble
from bot.workspace.toolhost.changing import Editor
from bot.workspace.toolhost.corpus import Corpus
from bot.workspace.toolhost.finding import Finder
from bot.workspace.toolhost.globs import Exclusion
from bot.workspace.toolhost.guidance import MODES, OFF, Guidance
from bot.workspace.toolhost.originals import Originals
from bot.workspace.toolhost.outline import Outliner
from bot.workspace.toolhost.reading import Looker
from bot.workspace.toolhost.reply import Reply
from bot.workspace.toolhost.survey import survey

TOOL_SECONDS = 20.0
"""A tool that runs longer (a regular expression that explodes) is stopped with an error."""

MAX_KNOWN_TOOLS = 32

Tool: TypeAlias = Callable[..., str]


class OutOfTime(Exception):
    """The running tool took too long; no tool catches it."""


class FileServer:
    """The file tools of one tree, by name."""

    def __init__(self, tree: Tree, originals: Originals, tool_seconds: float = TOOL_SECONDS) -> None:
        """Serve *tree*; what is touched is kept in *originals*; a call may take *tool_seconds*."""
        self.tool_seconds = tool_seconds
        self.editor = Editor(tree, originals)
        self._tree = tree
        self._originals = originals
        self._corpus = Corpus(tree)
        self._guidance = Guidance(tree, originals)
        looker = Looker(tree)
        tools: tuple[Tool, ...] = (
            looker.read_file,
            looker.list_directory,
            looker.search_files,
            Finder(tree, self._corpus).search_code,
            Outliner(tree, self._corpus).outline,
            self.editor.edit_file,
            self.editor.write_file,
            self.editor.delete_file,
            self.editor.git_diff,
        )
        self._tools = {tool.__name__: tool for tool in tools}

    def configure(self, *, exclude: Sequence[str] = (), guidance: str = OFF) -> None:
        """Hide the paths that *exclude* covers, and speak for directories as *guidance* says.

        Raises:
            Trouble: A glob is not well formed, or there is no such way of guidance; nothing is changed.
        """
        if guidance not in MODES:
            raise Trouble(f"There is no guidance {guidance!r}.")
        self._tree.hides = Exclusion(exclude)
        self._corpus.forget()
        self._guidance = Guidance(self._tree, self._originals, guidance)

    def survey(self, max_chars: int) -> str:
        """The map of the repository in at most *max_chars* characters."""
        return survey(self._corpus, max_chars)

    def call(self, name: str, arguments: dict[str, Any]) -> Reply:
        """Run the tool *name*; whatever goes wrong with the request is a reply, and no secret is in one."""
        reply = self._replied(name, arguments)
        text = masks.mask(reply.text)[0]
        text += "" if reply.is_error else self._guidance.about(name, arguments)
        return Reply(text, reply.is_error, reply.refused)

    def _replied(self, name: str, arguments: dict[str, Any]) -> Reply:
        try:
            return Reply(self._run(name, arguments))
        except RefusedPath as error:
            return Reply(str(error), is_error=True, refused=True)
        except Trouble as error:
            return Reply(str(error), is_error=True)
        except OutOfTime:
            sentence = f"The tool was stopped after {self.tool_seconds:g} seconds; ask for less at once."
            return Reply(sentence, is_error=True)
        except OSError as error:
            return Reply(f"The file system refused it: {error.strerror}.", is_error=True)

    def _run(self, name: str, arguments: dict[str, Any]) -> str:
        if name not in self._tools:
            raise Trouble(f"There is no tool {name!r}.")
        tool = self._tools[name]
        return tool(**checked(tool, arguments))


def checked(tool: Callable[..., object], arguments: dict[str, Any]) -> dict[str, Any]:
    """*arguments* when they fit the parameters of *tool*.

    Raises:
        Trouble: One is unknown, missing, or of another type.
    """
    parameters = _parameters(tool)
    for name, value in arguments.items():
        if name not in parameters:
            raise Trouble(f"There is no argument {name!r}; known are {', '.join(parameters) or 'none'}.")
        expected = parameters[name].annotation
        if type(value) is not expected:
            raise Trouble(f"The argument {name} must be of type {expected.__name__}.")
    missing = [n for n, p in parameters.items() if p.default is p.empty and n not in arguments]
    if missing:
        raise Trouble(f"The argument {missing[0]} is missing.")
    return arguments


@lru_cache(MAX_KNOWN_TOOLS)
def _parameters(tool: Callable[..., object]) -> Mapping[str, inspect.Parameter]:
    """What *tool* takes; to look is more work than to list a directory."""
    return inspect.signature(tool).parameters


def serve(server: FileServer, requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer the lines of *requests* until they end; a fault in a tool is an answer too."""
    signal.signal(signal.SIGALRM, _stop_tool)
    for line in requests:
        try:
            answer = _answer(server, json.loads(line))
        except Exception as error:
            answer = asdict(Reply(f"The tool failed: {type(error).__name__}.", is_error=True))
        replies.write(json.dumps(answer).encode() + b"\n")
        replies.flush()


def _answer(server: FileServer, request: dict[str, Any]) -> dict[str, Any]:
    if request["op"] == "changes":
        return {"changes": server.editor.changes()}
    if request["op"] == "configure":
        return _configured(server, request["options"])
    signal.setitimer(signal.ITIMER_REAL, server.tool_seconds)
    try:
        if request["op"] == "map":
            return _surveyed(server, request["max_chars"])
        return asdict(server.call(request["tool"], request["arguments"]))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _configured(server: FileServer, options: dict[str, Any]) -> dict[str, Any]:
    """Empty when it is done; `failed` says why it is not, and then nothing may be served."""
    try:
        server.configure(**options)
    except (Trouble, TypeError) as error:
        return {"failed": str(error)}
    return {}


def _surveyed(server: FileServer, max_chars: int) -> dict[str, Any]:
    """`text`: the map, or nothing when the tree is too large to make one in time."""
    try:
        return {"text": server.survey(max_chars)}
    except (OutOfTime, Trouble, OSError):
        return {"text": ""}


def _stop_tool(_signal: int, _frame: object) -> None:
    raise OutOfTime
