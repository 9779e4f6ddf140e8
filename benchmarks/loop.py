"""Our loop beside the least that does the same: an SDK loop, a tool process behind a pipe, a row a step.

A scripted model on loopback answers at once: 30 steps of read, edit and list, then the end. Both subjects are
processes of their own; who is first changes each round, and a ratio is the median of the rounds' ratios.
Gap: from the model's answer to the next request. CPU: the whole tree, from the first request to the end; a
worker has had another job before it, and the reference has made its connection, statements and tool process.
Then: what each further agent costs a worker in memory, and what the session is billed beside the optimum
(tools, system and task warm from another job, every token written once, the last turn not at all).
Use: python benchmarks/loop.py [--rounds 5] [--steps 30] [--agents 8]
"""

import argparse
import asyncio
import contextlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GOAL, MEMORY_GOAL_MIB, BILL_GOAL = 1.25, 5.0, 1.05
FILES, RUN_SECONDS = 10, 600.0
WRITE, READ, BYTES_PER_TOKEN = 1.25, 0.1, 4
HERE = Path(__file__)
MODEL_SERVER = HERE.with_name("loop_model.py")


def main() -> None:
    """Be one of the subjects, or measure them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--agents", type=int, default=8)
    parser.add_argument("--subject", choices=["ours", "reference"], help="be one of them")
    parser.add_argument("--base", help="of the model, for a subject")
    parser.add_argument("--tools", help="be the reference's tool process on this folder")
    chosen = parser.parse_args()
    if chosen.tools:
        serve_tools(Path(chosen.tools))
    elif chosen.subject:
        with tempfile.TemporaryDirectory(prefix="iw-loop-") as name:
            make_files(Path(name) / "tree")
            is_ours, folder = chosen.subject == "ours", Path(name)
            print(json.dumps(asyncio.run(ours(chosen, folder)) if is_ours else reference(chosen, folder)))
    else:
        measure(chosen)


def make_files(tree: Path) -> None:
    """Ten files of about 4 KB."""
    tree.mkdir()
    for number in range(FILES):
        values = [f"VALUE_{k} = {k}\n" for k in range(number, 100, FILES)]
        filler = "    return x + {i}  # a line of filler text\n"
        fillers = [f"def function_{number}_{i}(x):\n" + filler.format(i=i) for i in range(60)]
        (tree / f"file_{number}.py").write_text("".join((*values, *fillers)))


# ── ours ─────────────────────────────────────────────────────────────────────────────────────────
async def ours(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """That many agents at once in one process."""
    import agent_run  # noqa: PLC0415 - the reference does without it

    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(agent_run.database_in(folder))
        model = agent_run.client(chosen.base)
        hosts = [
            await stack.enter_async_context(
                agent_run.tool_host(folder / "tree", folder / str(number), with_commands=False)
            )
            for number in range(chosen.agents)
        ]
        before, *jobs = await agent_run.jobs(database, 1 + chosen.agents)
        # What is made once in a worker's life, definitions, a connection, statements, is no step's; the
        # reference has its own before its first request too, and its tools have answered once.
        await agent_run.run(database, before, agent_run.GivingUp(), hosts[0], chosen.steps)
        for host in hosts:
            await host.call("list_directory", {}, timeout_seconds=RUN_SECONDS)
        forget_peak()
        thread_at = time.thread_time()
        meters = [agent_run.Meter(host.pid) for host in hosts]
        await asyncio.gather(
            *(
                agent_run.run(database, job, agent_run.Translating(model, ""), host, chosen.steps)
                for job, host in zip(jobs, hosts, strict=True)
            )
        )
        thread_seconds = time.thread_time() - thread_at
        figures = [meter.read() for meter in meters]
        await model.close()
    tools_seconds = sum(row["cpu_children_s"] for row in figures)
    parts = {"cpu_children_s": tools_seconds, "cpu_thread_s": thread_seconds, "peak_mib": peak_mib()}
    return {**figures[0], **parts}


def forget_peak() -> None:
    """Count the peak of memory from now: what the imports held for a moment is no agent's."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> float:
    """The most memory that this process has held since then."""
    rows = Path("/proc/self/status").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("VmHWM")) / 1024


# ── the reference ────────────────────────────────────────────────────────────────────────────────
def reference(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The SDK, a pipe, a commit."""
    import agent_run  # noqa: PLC0415 - for its meter; what it imports is no step's cost
    import anthropic  # noqa: PLC0415

    from bot.agents.tools import select  # noqa: PLC0415

    client = anthropic.Anthropic(api_key="key", base_url=chosen.base)
    database = sqlite3.connect(folder / "reference.db", isolation_level=None)
    for statement in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "CREATE TABLE steps (n, content)",
    ):
        database.execute(statement)
    command = [sys.executable, str(HERE), "--tools", str(folder / "tree")]
    tools = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert tools.stdin and tools.stdout  # noqa: PT018, S101 - both are pipes
    tools.stdin.write('{"name": "list_directory", "input": {}}\n')
    tools.stdin.flush()
    tools.stdout.readline()
    definition = agent_run.agent(chosen.steps)
    offered = [spec.to_json() for spec in select(definition.tools | definition.effects)]
    messages: list[dict[str, Any]] = [{"role": "user", "content": agent_run.TASK}]
    meter = agent_run.Meter(tools.pid)
    while True:
        reply = client.messages.create(
            model=agent_run.MODEL,
            max_tokens=16_000,
            system=definition.prompt,
            tools=offered,
            messages=messages,
            cache_control={"type": "ephemeral"},
        )
        calls = [block for block in reply.content if block.type == "tool_use"]
        if not calls:
            break
        messages.append({"role": "assistant", "content": reply.content})
        results = []
        for call in calls:
            tools.stdin.write(json.dumps({"name": call.name, "input": call.input}) + "\n")
            tools.stdin.flush()
            text = json.loads(tools.stdout.readline())
            results.append({"type": "tool_result", "tool_use_id": call.id, "content": text})
        messages.append({"role": "user", "content": results})
        row = json.dumps([[block.model_dump() for block in reply.content], results])
        database.execute("INSERT INTO steps VALUES (?, ?)", (len(messages), row))
    figures = meter.read()
    tools.stdin.close()
    tools.wait()
    return figures


def serve_tools(folder: Path) -> None:
    """Read, edit and list, a JSON line each, until the pipe ends."""
    for line in sys.stdin:
        call = json.loads(line)
        given = call["input"]
        if call["name"] == "read_file":
            text = (folder / given["path"]).read_text()
        elif call["name"] == "edit_file":
            before = (folder / given["path"]).read_text()
            text = "Edited." if before.count(given["old"]) == 1 else "Not there once."
            (folder / given["path"]).write_text(before.replace(given["old"], given["new"]))
        else:
            text = "\n".join(sorted(path.name for path in folder.iterdir()))
        print(json.dumps(text), flush=True)


# ── measuring ────────────────────────────────────────────────────────────────────────────────────
@contextlib.contextmanager
def model(steps: int) -> Iterator[str]:
    """The scripted model's address."""
    process = subprocess.Popen(
        [sys.executable, str(MODEL_SERVER), str(steps)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout  # noqa: S101 - it is a pipe
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def look(url: str) -> bytes:
    """What the model's server answers."""
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - the address is our own
        return bytes(answer.read())


def session(name: str, base: str, steps: int, agents: int = 1) -> dict[str, Any]:
    """One run of a subject, with what the model saw of it."""
    look(f"{base}/reset")
    command = [sys.executable, str(HERE), "--subject", name, "--base", base]
    command += ["--steps", str(steps), "--agents", str(agents)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=RUN_SECONDS, check=True)
    report = json.loads(look(f"{base}/report"))
    figures = json.loads(done.stdout)
    cpu_ms = (figures["cpu_self_s"] + figures["cpu_children_s"]) / steps / agents * 1e3
    own_ms = figures["cpu_self_s"] / steps / agents * 1e3
    thread_ms = figures.get("cpu_thread_s", 0.0) / steps / agents * 1e3
    return {**figures, **report, "cpu_ms": cpu_ms, "own_ms": own_ms, "thread_ms": thread_ms}


def measure(chosen: argparse.Namespace) -> None:
    """Interleaved rounds, then memory and the bill; one line each."""
    taken: dict[str, list[dict[str, Any]]] = {"ours": [], "reference": []}
    with model(chosen.steps) as base:
        for number in range(chosen.rounds + 1):
            for name in sorted(taken, reverse=bool(number % 2)):
                row = session(name, base, chosen.steps)
                if number:  # the first one warms up
                    taken[name].append(row)
        one, many = (session("ours", base, chosen.steps, agents) for agents in (1, 1 + chosen.agents))
    print(f"agent loop, {chosen.steps} steps, median of {chosen.rounds} interleaved rounds")
    for key, words in (("gap_ms", "gap"), ("cpu_ms", "CPU"), ("own_ms", "of it without the tool process")):
        middle = {name: statistics.median(row[key] for row in rows) for name, rows in taken.items()}
        pairs = zip(taken["ours"], taken["reference"], strict=True)
        ratio = statistics.median(mine[key] / other[key] for mine, other in pairs)
        told = ", ".join(f"{name} {value:.2f} ms" for name, value in middle.items())
        print(f"{words} a step: {told}, ratio {ratio:.2f} (goal: {GOAL})")
    print(f"our CPU a step: {where(taken['ours'])}; the load was {os.getloadavg()[0]:.1f}")
    talk_mib = many["last_bytes"] / 2**20
    further = (many["peak_mib"] - one["peak_mib"]) / chosen.agents
    words = (
        f"{further:.1f} MiB for each of {chosen.agents} further agents; a conversation is {talk_mib:.2f} MiB"
    )
    print(f"memory: {words} (goal: {MEMORY_GOAL_MIB:g} beside it)")
    sizes = taken["ours"][-1]["sizes"]
    units, best = bill(sizes), optimum(sizes)
    print(f"input: {units:,.0f} units, optimum {best:,.0f}, ratio {units / best:.3f} (goal: {BILL_GOAL})")


def where(rows: list[dict[str, Any]]) -> str:
    """Where our CPU goes: the loop with its client, the database's thread, the tools."""
    loop, own, whole = (
        statistics.median(row[key] for row in rows) for key in ("thread_ms", "own_ms", "cpu_ms")
    )
    return f"loop and client {loop:.2f} ms, database {own - loop:.2f} ms, tool process {whole - own:.2f} ms"


def bill(sizes: list[dict[str, int]]) -> float:
    """Units (an uncached input token is 1) by the caching rules, for requests in their order."""
    return sum(row["plain"] + WRITE * row["written"] + READ * row["read"] for row in sizes) / BYTES_PER_TOKEN


def optimum(sizes: list[dict[str, int]]) -> float:
    """The least: the stable prefix is warm, all else is written once, the last turn is not written."""
    totals = [row["plain"] + row["written"] + row["read"] for row in sizes]
    known, units = sizes[0]["prefix"], 0.0
    for place, total in enumerate(totals):
        rate = 1.0 if place == len(totals) - 1 else WRITE
        units += READ * known + rate * (total - known)
        known = total
    return units / BYTES_PER_TOKEN


if __name__ == "__main__":
    main()
