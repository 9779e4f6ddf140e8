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
from bot.workspace.toolhost.beneath import EXCLUDED, Tree
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
    served = {name: set(inspect.signature(tool).parameters) for name, tool in server._tools.items()}
    offered = {name: set(CATALOG[name].input_schema["properties"]) for name in served}
    assert offered == served
    assert served.keys() <= TOOL_NAMES


def test_requests_are_answered_one_by_one(server: FileServer) -> None:
    written, changes, read = ask(
        server, call("write_file", path="b", content="b"), {"op": "changes"}, call("read_file", path="b")
    )
    text = "Created b (1 characters)."
    assert written == {"text": text, "is_error": False, "refused": False}
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
        (call("git_diff", path="x"), "known are skip"),
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


def test_what_is_excluded_is_hidden_from_every_tool(server: FileServer, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for path in ("Private/deep/key.py", "open/x.pem", "open/y.py"):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text("def needle(): ...\n")
    (tree / "way").symlink_to("Private")
    assert ask(server, {"op": "configure", "options": {"exclude": ["/private/", "*.PEM"]}}) == [{}]
    direct = [
        *(
            call("read_file", path=path)
            for path in ("Private/deep/key.py", "private/x", "./open//x.pem", "open/X.PEM")
        ),
        *(call("list_directory", path="Private"), call("search_code", pattern="x", path="Private/deep")),
        *(call("outline", path="open/x.pem"), call("search_files", pattern="*", path="Private")),
        *(call("write_file", path="private/new", content=""), call("delete_file", path="open/x.pem")),
        call("edit_file", path="Private/deep/key.py", old="n", new="m"),
    ]
    answers = ask(server, *direct)
    assert {(answer["text"], answer["refused"]) for answer in answers} == {(EXCLUDED, True)}
    assert ask(server, call("read_file", path="way/deep/key.py"))[0]["refused"]
    wide = [call("list_directory", depth=9), call("search_files", pattern="*"), call("outline")]
    wide += [call("search_code", pattern="needle"), {"op": "map", "max_chars": 9_000}]
    shown = [answer["text"] for answer in ask(server, *wide)]
    assert not [text for text in shown if "key.py" in text or "pem" in text]
    assert sum("open/y.py" in text for text in shown) == 4


@pytest.mark.parametrize(
    "options", [{"exclude": ["[z-a]"]}, {"guidance": "yes"}, {"exclude": 7}, {"unknown": 1}]
)
def test_options_that_are_not_understood_are_no_options(server: FileServer, options: dict[str, Any]) -> None:
    assert ask(server, {"op": "configure", "options": options})[0]["failed"]


def test_secrets_are_masked_and_counted_and_a_mask_is_never_written(
    server: FileServer, tmp_path: Path
) -> None:
    secret = "ghp_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC2"
    (tmp_path / "tree" / "conf").write_text(f"a = 1\ntoken = '{secret}'\n")
    (tmp_path / "tree" / ".env").write_text("KEY=hunter2\n")
    mask = "[secret: GitHub token]"
    read, env, old, new, whole, beside, diff = ask(
        server,
        call("read_file", path="conf"),
        call("read_file", path=".env"),
        call("edit_file", path="conf", old=f"token = '{mask}'", new="token = ''"),
        call("edit_file", path="conf", old="a = 1", new=f"a = '{mask}'"),
        call("write_file", path="conf", content=f"token = '{mask}'\n"),
        call("edit_file", path="conf", old="a = 1", new="a = 2"),
        call("git_diff"),
    )
    assert read["text"].endswith(f"     2\ttoken = '{mask}'")
    assert env["text"].endswith("KEY=[secret: value]")
    assert [answer["is_error"] for answer in (old, new, whole, beside)] == [True, True, True, False]
    assert "is not in the file: the tools show it where a secret stands" in old["text"]
    assert mask in diff["text"]
    assert secret not in str([read, old, new, whole, beside, diff])
    assert secret in (tmp_path / "tree" / "conf").read_text()
    told = ask(server, call("read_file", path=f"no/{secret}"))[0]
    assert (told["text"].count(mask), secret in told["text"]) == (1, False)


def test_a_mask_that_the_file_itself_holds_is_text_like_any_other(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "tree" / "doc").write_text("shows [secret: value] there\n")
    edit = call("edit_file", path="doc", old="shows [secret: value]", new="hides [secret: value]")
    assert ask(server, edit)[0]["is_error"] is False
