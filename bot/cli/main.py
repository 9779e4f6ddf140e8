"""The command `issuewright`: a table of subcommands, each imported only when it runs."""

import argparse
import importlib
import sys
from collections.abc import Callable

from bot import __version__

_MAX_PORT = 65_535
_MAX_ROWS = 1_000
_STARTS = frozenset({"serve", "worker", "demo"})


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand; returns its exit code (see docs/operations.md)."""
    words = sys.argv[1:] if argv is None else argv
    arguments = build_parser(words).parse_args(words)
    from bot.cli import terminal

    try:
        code: int = importlib.import_module(f"bot.cli.{arguments.command}").run(arguments)
    except KeyboardInterrupt:
        return terminal.EXIT_INTERRUPTED
    except Exception as error:  # the process entry: whatever ended the command is told once
        return terminal.report(error, is_start=arguments.command in _STARTS)
    return code


def build_parser(words: list[str]) -> argparse.ArgumentParser:
    """The parser of all subcommands; options are made for those alone that stand among *words*."""
    parser = argparse.ArgumentParser(
        prog="issuewright",
        description="A self-hosted GitHub App that runs agents for issues and pull requests.",
    )
    parser.add_argument("--version", action="version", version=f"issuewright {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (summary, add_options) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name in words:
            add_options(command)
    return parser


def _serve_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=_port, help="port to listen on, 0 picks a free one (default: PORT, or 8000)"
    )
    parser.add_argument(
        "--no-worker", action="store_true", help="receive only; `issuewright worker` runs elsewhere"
    )
    parser.add_argument(
        "--pull", action="store_true", help="fetch webhooks from GitHub's log: no public address is needed"
    )
    _log_options(parser)


def _log_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--log-dir", metavar="DIR", help="write each process's log to DIR/<name>.log")


def _demo_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keep", action="store_true", help="leave it running at the end")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the story")
    parser.add_argument(
        "--pull", action="store_true", help="with webhooks fetched from GitHub's log, none posted"
    )


def _migrate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to",
        metavar="REVISION",
        help="go to this revision, also back to an older one (what only the newer one keeps is lost)",
    )


def _deliveries_options(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = _action(actions, "list", "the newest deliveries, and what became of them")
    listing.add_argument(
        "--state", action="append", type=_word("DeliveryState"), help="received, dispatched, ignored, failed"
    )
    listing.add_argument("--event", metavar="EVENT", help="an event, or event.action, like issues.labeled")
    _listing_options(listing)
    showing = _action(actions, "show", "one delivery: headers, outcome, and the jobs that came of it")
    showing.add_argument("id", type=_part, metavar="ID", help="its id or GUID, or an end of either")
    showing.add_argument("--payload", action="store_true", help="its body, too")
    replaying = _action(actions, "replay", "put stored deliveries back to be dispatched again")
    replaying.add_argument("ids", type=_part, metavar="ID", nargs="+", help="as for `show`")


def _jobs_options(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = _action(actions, "list", "the newest jobs, and why they wait or how they ended")
    listing.add_argument(
        "--state",
        action="append",
        type=_word("JobStatus"),
        help="pending, running, paused, completed, failed, cancelled",
    )
    listing.add_argument("--cause", type=_word("Cause"), help="why it ended: pull_request, budget, bug, …")
    listing.add_argument("--organization", metavar="NAME", help="the organization's name or id")
    listing.add_argument("--open", action="store_true", help="only jobs that have not ended")
    listing.add_argument("--quarantined", action="store_true", help="only jobs that crashed too often")
    _listing_options(listing)
    what = "its id, or the name in its commit, or an end of either"
    _action(actions, "show", "the whole story of one job").add_argument(
        "id", type=_part, metavar="ID", help=what
    )
    for name, summary in (
        ("retry", "work on the request of ended jobs again, as new jobs"),
        ("requeue", "the same for jobs that were quarantined, once for each"),
        ("cancel", "end jobs that have not ended"),
    ):
        doing = _action(actions, name, summary)
        doing.add_argument("ids", type=_part, metavar="ID", nargs="+", help=what)
        if name == "cancel":
            doing.add_argument("--reason", default="cancelled by an operator", help="told in the thread")


def _agents_options(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _action(actions, "list", "the agents that come with the product")
    _action(actions, "show", "one agent: model, limits, tools, effects, and what it is told").add_argument(
        "id", metavar="ID", help="such as code.fix"
    )
    _action(actions, "check", "whether files for .github/agents/ are right").add_argument(
        "paths", metavar="PATH", nargs="+", help="a file, or a directory of them"
    )


def _pause_options(parser: argparse.ArgumentParser) -> None:
    _pausable(parser)
    parser.add_argument("--reason", default="", help="why; shown to whoever asks what is paused")
    parser.add_argument("--list", action="store_true", help="only say what is paused")


def _budget_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--limit", type=_count, default=10, metavar="N", help="how many of each kind (default: %(default)s)"
    )


def _pausable(parser: argparse.ArgumentParser) -> None:
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--organization", metavar="NAME", help="only of this organization (its name or id)")
    one.add_argument("--repository", metavar="OWNER/NAME", help="only of this repository")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _action(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, summary: str
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=summary, description=summary)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def _listing_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repository", metavar="OWNER/NAME", help="only of this repository")
    parser.add_argument("--since", metavar="TIME", type=_instant, help="90s, 2h, 3d, or an ISO date and time")
    parser.add_argument(
        "--limit", type=_count, default=20, metavar="N", help="how many at most (default: %(default)s)"
    )
    parser.add_argument("--after", type=_part, metavar="ID", help="go on behind this one of an earlier list")


def _word(kind: str) -> Callable[[str], object]:
    """What reads one of the words of the enum *kind*, in any case."""

    def read(text: str) -> object:
        from bot.domain import enums

        words = {word.value.lower(): word for word in getattr(enums, kind)}
        if text.lower() not in words:
            raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(words)}")
        return words[text.lower()]

    return read


def _part(text: str) -> str:
    """An id or a part of one, also as a list shows it: with an ellipsis for what was cut off."""
    from bot.cli.visible import ELLIPSIS

    return text.strip(ELLIPSIS)


def _instant(text: str) -> object:
    """A point in time before now, in UTC."""
    from datetime import UTC, datetime

    from bot.cli import times

    try:
        return times.instant(text, now=datetime.now(UTC))
    except (ValueError, OverflowError):
        message = f"{text!r} is no time; write 90s, 15m, 2h, 3d, 2w, or 2026-11-22T12:00"
        raise argparse.ArgumentTypeError(message) from None


def _count(text: str) -> int:
    """How many rows a list may have."""
    return _number(text, 1, _MAX_ROWS, "no number of rows")


def _port(text: str) -> int:
    """A TCP port."""
    return _number(text, 0, _MAX_PORT, "no port")


def _number(text: str, least: int, most: int, what: str) -> int:
    """A whole number from *least* to *most*; else the words that it is *what*."""
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is {what}; write a whole number from {least} to {most}")
    return number


# name -> (summary, options); `bot.cli.<name>.run(arguments)` does the work and returns the exit code.
COMMANDS = {
    "serve": ("receive webhooks and work on jobs", _serve_options),
    "worker": ("work on jobs; any number of these, anywhere", _log_options),
    "migrate": ("bring the database to this version", _migrate_options),
    "deliveries": ("what GitHub sent, and what became of it", _deliveries_options),
    "jobs": ("what is worked on, and ways to step in", _jobs_options),
    "budget": ("what is spent of each budget, and when it begins anew", _budget_options),
    "agents": ("who works on what, and whether a repository's own agents are right", _agents_options),
    "demo": ("show the whole way on this machine, without keys or network", _demo_options),
    "pause": ("start no more jobs: none, or none of an organization or repository", _pause_options),
    "unpause": ("start what was paused again", _pausable),
}


if __name__ == "__main__":
    sys.exit(main())
