"""What a failed fetch means for the job, and which verdicts are remembered."""

import json
import re
import signal
from pathlib import Path

from bot.domain.enums import Cause
from bot.errors import Forbidden, NotFound, Permanent, RetryLater, Unauthorized
from bot.workspace.git import GitOutput

_STATUS = re.compile(r"requested URL returned error: (\d{3})")
REMEMBERED_SECONDS = 86_400.0
MAX_REMEMBERED = 100
_TOO_LARGE_A_FILE = f"signal {signal.SIGXFSZ.value}"


class MirrorBroken(RetryLater):
    """What came out of a mirror is not what should be in it: it must be thrown away."""

    def __init__(self, words: str) -> None:
        """Say *words*."""
        super().__init__(words, cause=Cause.SANDBOX_ERROR)


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


def refuses_filter(output: GitOutput) -> bool:
    """Whether the server knows filters, but not the one that was asked for.

    https://github.com/git/git/blob/v2.39.0/upload-pack.c#L1015: "filter '%s' not supported".
    """
    return re.search(r"filter '[^']*' not supported", output.stderr) is not None


def last_line(text: str, otherwise: str = "no word from git") -> str:
    """What git said last, for the words of an error."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else otherwise


class TooBigBefore:
    """The commits of one repository that were too big, so that they are not fetched again for a day."""

    def __init__(self, path: Path) -> None:
        """Keep them in the file *path*; one that cannot be read remembers nothing."""
        self._path = path

    def holds(self, sha: str, now_seconds: float) -> bool:
        """Whether *sha* was too big less than `REMEMBERED_SECONDS` ago."""
        return sha in self._known(now_seconds)

    def add(self, sha: str, now_seconds: float) -> None:
        """Remember *sha* from now on; what is forgotten, or too much, is left out. Whole or not at all."""
        known = {**self._known(now_seconds), sha: now_seconds}
        kept = sorted(known.items(), key=lambda item: item[1])[-MAX_REMEMBERED:]
        draft = self._path.with_name(f"{self._path.name}.new")
        draft.write_text(json.dumps(dict(kept)), "ascii")
        draft.rename(self._path)

    def _known(self, now_seconds: float) -> dict[str, float]:
        try:
            found = json.loads(self._path.read_text("ascii"))
            return {sha: at for sha, at in found.items() if 0 <= now_seconds - float(at) < REMEMBERED_SECONDS}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}
