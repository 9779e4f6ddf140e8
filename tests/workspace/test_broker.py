"""The broker and its file server over in-process pipes."""

import io
import json
import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.workspace.host import ERRANDS
from bot.workspace.sandbox import Launcher, find_bwrap
from bot.workspace.toolhost import verification
from bot.workspace.toolhost.broker import Options, Pipes, be_file_server, masked, serve
from bot.workspace.toolhost.confine import Confinement
from bot.workspace.toolhost.errands import Errands
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
    return Options(fds[0], fds[1], -1, -1, tmp_path, Launcher("/bin/false"))


def heard(options: Options, *requests: dict[str, Any]) -> list[dict[str, Any]]:
    """What the broker answers to *requests*."""
    replies = io.BytesIO()
    serve(options, Pipes(lines(*requests), replies))
    return said(replies)


def test_the_worker_asks_the_broker_for_what_it_answers_and_the_file_server_for_the_rest(
    options: Options,
) -> None:
    with closing(Errands(options.launcher, options.job)) as errands:
        assert errands._by_name.keys() == ERRANDS | {"configure"}


def test_what_is_excluded_is_told_to_the_broker_too(options: Options) -> None:
    good, bad = ({"op": "configure", "options": {"exclude": [glob]}} for glob in ("*.pem", "[z-a]"))
    taken, refused = heard(options, good, bad)
    assert taken == {}
    assert "not well formed" in refused["failed"]


def test_verify_says_when_the_sandbox_is_broken(options: Options) -> None:
    request = {
        "op": "verify",
        "command": "true",
        "timeout_seconds": 5,
        "at_base": False,
        "as_before": [],
        "as_shown": False,
    }
    (answer,) = heard(options, request)
    assert (answer["tier"], answer["exit_code"]) == ("none", None)
    assert "could not start the command" in answer["reason"]
    assert not list(options.job.glob("scratch-*"))


def test_a_launcher_that_is_not_there_is_a_failure_in_words(options: Options) -> None:
    gone = replace(options, launcher=Launcher("/nonexistent/bwrap"))
    request = {
        "op": "verify",
        "command": "true",
        "timeout_seconds": 5,
        "at_base": False,
        "as_before": [],
        "as_shown": False,
    }
    assert "FileNotFoundError" in heard(gone, request)[0]["failed"]


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


def test_options_are_six_words_and_the_toolchains() -> None:
    assert Options.parse(["3", "4", "5", "6", "/job", "-"]) == Options(
        3, 4, 5, 6, Path("/job"), Launcher("-")
    )
    launcher = Launcher("/bwrap", ("/opt/go", "/opt/node"))
    words = ["3", "4", "5", "6", "/job", "/bwrap", "/opt/go", "/opt/node"]
    assert Options.parse(words) == Options(3, 4, 5, 6, Path("/job"), launcher)


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
