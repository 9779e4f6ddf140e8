"""The operator's toolchains in the sandbox: how they are bound, and what is there to be used."""

import os
import re
from pathlib import Path

_NAMED = ("npm", "pnpm", "yarn", "mvn", "gradle", "make", "cmake", "bundle", "composer")
_VERSIONED = {
    "python": "python3 --version",
    "node": "node --version",
    "deno": "deno --version",
    "bun": "bun --version",
    "go": "go version",
    "rust": "rustc --version",
    "cargo": "cargo --version",
    "java": "java -version",
    "ruby": "ruby --version",
    "php": "php --version",
    "perl": "perl -e 'print $^V'",
    "gcc": "gcc -dumpfullversion",
    "dotnet": "dotnet --version",
}
_VERSION = re.compile(r"(\d+)(?:\.(\d+))?")
_MAJOR_ALONE = frozenset({"node", "java", "gcc", "dotnet"})


def bind(place: Path) -> list[str]:
    """The launcher's words that show *place* read-only at its own path, every parent made passable."""
    if place.is_relative_to("/usr"):
        return []
    words: list[str] = []
    for parent in reversed(place.parents[:-1]):
        words += ["--perms", "0755", "--dir", str(parent)]
    return [*words, "--ro-bind", str(place), str(place)]


def programs_of(place: Path) -> list[Path]:
    """The directory of *place* that belongs on the search path: `bin`, or itself where programs lie there."""
    if (place / "bin").is_dir():
        return [place / "bin"]
    has_programs = any(entry.is_file() and os.access(entry, os.X_OK) for entry in place.iterdir())
    return [place] if has_programs else []


def question() -> str:
    """The command that asks, inside, which of the known programs are there; `programs` reads its answer."""
    asked = [
        f'command -v {ask.split()[0]} >/dev/null && echo "{name}=$(timeout 10 {ask} 2>&1 | head -n 1)"'
        for name, ask in _VERSIONED.items()
    ]
    asked += [f"command -v {name} >/dev/null && echo {name}=" for name in _NAMED]
    return "; ".join([*asked, "true"])


def programs(answer: str) -> str:
    """Such as "python 3.11, node 20, make", from the output of `question`; "" when nothing was found."""
    found = []
    for line in answer.splitlines():
        name, equals, words = line.partition("=")
        if not equals or name not in {*_VERSIONED, *_NAMED}:
            continue
        version = _VERSION.search(words)
        if name in _NAMED:
            found.append(name)
        elif version is not None:
            is_short = name in _MAJOR_ALONE or version[2] is None
            found.append(f"{name} {version[1]}" if is_short else f"{name} {version[1]}.{version[2]}")
    return ", ".join(found)
