"""What the command says to people: talk on stderr, results on stdout, failures as exit codes."""

import contextlib
import os
import sys
from typing import Final

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_MISUSED: Final = 2
EXIT_INTERRUPTED: Final = 130
EXIT_UNREAD: Final = 141
"""What a shell calls a program that a closed pipe has ended (128 + SIGPIPE)."""


class Unread(Exception):
    """Whoever read stdout has closed it: that is no error, and nothing more is wanted."""


def say(text: str) -> None:
    """Write one line for the person at the terminal to stderr."""
    print(text, file=sys.stderr, flush=True)


def result(text: str) -> None:
    """Write one line of the command's result to stdout.

    Raises:
        Unread: Nobody reads it.
        UserError: It cannot be written: the disk is full.
    """
    show(f"{text}\n")


def show(text: str) -> None:
    """Write *text* to stdout as it is; raises as `result` does."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        _let_go()
        if isinstance(error, BrokenPipeError):
            raise Unread from error
        from bot.errors import UserError

        message = f"it was done but cannot be told: stdout cannot be written ({error.strerror})"
        raise UserError(message) from error


def _let_go() -> None:
    """Lead stdout nowhere, so that Python does not try once more, and complain, at its end.

    https://docs.python.org/3.11/library/signal.html#note-on-sigpipe
    """
    with contextlib.suppress(OSError):  # a stdout without a descriptor has nothing to lead
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def report(error: Exception, *, is_start: bool = True) -> int:
    """Tell the person what ended the command; returns the exit code (2 for the configuration, else 1).

    *is_start*: it was to start something.
    """
    from bot import config
    from bot.errors import ConfigError, IssuewrightError

    if isinstance(error, Unread):
        return EXIT_UNREAD
    if isinstance(error, ConfigError):
        say(config.report(error.problems, is_start=is_start))
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
