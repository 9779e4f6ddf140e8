"""What a failed fetch means for the job."""

import re
import signal

from bot.errors import Forbidden, NotFound, Permanent, RetryLater, Unauthorized
from bot.workspace.git import GitOutput

_STATUS = re.compile(r"requested URL returned error: (\d{3})")
_TOO_LARGE_A_FILE = f"signal {signal.SIGXFSZ.value}"


def explained(output: GitOutput, sha: str) -> Permanent | RetryLater:
    """The error that fits what git said about the fetch of the commit *sha*."""
    said = output.stderr
    found = _STATUS.search(said)
    status = found.group(1) if found else ""
    gone = NotFound("the repository is not there, or not for us (404)")
    rejected = Unauthorized("the server did not accept the read token (401)")
    moved = NotFound("the repository has moved to another name")
    verdicts: tuple[tuple[str, Permanent], ...] = (
        ("' not found", gone),
        ("could not read Username", rejected),
        ("Authentication failed", rejected),
        ("redirect", moved),
        ("not our ref", Permanent(f"the commit {sha} is not in the repository any more")),
        ("remote ref", Permanent(f"the commit {sha} is not in the repository any more")),
    )
    by_status = {
        "401": rejected,
        "403": Forbidden("the read token may not fetch this repository (403)"),
        "301": moved,
        "302": moved,
        "307": moved,
        "308": moved,
        "404": gone,
        "410": gone,
        "451": gone,
    }
    for words, error in verdicts:
        if words in said:
            return error
    return by_status.get(status) or RetryLater(f"the fetch failed: {last_line(said)}")


def is_too_large(output: GitOutput) -> bool:
    """Whether git was stopped because a file of its grew beyond what it may write."""
    return _TOO_LARGE_A_FILE in output.stderr


def last_line(text: str) -> str:
    """What git said last, for the words of an error."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no word from git"
