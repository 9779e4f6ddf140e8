"""JSON logs on stderr: ids bound once for everything below them, secrets blanked at the sink."""

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, TextIO, cast

from bot.redaction import Redactor


@contextmanager
def _without(name: str) -> Iterator[None]:
    """As if *name* was not installed, unless it is loaded by now.

    https://docs.python.org/3/reference/import.html#the-module-cache
    """
    modules: dict[str, Any] = sys.modules
    modules.setdefault(name, None)
    yield
    if modules[name] is None:
        del modules[name]


# Its renderer for terminals, which nothing here uses, would take 4 MiB in each process of a service.
with _without("rich"):
    import structlog
    from structlog.typing import EventDict, Processor, WrappedLogger

# These tell of every statement, connection and plug-in below WARNING, some with values in them.
_QUIET: Final = ("aiosqlite", "alembic", "sqlalchemy", "asyncio", "aiohttp.access", "urllib3", "httpx2")
_MAX_DEPTH: Final = 8


def configure(
    process: str, *, debug: bool = False, secrets: Iterable[str] = (), stream: TextIO | None = None
) -> None:
    """Send every log line of this process, libraries' too, to *stream* (stderr) as one JSON object.

    *process* stands in each line; *debug* adds our own DEBUG lines; *secrets* are the values that
    must never be seen. The second time replaces the first.
    """
    shared = _shared_processors(process)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _Redaction(Redactor(secrets)),
            structlog.processors.JSONRenderer(ensure_ascii=True),
        ],
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.getLogger("bot").setLevel(logging.DEBUG if debug else logging.INFO)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def get(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of the module *name*; works before `configure` and follows it."""
    return cast("structlog.stdlib.BoundLogger", structlog.get_logger(name))


def bind(**ids: object) -> None:
    """Put *ids* into every following line of this task (a request, a job) and of the tasks it starts."""
    structlog.contextvars.bind_contextvars(**ids)


def bound(**ids: object) -> AbstractContextManager[None]:
    """The same for the lines within a `with`."""
    return structlog.contextvars.bound_contextvars(**ids)


def _shared_processors(process: str) -> list[Processor]:
    """What every line goes through, whoever wrote it."""

    def add_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_process,
    ]


class _Redaction:
    """The last processor before the line is written: no secret in any value, however deep."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {str(key): self._clean(value, _MAX_DEPTH) for key, value in event.items()}

    def _clean(self, value: Any, depth: int) -> Any:
        """*value* as JSON can hold it, its text without secrets."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, dict) and depth:
            pairs = value.items()
            return {self._redactor.redact(str(key)): self._clean(item, depth - 1) for key, item in pairs}
        if isinstance(value, list | tuple | set | frozenset) and depth:
            return [self._clean(item, depth - 1) for item in value]
        return self._redactor.redact(value if isinstance(value, str) else repr(value))
