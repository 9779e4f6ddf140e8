"""The broker over in-process pipes: what it passes on, and what it answers itself."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from bot.workspace.sandbox import Launcher, find_bwrap
from bot.workspace.toolhost import verification
from bot.workspace.toolhost.broker import Options, Pipes, be_file_server, masked, serve
from bot.workspace.toolhost.confine import Confinement
from bot.workspace.toolhost.verification import Scratch


def lines(*messages: dict[str, Any]) -> io.BytesIO:
    """A pipe that holds *messages*."""
    return io.BytesIO(b"".join(json.dumps(message).encode() + b"\n" for message in messages))


def said(pipe: io.BytesIO) -> list[dict[str, Any]]:
    """What was written to *pipe*."""
    return [json.loads(line) for line in pipe.getvalue().splitlines()]


@pytest.fixture
def options(tmp_path: Path) -> Options:
    """A job with an empty tree, and no working sandbox."""
    for name in ("tree", "originals"):
        (tmp_path / name).mkdir()
    fds = [os.open(tmp_path / name, os.O_RDONLY | os.O_DIRECTORY) for name in ("tree", "originals")]
    return Options(fds[0], fds[1], tmp_path, Launcher("/bin/false"))


def exchange(options: Options, requests: io.BytesIO, replies: io.BytesIO) -> tuple[int, list[Any], list[Any]]:
    """Exit code, what the worker heard, what the child was asked."""
    heard, asked = io.BytesIO(), io.BytesIO()
    code = serve(options, Pipes(requests, heard), Pipes(asked, replies))
    return code, said(heard), said(asked)


def test_file_requests_go_to_the_child_and_answers_come_back(options: Options) -> None:
    request = {"op": "changes"}
    code, heard, asked = exchange(options, lines(request), lines({"ready": True}, {"changes": []}))
    assert (code, heard, asked) == (0, [{"ready": True}, {"changes": []}], [request])


def test_the_broker_ends_with_its_child(options: Options) -> None:
    assert exchange(options, lines(), lines())[0] == 1
    assert exchange(options, lines({"op": "changes"}), lines({"ready": True}))[0] == 1


def test_verify_never_reaches_the_child_and_says_when_the_sandbox_is_broken(options: Options) -> None:
    request = {
        "op": "verify",
        "command": "true",
        "timeout_seconds": 5,
        "at_base": False,
        "as_before": [],
        "as_shown": False,
    }
    code, heard, asked = exchange(options, lines(request), lines({"ready": True}))
    assert (code, asked) == (0, [])
    assert (heard[1]["tier"], heard[1]["exit_code"]) == ("none", None)
    assert "could not start the command" in heard[1]["reason"]
    assert not list(options.job.glob("scratch-*"))


def test_a_launcher_that_is_not_there_is_a_failure_in_words(options: Options) -> None:
    gone = Options(options.tree_fd, options.originals_fd, options.job, Launcher("/nonexistent/bwrap"))
    request = {
        "op": "verify",
        "command": "true",
        "timeout_seconds": 5,
        "at_base": False,
        "as_before": [],
        "as_shown": False,
    }
    assert "FileNotFoundError" in exchange(gone, lines(request), lines({}))[1][1]["failed"]


def test_a_command_with_a_nul_does_not_run(options: Options) -> None:
    assert verification.verify(Launcher("/bin/false"), Scratch(options.job), "a\0b", 5)["tier"] == "none"


def test_the_child_says_how_it_is_held_and_serves(options: Options) -> None:
    replies = io.BytesIO()
    request = {"op": "call", "tool": "git_diff", "arguments": {}}
    code = be_file_server(
        options, Pipes(lines(request), replies), lambda: Confinement(7, has_own_network=True)
    )
    ready, answer = said(replies)
    assert code == 0
    assert (ready["uid"], ready["has_own_network"]) == (7, True)
    assert answer["text"] == "Nothing is changed."


def test_a_child_that_cannot_be_held_does_not_serve(options: Options) -> None:
    def fail() -> Confinement:
        raise OSError(1, "prctl 22: Operation not permitted")

    replies = io.BytesIO()
    assert be_file_server(options, Pipes(lines({"op": "changes"}), replies), fail) == 1
    assert "Operation not permitted" in said(replies)[0]["failed"]


def test_options_are_four_words_and_the_toolchains() -> None:
    assert Options.parse(["3", "4", "/job", "-"]) == Options(3, 4, Path("/job"), Launcher("-"))
    launcher = Launcher("/bwrap", ("/opt/go", "/opt/node"))
    words = ["3", "4", "/job", "/bwrap", "/opt/go", "/opt/node"]
    assert Options.parse(words) == Options(3, 4, Path("/job"), launcher)


@pytest.mark.skipif(find_bwrap() is None, reason="no bubblewrap here")
def test_a_verification_runs_in_this_process_too(options: Options) -> None:
    (options.job / "tree").chmod(0o777)
    record = verification.verify(Launcher(str(find_bwrap())), Scratch(options.job), "exit 7", 20)
    assert (record["exit_code"], record["tier"], record["reason"]) == (7, "sandbox", "")


def test_what_commands_have_said_is_masked_wherever_it_stands() -> None:
    secret = "ghp_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC2"
    record = {"output": f"a {secret} b", "exit_code": 0, "reason": ""}
    answer = {"text": secret, "failed": f"no {secret}", "is_error": False, "records": [record]}
    assert masked(answer) == {
        "text": "[secret: GitHub token]",
        "failed": "no [secret: GitHub token]",
        "is_error": False,
        "records": [{"output": "a [secret: GitHub token] b", "exit_code": 0, "reason": ""}],
    }
    assert masked({"exit_code": None}) == {"exit_code": None}
