"""Our loop beside the peers of an agent rig that scripts read_file, edit_file and bash.

Use: python benchmarks/agent_project.py BASE_URL CHECKOUT      (one session; prints a line `RIG {...}`)
`bash` is our run_command: a sandbox of its own for each call. Changes are put into CHECKOUT at the end, where
the rig looks for them.
"""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BEGAN_AT = time.perf_counter()

import agent_run  # noqa: E402 - its import is measured

MAX_STEPS = 200


def main() -> None:
    """Run one session and print its figures."""
    base_url, checkout = sys.argv[1:3]
    print("RIG " + json.dumps(asyncio.run(session(base_url, Path(checkout)))), flush=True)


async def session(base_url: str, checkout: Path) -> dict[str, Any]:
    """One session on a copy of *checkout*, with its changes brought back; its figures."""
    with tempfile.TemporaryDirectory(prefix="iw-agent-") as name:
        folder = Path(name)
        async with agent_run.database_in(folder) as database:
            (job,) = await agent_run.jobs(database, 1)
            model = agent_run.client(base_url)
            async with agent_run.tool_host(checkout, folder, with_commands=True) as tools:
                meter = agent_run.Meter(tools.pid)
                translating = agent_run.Translating(model, f"{checkout}/")
                result = await agent_run.run(database, job, translating, tools, MAX_STEPS)
                figures = meter.read()
                changes = await tools.changes()
            for change in changes:
                (checkout / change.path).write_text(change.content or "")
            await model.close()
    facts = {"peer": "issuewright", "steps": result.steps - 1, "stop": result.stop.value}
    return {**facts, "import_s": meter.began_at - BEGAN_AT, **figures}


if __name__ == "__main__":
    main()
