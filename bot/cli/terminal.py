"""What the command says to people: talk on stderr, results on stdout, failures as exit codes."""

import sys
from typing import Final

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_MISUSED: Final = 2
EXIT_INTERRUPTED: Final = 130


def say(text: str) -> None:
    """Write one line for the person at the terminal to stderr."""
    print(text, file=sys.stderr, flush=True)


def result(text: str) -> None:
    """Write one line of the command's result to stdout."""
    print(text, flush=True)


def report(error: Exception) -> int:
    """Tell the person what ended the command; returns the exit code (2 for the configuration, else 1)."""
    from bot import config
    from bot.errors import ConfigError, IssuewrightError

    if isinstance(error, ConfigError):
        say(config.report(error.problems))
        return EXIT_MISUSED
    if isinstance(error, IssuewrightError):
        say(f"issuewright: {error}")
        return EXIT_FAILED
    say(_traceback(error))
    return EXIT_FAILED


def _traceback(error: Exception) -> str:
    """A bug of ours, with its place; secret shapes are blanked, for reports are pasted in public."""
    import traceback

    from bot.redaction import Redactor

    return Redactor().redact("".join(traceback.format_exception(error)).rstrip())
