"""The file server: one JSON line in, one tool run, one JSON line out."""

import inspect
import json
import signal
from collections.abc import Callable
from typing import Any, BinaryIO, TypeAlias

from bot.workspace.toolhost import reading
from bot.workspace.toolhost.beneath import Tree, Trouble
from bot.workspace.toolhost.changing import Editor
from bot.workspace.toolhost.originals import Originals
from bot.workspace.toolhost.paths import RefusedPath
from bot.workspace.toolhost.reply import Reply

TOOL_SECONDS = 20
"""A tool that runs longer (a regular expression that explodes) is stopped with an error."""

Tool: TypeAlias = Callable[..., str]


class FileServer:
    """The file tools of one tree, by name."""

    def __init__(self, tree: Tree, originals: Originals) -> None:
        """Serve *tree*; what is touched is kept in *originals*."""
        self.editor = Editor(tree, originals)
        self._tree = tree
        lookers: list[Tool] = [
            reading.read_file,
            reading.list_directory,
            reading.search_files,
            reading.search_code,
        ]
        changers: list[Tool] = [
            self.editor.edit_file,
            self.editor.write_file,
            self.editor.delete_file,
            self.editor.git_diff,
        ]
        self._lookers = {tool.__name__: tool for tool in lookers}
        self._changers = {tool.__name__: tool for tool in changers}

    def call(self, name: str, arguments: dict[str, Any]) -> Reply:
        """Run the tool *name*; whatever goes wrong with the request is a reply."""
        try:
            if name in self._lookers:
                tool = self._lookers[name]
                return Reply(tool(self._tree, **checked(tool, arguments)))
            if name in self._changers:
                tool = self._changers[name]
                return Reply(tool(**checked(tool, arguments)))
        except RefusedPath as error:
            return Reply(str(error), is_error=True, refused=True)
        except Trouble as error:
            return Reply(str(error), is_error=True)
        except OSError as error:
            return Reply(f"The file system refused it: {error.strerror}.", is_error=True)
        return Reply(f"There is no tool {name!r}.", is_error=True)


def checked(tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
    """*arguments* when they fit the parameters of *tool*.

    Raises:
        Trouble: One is unknown, missing, or of another type.
    """
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(tool).parameters.items()
        if parameter.annotation in {str, int, bool}
    }
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


def serve(server: FileServer, requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer the lines of *requests* until they end."""
    signal.signal(signal.SIGALRM, _stop_tool)
    for line in requests:
        answer = json.dumps(_answer(server, json.loads(line)))
        replies.write(answer.encode() + b"\n")
        replies.flush()


def _answer(server: FileServer, request: dict[str, Any]) -> dict[str, Any]:
    if request["op"] == "changes":
        return {"changes": server.editor.changes()}
    signal.alarm(TOOL_SECONDS)
    try:
        reply = server.call(request["tool"], request["arguments"])
    finally:
        signal.alarm(0)
    return {"text": reply.text, "is_error": reply.is_error, "refused": reply.refused}


def _stop_tool(_signal: int, _frame: object) -> None:
    raise Trouble(f"The tool was stopped after {TOOL_SECONDS} seconds; ask for less at once.")
