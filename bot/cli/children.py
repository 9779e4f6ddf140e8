"""How a child process is started: its command, its clean environment, its settings through a pipe."""

import contextlib
import os
import signal
import site
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, TypeAlias

import bot

# What a child may see of our environment. Everything else of ours reaches it through the settings
# pipe, and what a child does not know it cannot hand to git, to a tool or to a sandbox.
ALLOWED_NAMES: Final = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH",
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO",
    }
)  # fmt: skip
ALLOWED_BEGINNINGS: Final = ("LC_", "PYTHON", "COVERAGE_")

CommandBuilder: TypeAlias = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child: its name, what it may know, and the descriptors that it alone inherits, by option."""

    name: str
    settings_json: str = field(repr=False)
    descriptors: Mapping[str, int] = field(default_factory=dict)


def product_command(name: str) -> Sequence[str]:
    """The command of the product's own process *name*; `-P` keeps the working directory off its path."""
    return [sys.executable, "-P", "-m", "bot.app", name]


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of *environ* that a child may see, and the way to this package where none is installed."""
    clean = {name: value for name, value in environ.items() if _is_allowed(name)}
    # aiohttp would add somebody's own password for api.github.com to our calls, and refuse them for it.
    clean["NETRC"] = os.devnull
    root = str(Path(bot.__file__).resolve().parents[1])
    if root not in site.getsitepackages():
        clean["PYTHONPATH"] = os.pathsep.join(filter(None, [root, clean.get("PYTHONPATH")]))
    return clean


def start(
    spec: ChildSpec,
    *,
    environ: Mapping[str, str],
    command: CommandBuilder = product_command,
    log_dir: Path | None = None,
) -> "subprocess.Popen[bytes]":
    """Start *spec* and hand it its settings; its stderr is ours, or appended to *log_dir*/<name>.log.

    Raises:
        OSError: The program or the log cannot be opened.
    """
    reader, writer = os.pipe()
    options = {"--parent-pid": os.getpid(), "--settings-fd": reader, **spec.descriptors}
    words = [*command(spec.name), *(f"{name}={value}" for name, value in options.items())]
    # A child that died before it read them is noticed, and started again, by whoever watches it.
    with contextlib.suppress(BrokenPipeError), os.fdopen(writer, "wb") as pipe:
        with os.fdopen(reader, "rb"), _log(spec.name, log_dir) as log, _interrupts_blocked():
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stderr=log,
                env=clean_environment(environ),
                pass_fds=[reader, *spec.descriptors.values()],
            )
        pipe.write(spec.settings_json.encode())
    return process


def _is_allowed(name: str) -> bool:
    """Whether a child may see the variable *name* (proxy variables are used in both cases)."""
    return name.upper() in ALLOWED_NAMES or name.startswith(ALLOWED_BEGINNINGS)


@contextlib.contextmanager
def _log(name: str, log_dir: Path | None) -> Iterator[IO[bytes] | None]:
    """The open log of the child *name*, or None for our own stderr."""
    if log_dir is None:
        yield None
        return
    with (log_dir / f"{name}.log").open("ab") as log:
        yield log


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Let a child begin with SIGINT blocked (`bot.process.enter_child` then ignores it): no lost Ctrl-C."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
