"""The words that people read: comments, pull requests and commits, from facts alone.

Model text comes in sanitized. Everything else (commands, names, reasons) is escaped here, so that no
value can end its place. Nothing is shown as passed that did not run and end with 0.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bot.domain.agent_kinds import answers
from bot.domain.enums import Cause, Tier, When
from bot.domain.text import strip_invisible
from bot.publish.headlines import HEADLINES, headline
from bot.publish.sanitize import sanitize
from bot.publish.signs import FAILED, NOT_RUN, PASSED, RECORD_HEAD

# GitHub refuses a body over 65,536 characters; the marker and a number for a placeholder come on top.
MAX_BODY_CHARS: Final = 65_000
MAX_WORD_CHARS: Final = 200
MAX_SENTENCE_CHARS: Final = 1_000
MIN_DIFF_CHARS: Final = 400

_NO_CHECKS: Final = (
    "Not verified: `.github/issuewright.yml` on the default branch names no `verify` command, so nothing ran."
)
_TOO_LONG: Final = "*The full analysis does not fit into a comment; it is kept with the job.*"


@dataclass(frozen=True, slots=True)
class Check:
    """The harness's record of one verification command; `exit_code` None means that it did not run.

    What ran and has a *reason* has failed for that, also where it ended with 0: fewer tests may have run.
    *sha* is the commit that it ran on, without the change or with it.
    """

    command: str
    when: When
    exit_code: int | None
    duration_ms: int
    tier: Tier
    reason: str
    sha: str = ""


def living_comment(*, agent: str, requester: str, step: str) -> str:
    """The first text of the comment that becomes the result."""
    return _body(
        f"**Working on it** for {_login(requester)}: {_sentence(step)}",
        "This comment becomes the result.",
        _footer(f"agent {code(agent)}"),
    )


def result_comment(  # noqa: PLR0913 - the facts of one result, each given by name
    *,
    outcome: Cause,
    agent: str,
    requester: str,
    sentence: str,
    summary: str,
    analysis: str | None,
    pull: str | None,
    checks: Sequence[Check],
    sandbox_remedy: str,
    diff: str | None,
    job_id: str,
    next_step: str,
) -> str:
    """What a job came to. *pull* is the pull request as it is written in text (`#12`).

    *summary* and *analysis* are sanitized Markdown; *diff* is shown folded, as far as there is room.
    """
    is_answer = answers(agent)
    record = verification(checks, sandbox_remedy) if checks or pull or (diff and not is_answer) else ""
    ending = [_next(next_step), _footer(_job(job_id), f"asked by {_login(requester)}")]
    head = headline(outcome, agent=agent, login=_plain_login(requester), pull=pull or "")
    parts = [f"**{head}.**", _sentence(sentence), summary]
    if analysis and analysis.strip() != summary.strip():
        fits = len(_body(*parts, analysis, record, *ending)) <= MAX_BODY_CHARS
        parts.append(analysis if fits else _TOO_LONG)
    room = MAX_BODY_CHARS - len(_body(*parts, record, *ending))
    return _body(*parts, record, _folded_diff(diff, room), *ending)


def found_comment(*, pull: str, requester: str, job_id: str) -> str:
    """A result that stood already: our database was restored from a backup that does not know of it."""
    return _body(
        f"**Pull request {pull} was opened for this request before.** It is left as it stands.",
        _footer(_job(job_id), f"asked by {_login(requester)}"),
    )


def failure_comment(*, cause: Cause, sentence: str, done: str, next_step: str, job_id: str) -> str:
    """Why a job ended without a result: the cause, one sentence, what was done, the verb to use next."""
    return _body(
        f"**{HEADLINES[cause].format(pull='')}.** {_sentence(sentence)}".rstrip(),
        _sentence(done),
        _next(next_step),
        _footer(_job(job_id), f"cause {code(cause.value)}"),
    )


def pull_body(  # noqa: PLR0913 - the facts of one pull request, each given by name
    *,
    number: int,
    summary: str,
    checks: Sequence[Check],
    sandbox_remedy: str,
    files: int,
    added: int,
    removed: int,
    job_id: str,
    requester: str,
    pre_existing_failures: bool,
    changed_tests: Sequence[str] = (),
) -> str:
    """What and why, the verification record, the limits, and the one `Closes` that we write ourselves."""
    limits = [
        f"- {files} {'file' if files == 1 else 'files'} changed, {added} lines added, {removed} removed.",
        f"- Written by a language model at the request of {_login(requester)}: read it before you merge it.",
    ]
    if pre_existing_failures:
        limits.insert(
            0,
            "- **Failures that were there before remain**: the verification fails in the same way"
            " without this change.",
        )
    if changed_tests:
        named = ", ".join(code(path) for path in changed_tests)
        limits.insert(
            0, f"- **Tests that were there before are changed**: {named}. See what they ask for now."
        )
    return _body(
        "### What and why",
        summary,
        "### Verification",
        verification(checks, sandbox_remedy),
        "### Limits",
        "\n".join(limits),
        f"Closes #{int(number)}",
        _footer(_job(job_id)),
    )


def commit_message(*, title: str, number: int, job_id: str, requester_login: str, requester_id: int) -> str:
    """A plain commit message; *title* has passed `sanitize_title`. The trailers are ours.

    The issue is named without `#`, so that the commit itself leaves no trace in the thread.
    """
    login = _plain_login(requester_login)
    return (
        f"{_one_line(title)}\n\nRequested in issue {int(number)}.\n\n"
        f"Issuewright-Job: {_one_line(job_id)}\n"
        f"Co-authored-by: {login} <{int(requester_id)}+{login}@users.noreply.github.com>\n"
    )


def help_comment(*, prefix: str, commands: Sequence[tuple[str, str, str]], problem: str | None) -> str:
    """The commands as (usage, meaning, who may); *problem* is the text of a command nobody knows."""
    rows = "\n".join(
        f"| {code(f'{prefix} {usage}', in_table=True)} | {_cell(meaning)} | {_cell(who)} |"
        for usage, meaning, who in commands
    )
    example = f"{prefix} {commands[0][0] if commands else 'help'}"
    return _body(
        "" if problem is None else f"**I do not know this command.**\n\n{block(problem, 'text')}",
        f"Write a command at the start of a line in a new comment, for example {code(example)}.",
        f"| Command | What it does | Who may use it |\n| --- | --- | --- |\n{rows}",
        _footer(),
    )


def verification(checks: Sequence[Check], sandbox_remedy: str) -> str:
    """The record as a table, the reasons of what failed, and for what did not run those and the remedy."""
    if not checks:
        return _NO_CHECKS
    commands = dict.fromkeys(check.command for check in checks)
    rows = "\n".join(
        f"| {code(command, in_table=True)} | {_result(checks, command, When.BEFORE)}"
        f" | {_result(checks, command, When.AFTER)} |"
        for command in commands
    )
    table = f"| {' | '.join(RECORD_HEAD)} |\n| --- | --- | --- |\n{rows}"
    sha = next((check.sha for check in checks if check.sha and check.exit_code is not None), "")
    places = [f"Run by Issuewright on commit {code(sha)}, without and with the change."] if sha else []
    reasons = dict.fromkeys(_sentence(check.reason) for check in checks if check.exit_code is None)
    missing = [f"Not run: {reason or 'no reason was recorded.'}" for reason in reasons]
    if missing and sandbox_remedy:
        missing.append(f"Remedy: {_sentence(sandbox_remedy)}")
    failed = dict.fromkeys(
        f"Failed {check.when.value} the change: {_sentence(check.reason)}"
        for check in checks
        if check.exit_code is not None and check.reason
    )
    return "\n\n".join([table, *places, *failed, *missing])


def code(text: str, *, in_table: bool = False) -> str:
    """*text* on one line as a span of code that it cannot end; clipped to 200 characters."""
    words = _one_line(text)
    words = words if len(words) <= MAX_WORD_CHARS else words[: MAX_WORD_CHARS - 1] + "…"
    if not words:
        return "(empty)"
    fence = "`" * (_longest_run(words) + 1)
    pad = " " if words[0] == "`" or words[-1] == "`" else ""
    span = f"{fence}{pad}{words}{pad}{fence}"
    return span.replace("|", "\\|") if in_table else span


def block(text: str, language: str) -> str:
    """*text* as a block of code that it cannot end."""
    shown, _ = strip_invisible(text)
    fence = "`" * max(3, _longest_run(shown) + 1)
    return f"{fence}{language}\n{shown.rstrip()}\n{fence}"


def _result(checks: Sequence[Check], command: str, when: When) -> str:
    """One cell: exit code, duration and place of what ran last; green for 0 with nothing said against it."""
    found = [check for check in checks if check.command == command and check.when is when]
    if not found or found[-1].exit_code is None or found[-1].tier is Tier.NONE:
        return f"{NOT_RUN} not run"
    check = found[-1]
    sign = f"{PASSED} passed" if check.exit_code == 0 and not check.reason else f"{FAILED} failed"
    return f"{sign}, exit {check.exit_code}, {check.duration_ms / 1000:.1f} s, {check.tier.value}"


def _folded_diff(diff: str | None, room: int) -> str:
    """The patch folded away, clipped at a line to *room* characters; nothing without a patch."""
    if not diff or not diff.strip():
        return ""
    frame = "<details><summary>{}</summary>\n\n{}\n\n</details>"
    whole = frame.format("The change as a patch", block(diff, "diff"))
    if len(whole) + 2 <= room:
        return whole
    if room < MIN_DIFF_CHARS:
        return "*The patch does not fit into a comment; it is kept with the job.*"
    # Twice the longest run of backticks, for the fence, and the words around it.
    cut = diff[: room - 2 * _longest_run(diff) - 200].rpartition("\n")[0]
    return frame.format(
        "The beginning of the change as a patch; the whole is kept with the job", block(cut, "diff")
    )


def _body(*parts: str) -> str:
    """The parts that say something, a blank line between them."""
    return "\n\n".join(part.strip("\n") for part in parts if part.strip())


def _next(step: str) -> str:
    """What to do now."""
    return f"**Next:** {_sentence(step)}" if step.strip() else ""


def _footer(*facts: str) -> str:
    """The line that marks a text as made by a machine."""
    return f"<sub>{' · '.join(['Issuewright', *facts, 'written by a machine'])}</sub>"


def _job(job_id: str) -> str:
    """The job as a footer names it."""
    return f"job {code(job_id)}"


def _sentence(text: str) -> str:
    """A few words of ours, or of something that failed, on one line and inert."""
    return sanitize(_one_line(text), max_chars=MAX_SENTENCE_CHARS).text


def _cell(text: str) -> str:
    """A sentence inside a table."""
    return _sentence(text).replace("|", "\\|")


def _login(login: str) -> str:
    """A person's name, without a mention."""
    return code(_plain_login(login))


def _plain_login(login: str) -> str:
    """The characters of *login* that a GitHub login may hold."""
    return re.sub(r"[^A-Za-z0-9_\[\]-]", "", login)[:100] or "somebody"


def _one_line(text: str) -> str:
    """*text* without invisible characters and line ends."""
    return " ".join(strip_invisible(text)[0].split())


def _longest_run(text: str) -> int:
    """The length of the longest run of backticks."""
    return max((len(run) for run in re.findall("`+", text)), default=0)
