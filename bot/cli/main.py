"""The command `issuewright`: a table of subcommands, each imported only when it runs."""

import argparse
import importlib
import sys

from bot import __version__

_MAX_PORT = 65_535


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand; returns its exit code (0 done, 1 failed, 2 misused, 130 interrupted)."""
    arguments = build_parser().parse_args(argv)
    from bot.cli import terminal

    try:
        code: int = importlib.import_module(f"bot.cli.{arguments.command}").run(arguments)
    except KeyboardInterrupt:
        return terminal.EXIT_INTERRUPTED
    except Exception as error:  # the process entry: whatever ended the command is told once
        return terminal.report(error)
    return code


def build_parser() -> argparse.ArgumentParser:
    """The parser of all subcommands."""
    parser = argparse.ArgumentParser(
        prog="issuewright",
        description="A self-hosted GitHub App that runs agents for issues and pull requests.",
    )
    parser.add_argument("--version", action="version", version=f"issuewright {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (summary, add_options) in COMMANDS.items():
        add_options(commands.add_parser(name, help=summary, description=summary))
    return parser


def _serve_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=_port, help="port to listen on, 0 picks a free one (default: PORT, or 8000)"
    )
    parser.add_argument(
        "--no-worker", action="store_true", help="receive only; `issuewright worker` runs elsewhere"
    )
    _log_options(parser)


def _log_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--log-dir", metavar="DIR", help="write each process's log to DIR/<name>.log")


def _demo_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keep", action="store_true", help="leave it running at the end")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the story")


def _migrate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to",
        metavar="REVISION",
        help="go to this revision, also back to an older one (what only the newer one keeps is lost)",
    )


def _port(text: str) -> int:
    """A TCP port; argparse turns the error into its own words."""
    port = int(text)
    if not 0 <= port <= _MAX_PORT:
        raise argparse.ArgumentTypeError(f"{port} is no port; write a number from 0 to {_MAX_PORT}")
    return port


# name -> (summary, options); `bot.cli.<name>.run(arguments)` does the work and returns the exit code.
COMMANDS = {
    "serve": ("receive webhooks and work on jobs", _serve_options),
    "worker": ("work on jobs; any number of these, anywhere", _log_options),
    "migrate": ("bring the database to this version", _migrate_options),
    "demo": ("show the whole way on this machine, without keys or network", _demo_options),
}


if __name__ == "__main__":
    sys.exit(main())
