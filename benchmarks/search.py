"""search_code through the tool host's pipe beside ripgrep, git grep and Python's re, same tree, same run.

Ours answers its first page (100 lines), as a model gets it; "every line" is the same engine asked for all of
them, without the pipe. The others write everything, as they do when they are asked by a program. All tools
take turns, the first round is left out (it warms the page cache), and medians are compared. The goal for
each query: at most 1.1 times the faster of ripgrep and git grep, and never slower than Python's re.
"""

import argparse
import asyncio
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot.domain.enums import Tier
from bot.domain.values import SandboxStatus
from bot.workspace import priority
from bot.workspace.host import ProcessToolHost
from bot.workspace.toolhost.beneath import Tree
from bot.workspace.toolhost.corpus import Corpus
from bot.workspace.toolhost.patterns import compiled
from bot.workspace.toolhost.search import hits

GOAL = 1.1
FILES = 5_000
QUERIES = {
    "literal, rare": ("AnsibleParserError", False, False),
    "literal, common": ("import", False, False),
    "regex": (r"def\s+_?get_\w+\(self", True, False),
    "case-insensitive regex": (r"todo|fixme", True, True),
    "no hit": ("zqxjkv_not_there", False, False),
}
PYTHON_RE = """
import os, re, sys
expression, hits = re.compile(sys.argv[2].encode(), int(sys.argv[3])), 0
for place, directories, files in os.walk(sys.argv[1]):
    directories[:] = [name for name in directories if name != ".git"]
    for name in files:
        with open(os.path.join(place, name), "rb") as file:
            content = file.read()
        if b"\\0" not in content[:8192]:
            hits += sum(1 for _ in expression.finditer(content))
print(hits)
"""
Query = tuple[str, bool, bool]
Asking = Callable[[], Awaitable[object]]


def main() -> None:
    """Print a row for each query; the exit code is 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tree", type=Path, help="a checkout; left out: 5,000 generated files")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rg", default=shutil.which("rg"), help="the ripgrep to compare with")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="iw-search-") as place:
        job = Path(place)
        job.chmod(0o755)
        prepare(job / "tree", chosen.tree)
        sys.exit(0 if asyncio.run(measure(job, chosen.rounds, chosen.rg)) else 1)


def prepare(tree: Path, source: Path | None) -> None:
    """Make *tree*: a copy of *source* or generated, with a git index for git grep."""
    if source:
        shutil.copytree(source, tree, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    else:
        generate(tree, random.Random(7))  # noqa: S311 - the same tree each time
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("init", "-q"), ("add", "-A", "-f"), (*identity, "commit", "-q", "-m", "all")):
        subprocess.run(["git", *words], cwd=tree, check=True, stdout=subprocess.DEVNULL)


def generate(tree: Path, chance: random.Random) -> None:
    """Write `FILES` files that look like Python, 27 MB, in 556 directories."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(chance.choices(letters, k=chance.randint(3, 9))) for _ in range(4_000)]
    for number in range(FILES):
        path = tree / f"d{number // 220}" / f"m{number // 9}" / f"f{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(line(chance, words) for _ in range(chance.randint(20, 220))))


def line(chance: random.Random, words: list[str]) -> str:
    """One line of a generated file."""
    first, *others = chance.choices(words, k=chance.randint(2, 9))
    kind = chance.random()
    if kind < 0.02:
        return f"import {first}\n"
    if kind < 0.06:
        return f"    def {chance.choice(['get_', '_get_', 'set_', ''])}{first}(self, {others[0]}):\n"
    if kind < 0.065:
        return f"    # {chance.choice(['TODO', 'fixme', 'note'])} {first}\n"
    if kind < 0.0652:
        return f"        raise AnsibleParserError({first})\n"
    return f"        {first} {' '.join(others)}\n"


async def measure(job: Path, rounds: int, rg: str | None) -> bool:
    """Whether every query met its goal."""
    host = ProcessToolHost(job, SandboxStatus(Tier.NONE), None)
    await host.start()
    root_fd = os.open(job / "tree", os.O_RDONLY | os.O_DIRECTORY)
    corpus = Corpus(Tree(root_fd))
    started = time.perf_counter()
    await ours(host, QUERIES["no hit"])
    print(f"first search of a fresh process: {(time.perf_counter() - started) * 1e3:.0f} ms")
    started = time.perf_counter()
    characters = len(await host.survey(4_000))
    print(f"map of the repository, {characters} characters: {(time.perf_counter() - started) * 1e3:.0f} ms\n")
    print(
        "| query | ours | ours, every line | rg | git grep | python re | ours : faster | ours : python re |"
    )
    print("|---|---|---|---|---|---|---|---|")
    is_met = True
    for label, query in QUERIES.items():
        subjects: dict[str, Asking] = {
            "ours": partial(ours, host, query),
            "every line": partial(every_line, corpus, query),
            "git grep": partial(run, job / "tree", git_grep(query)),
            "python re": partial(run, job / "tree", python_re(query)),
        }
        if rg:
            subjects["rg"] = partial(run, job / "tree", ripgrep(rg, query))
        is_met = report(label, await medians(subjects, rounds)) and is_met
    await host.close()
    os.close(root_fd)
    return is_met


async def medians(subjects: dict[str, Asking], rounds: int) -> dict[str, float]:
    """The median milliseconds of each subject; they take turns."""
    taken: dict[str, list[float]] = {name: [] for name in subjects}
    for number in range(rounds + 1):
        for name, ask in subjects.items():
            started = time.perf_counter()
            await ask()
            if number:
                taken[name].append((time.perf_counter() - started) * 1e3)
    return {name: statistics.median(samples) for name, samples in taken.items()}


def report(label: str, found: dict[str, float]) -> bool:
    """Print the row of one query; whether it met the goal."""
    to_faster = found["ours"] / min(found["git grep"], found.get("rg", float("inf")))
    to_python = found["ours"] / found["python re"]
    columns = [f"{found[name]:.0f} ms" if name in found else "-" for name in ("ours", "every line", "rg")]
    columns += [f"{found[name]:.0f} ms" for name in ("git grep", "python re")]
    print(f"| {label} | {' | '.join(columns)} | {to_faster:.2f} | {to_python:.2f} |")
    return to_faster <= GOAL and to_python <= 1.0


async def ours(host: ProcessToolHost, query: Query) -> None:
    """One call of the tool, as a model makes it."""
    pattern, is_regex, ignores_case = query
    arguments = {"pattern": pattern, "regex": is_regex, "ignore_case": ignores_case}
    result = await host.call("search_code", arguments, timeout_seconds=60)
    if result.is_error:
        raise SystemExit(result.text)


async def every_line(corpus: Corpus, query: Query) -> int:
    """All lines, in this process."""
    pattern, is_regex, ignores_case = query
    corpus.refresh()
    sought = compiled(pattern, is_regex=is_regex, ignores_case=ignores_case)
    return sum(1 for _ in hits(corpus, (), sought, lambda _: True))


def ripgrep(rg: str, query: Query) -> list[str]:
    """The same question for ripgrep."""
    words = [rg, "--no-config", "--hidden", "-g", "!.git", "-n", "--no-heading", "--color=never"]
    return [*words, *(["-i"] if query[2] else []), "-e", query[0]]


def git_grep(query: Query) -> list[str]:
    """The same question for git grep."""
    words = ["git", "grep", "-n", "-I", "-P" if "\\" in query[0] else "-E"]
    return [*words, *(["-i"] if query[2] else []), "-e", query[0]]


def python_re(query: Query) -> list[str]:
    """The same question for a walk with Python's re in a fresh process."""
    return [sys.executable, "-I", "-c", PYTHON_RE, ".", query[0], str(int(re.IGNORECASE) if query[2] else 0)]


async def run(tree: Path, words: list[str]) -> None:
    """Run *words* in *tree*, of the same low priority as the tool host, and read all that they say."""
    process = await asyncio.create_subprocess_exec(
        *words, cwd=tree, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    priority.lower(process.pid)
    await process.communicate()


if __name__ == "__main__":
    main()
