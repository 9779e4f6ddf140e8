"""What the normal user runs in `test_normal_user`: a probe, a host, some calls; prints JSON."""

import asyncio
import json
import sys
from pathlib import Path

from bot.workspace.host import ProcessToolHost
from bot.workspace.probe import probe
from bot.workspace.sandbox import find_bwrap

_FORKS = "import os\nn = 0\ntry:\n  while os.fork(): n += 1\nexcept OSError: print(n)"


async def trial(job: Path) -> dict[str, object]:
    """Everything that the test looks at."""
    status = await probe()
    host = ProcessToolHost(job, status, find_bwrap())
    await host.start()
    wrote = await host.call("write_file", {"path": "new/b.txt", "content": "b"}, timeout_seconds=10)
    paths = ("/proc/self/environ", "link")
    refused = [await host.call("read_file", {"path": path}, timeout_seconds=10) for path in paths]
    record = await host.verify("cat new/b.txt; id -u; ls /home; echo x > y", timeout_seconds=20)
    forks = await host.verify(f'python3 -c "{_FORKS}"', timeout_seconds=20)
    prepared = await host.prepare(["mkdir shut; echo dep > shut/dep; chmod 0 shut"], timeout_seconds=20)
    after = await host.verify("cat shut/dep new/b.txt; ls out", timeout_seconds=20)
    commands = ("echo built > out; rm -r new; mkdir locked; chmod 0 locked", "cat out shut/dep new/b.txt")
    ran = [await host.call("run_command", {"command": one}, timeout_seconds=20) for one in commands]
    changes = await host.changes()
    await host.close()
    return {
        "tier": status.tier,
        "reason": status.reason,
        "wrote": wrote.text,
        "refused": [result.refused for result in refused],
        "output": record.output,
        "exit_code": record.exit_code,
        "prepared": [record.exit_code for record in prepared],
        "after": after.output,
        "ran": [result.text.split("\n", 1)[1] for result in ran],
        "uid": host.ready["uid"],
        "forks": forks.output,
        "paths": [change.path for change in changes],
    }


if __name__ == "__main__":
    place = Path(sys.argv[1])
    found = asyncio.run(trial(place))
    sys.stdout.write(json.dumps({**found, "left": sorted(path.name for path in place.iterdir())}))
