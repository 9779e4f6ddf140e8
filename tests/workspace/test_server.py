"""The file server over an in-process pipe: what a request may look like, and that it never dies of one."""

import inspect
import io
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.agents.tools import CATALOG, TOOL_NAMES
from bot.workspace.toolhost import server as server_module
from bot.workspace.toolhost.beneath import Tree
from bot.workspace.toolhost.originals import Originals
from bot.workspace.toolhost.server import FileServer, serve


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    """A server on one file."""
    places = [tmp_path / "tree", tmp_path / "originals"]
    for place in places:
        place.mkdir()
    (places[0] / "a.txt").write_text("one\n")
    fds = [os.open(place, os.O_RDONLY | os.O_DIRECTORY) for place in places]
    yield FileServer(Tree(fds[0]), Originals(fds[1]))
    for fd in fds:
        os.close(fd)


def ask(server: FileServer, *requests: dict[str, Any]) -> list[dict[str, Any]]:
    """What the server answers to *requests*."""
    replies = io.BytesIO()
    before = signal.getsignal(signal.SIGALRM)
    serve(server, io.BytesIO(b"".join(json.dumps(request).encode() + b"\n" for request in requests)), replies)
    signal.signal(signal.SIGALRM, before)
    return [json.loads(line) for line in replies.getvalue().splitlines()]


def call(tool: str, **arguments: object) -> dict[str, Any]:
    """One request."""
    return {"op": "call", "tool": tool, "arguments": arguments}


def test_the_model_is_shown_exactly_what_the_server_can_do(server: FileServer) -> None:
    offered = {name: set(CATALOG[name].input_schema["properties"]) for name in TOOL_NAMES}
    served = {name: set(inspect.signature(tool).parameters) for name, tool in server._tools.items()}
    assert offered == served


def test_requests_are_answered_one_by_one(server: FileServer) -> None:
    written, changes, read = ask(
        server, call("write_file", path="b", content="b"), {"op": "changes"}, call("read_file", path="b")
    )
    assert written == {"text": "Created b (1 characters).", "is_error": False, "refused": False}
    assert [change["path"] for change in changes["changes"]] == ["b"]
    assert read["text"].endswith("\tb")


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (call("run_command", command="id"), "There is no tool 'run_command'."),
        (call("_run"), "There is no tool"),
        (call("read_file"), "The argument path is missing."),
        (call("read_file", path=7), "The argument path must be of type str."),
        (call("read_file", path="a.txt", offset_line=True), "must be of type int"),
        (call("read_file", path="a.txt", offset_line=1.5), "must be of type int"),
        (call("search_code", pattern="x", regex=1), "must be of type bool"),
        (call("read_file", path="a.txt", follow=True), "There is no argument 'follow'; known are path"),
        (call("git_diff", path="x"), "known are none"),
        (call("read_file", path="x" * 300), "cannot be opened: File name too long"),
        (call("write_file", path="x" * 300, content=""), "File name too long"),
    ],
)
def test_a_wrong_request_is_an_error_and_no_refusal(
    server: FileServer, request_: dict[str, Any], words: str
) -> None:
    answer = ask(server, request_)[0]
    assert words in answer["text"]
    assert (answer["is_error"], answer["refused"]) == (True, False)


def test_a_refusal_is_marked(server: FileServer) -> None:
    answers = ask(
        server, call("read_file", path="/etc/passwd"), call("write_file", path=".github/x", content="")
    )
    assert [(answer["is_error"], answer["refused"]) for answer in answers] == [(True, True)] * 2


def test_all_refused_paths_get_the_same_sentence(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "tree" / "link").symlink_to("/proc/self/environ")
    (tmp_path / "tree" / "dir").symlink_to("/")
    paths = ["/proc/self/environ", "/proc/1/environ", "../../proc/self/environ", "link", "dir/etc/passwd"]
    paths += ["file:///etc/passwd", "a\0b", ".git/config", ".GIT/hooks/x", "git~1/x", ".g\u200cit/config"]
    answers = ask(server, *(call("read_file", path=path) for path in paths))
    assert {(answer["text"], answer["refused"]) for answer in answers} == {(answers[0]["text"], True)}


@pytest.mark.parametrize(
    "line", [b"no json\n", b"[]\n", b'{"op": "call"}\n', b'{"op": "call", "tool": []}\n']
)
def test_a_broken_line_is_answered_too(server: FileServer, line: bytes) -> None:
    replies = io.BytesIO()
    serve(server, io.BytesIO(line), replies)
    assert json.loads(replies.getvalue())["text"].startswith("The tool failed: ")


def test_a_regular_expression_that_explodes_is_stopped(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "tree" / "evil").write_text("a" * 60 + "!\n")
    server.tool_seconds = 0.2
    stopped, alive = ask(server, call("search_code", pattern="(a+)+$", regex=True), call("git_diff"))
    assert stopped["text"] == "The tool was stopped after 0.2 seconds; ask for less at once."
    assert alive["text"] == "Nothing is changed."


def test_a_full_disk_is_an_error_in_words(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(server._tools, "git_diff", full)
    monkeypatch.setattr(server_module, "checked", lambda _tool, arguments: arguments)
    assert ask(server, call("git_diff"))[0]["text"] == "The file system refused it: No space left on device."
