"""The commits that lead to a state, from the mirror alone: for reading, as text that strangers wrote."""

import unicodedata

from bot.domain import masks
from bot.domain.paths import RefusedPath, split
from bot.domain.values import Json, ToolResult
from bot.errors import RetryLater
from bot.workspace.git import Git, TooMuchOutput
from bot.workspace.mirror import Mirror
from bot.workspace.remote import checked_sha
from bot.workspace.toolhost.beneath import EXCLUDED, Hides

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
LOG_TIMEOUT_SECONDS = 20.0
MAX_SUBJECT_CHARS = 200
MAX_AUTHOR_CHARS = 60
MAX_LOG_BYTES = 4 * 1024 * 1024
_FORMAT = "%h%x00%aI%x00%an%x00%s"
_FIELDS = 4

NOT_HERE = (
    "The history is not here: only the newest commit was fetched (the server does not leave out contents, "
    "or the history is too big). Go on without it."
)
GONE = "The history is not here any more. Go on without it."
TOO_LONG = "The history took too long to search; name a path that changes less often, or a smaller limit."


async def log(git: Git, mirror: Mirror, sha: str, *, path: str | None, limit: int) -> str:
    """One line for each of the newest *limit* commits up to *sha*: hash, date, author in quotes, subject.

    With *path*, only those that changed it. Nothing is fetched; what is not here is said in words.

    Raises:
        RefusedPath: *path* is none that tools may name.
    """
    parts = () if path is None else split(path)
    if not mirror.path.exists():
        return GONE
    if not mirror.has_history:
        return NOT_HERE
    words = mirror.local(
        "--no-pager", "--literal-pathspecs", "log", "-z", "--no-color", "--no-decorate", "--no-ext-diff",
        "--no-textconv", "--no-show-signature", "--no-mailmap", "--no-notes", "--encoding=UTF-8",
        f"--max-count={min(max(limit, 1), MAX_LIMIT)}", f"--format=tformat:{_FORMAT}",
        checked_sha(sha), "--", *(["/".join(parts)] if parts else []),
    )  # fmt: skip
    try:
        output = await git.run(*words, timeout_seconds=LOG_TIMEOUT_SECONDS, max_output_bytes=MAX_LOG_BYTES)
    except (RetryLater, TooMuchOutput):
        return TOO_LONG
    if output.exit_code != 0:
        return GONE
    return _shown(output.stdout.decode("utf-8", "replace")) or "No commit changed this path."


async def answer(git: Git, mirror: Mirror, sha: str, arguments: Json, hides: Hides) -> ToolResult:
    """What the tool `git_log` answers to *arguments* (`path`, `limit`, both optional).

    Secrets of certain shape are masked; of a path that *hides* covers nothing is told.
    """
    path, limit = arguments.get("path"), arguments.get("limit", DEFAULT_LIMIT)
    unknown = arguments.keys() - {"path", "limit"}
    if unknown or not isinstance(path, str | None) or type(limit) is not int:
        return ToolResult("git_log takes path (a text) and limit (a whole number).", is_error=True)
    try:
        if path is not None and hides(split(path)):
            return ToolResult(EXCLUDED, is_error=True, refused=True)
        return ToolResult(await log(git, mirror, sha, path=path, limit=limit))
    except RefusedPath as error:
        return ToolResult(str(error), is_error=True, refused=True)


def _shown(said: str) -> str:
    fields = said.split("\0")
    rows = zip(*[iter(fields)] * _FIELDS, strict=False)
    return "\n".join(
        f'{oid} {date[:10]} "{_plain(author, MAX_AUTHOR_CHARS)}" {_plain(subject, MAX_SUBJECT_CHARS)}'
        for oid, date, author, subject in rows
    )


def _plain(text: str, max_chars: int) -> str:
    """*text* on one line, without secrets, and without characters that act or hide."""
    shown = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in masks.mask(text)[0])
    return shown if len(shown) <= max_chars else shown[: max_chars - 1] + "…"
