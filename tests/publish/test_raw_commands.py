"""Bots that read a comment's text, and not its Markdown, find no command in our blocks of code either."""

import pytest

from bot.publish.sanitize import sanitize
from tests.system.inertness import acting, commands_for_bots

COMMANDS = ["/approve", "/lgtm cancel", "bors r+", "bors: merge", "@dependabot merge", "@Bors r+", "/merge"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("frame", ["```\n{}\n```", "~~~text\nx\n{}", "<b>\n```\n{}\n```", "{}"])
def test_a_command_never_stands_at_the_start_of_a_line(command: str, frame: str) -> None:
    written = sanitize(frame.format(command)).text
    assert commands_for_bots(written) == []
    assert acting(written) == []
    assert command.split(maxsplit=1)[0].lstrip("@") in written
    assert sanitize(written).text == written


@pytest.mark.parametrize(
    "line", ["/usr/bin/python3", "@dataclass", "borscht", "/* a comment */", "//", "@pytest"]
)
def test_other_lines_of_code_stay_as_they_are(line: str) -> None:
    text = f"```\n{line}\n```"
    assert sanitize(text).text == text
