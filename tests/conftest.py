"""What every test may use, and which tests begin."""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from coverage import Coverage

# Whoever starts the suite in the background ignores Ctrl-C for it and for all its children; the
# children of tests are to take it. A handler of ours is back at the default in a new program.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# The processes of pytest-xdist are measured, what tests start is not: it would take twice as long.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)
# Coverage asks greenlet who runs, in every thread that it traces. A thread that ends then leaves a greenlet
# to be cleared in a pending call, and a second such call while the first one's Python code is traced is
# waited for for ever in CPython 3.11. Greenlets run in the main thread alone, which is traced already.
if (measuring := Coverage.current()) is not None and (collector := measuring._collector) is not None:
    collector.concur_id_func = None

pytest_plugins = ["tests.again", "tests.postgres", "tests.valkey"]
_SLOW = [Path(__file__).parent / name for name in ("chaos", "system")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests through real processes: they take longest, so the quick ones fill the gaps."""
    items.sort(key=lambda item: not any(item.path.is_relative_to(folder) for folder in _SLOW))


@pytest.fixture(autouse=True)
def logging_is_put_back() -> Iterator[None]:
    """What a test sets up logs into the stream of that test, which is closed after it."""
    root, ours = logging.getLogger(), logging.getLogger("bot")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
