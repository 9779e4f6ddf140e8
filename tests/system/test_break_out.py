"""A repository whose tests try to break out of the sandbox: they get nothing and leave nothing."""

import asyncio
import base64
import json
import secrets as random
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from bot.standin import sample
from bot.workspace.sandbox import find_bwrap
from tests.system import break_out, canary, hostile
from tests.system.hostile import SMUGGLED, nothing_smuggled
from tests.system.rig import Rig, rig
from tests.system.watching import family, gone_within

BREAK_OUT: Final = Path(break_out.__file__)
CONFIG: Final = "verify: python3 break_out.py\n"
LEFT_BEHIND: Final = "917.40625"
GONE_SECONDS: Final = 5.0


@dataclass(slots=True)
class _Doors:
    """Open sockets of this machine; `visitors` names the one through which somebody came."""

    port: int
    abstract_name: str
    visitors: list[str] = field(default_factory=list)


@asynccontextmanager
async def _open_doors(folder: Path) -> AsyncIterator[_Doors]:
    """A TCP port, an abstract socket and one in *folder*, all of them willing."""
    doors = _Doors(0, f"\0issuewright-{random.token_hex(8)}")

    def door(name: str) -> Any:
        def visited(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            doors.visitors.append(name)
            writer.close()

        return visited

    servers = [
        await asyncio.start_server(door("port"), "127.0.0.1", 0),
        await asyncio.start_unix_server(door("abstract"), doors.abstract_name),
        await asyncio.start_unix_server(door("path"), folder / "door"),
    ]
    doors.port = servers[0].sockets[0].getsockname()[1]
    try:
        yield doors
    finally:
        for server in servers:
            server.close()
            await server.wait_closed()


@pytest.mark.skipif(find_bwrap() is None, reason="no bubblewrap here: nothing of a repository is run")
async def test_a_repository_whose_tests_try_to_break_out_gets_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path) as product, _open_doors(tmp_path) as doors:
        await product.start()
        await product.install()
        await product.until(lambda: product.rows("SELECT pid FROM workers"))
        files = {"facts.json": json.dumps(_facts(product, doors)), ".github/issuewright.yml": CONFIG}
        files["break_out.py"] = BREAK_OUT.read_text()
        await product.forge.commit(sample.REPOSITORY, "main", files, sample.PERSON)
        number = await product.ask_by_label()
        job = await hostile.job_of(product, number)
        is_gone = gone_within(LEFT_BEHIND, GONE_SECONDS)

        records = await product.rows("SELECT * FROM verifications ORDER BY id")
        assert [(row["when"], row["exitCode"], row["tier"]) for row in records] == [
            ("before", 3, "sandbox"),
            ("after", 3, "sandbox"),
        ], records
        said = [json.loads(row["output"]) for row in records]
        assert [one["succeeded"] for one in said] == [[], []]
        assert said[0]["tried"] > 40
        assert is_gone
        assert doors.visitors == []
        assert _written(product) == []
        secrets = await canary.secrets_of(product)
        loot = {
            f"{name} {way}": base64.b64decode(one["loot"][name])
            for way, one in enumerate(said)
            for name in one["loot"]
        }
        assert canary.found_in(loot, secrets) == []
        assert job["cause"] == "verify_failed"
        (kept,) = await product.rows("SELECT * FROM agent_artifacts WHERE type = 'CODE_CHANGE'")
        assert kept["filePath"] == "till/money.py"
        assert SMUGGLED not in kept["content"]
        await nothing_smuggled(product)


def test_outside_a_sandbox_the_attempts_succeed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    facts = {
        "files": [str(secret)],
        "folders": [str(tmp_path)],
        "places_to_write": [str(tmp_path / "out")],
        "addresses": [],
        "unix_sockets": [],
        "pids": [],
        "smuggled, backwards": SMUGGLED[::-1],
        "sleep": "0",
    }
    (tmp_path / "till").mkdir()
    (tmp_path / "facts.json").write_text(json.dumps(facts))
    done = subprocess.run(
        [sys.executable, "-I", BREAK_OUT],
        cwd=tmp_path,
        env={"MARK": "seen"},
        capture_output=True,
        check=False,
    )
    said = json.loads(done.stdout)
    assert done.returncode == 3, done.stderr
    names = {name.split()[0] for name in said["succeeded"]}
    assert {"_read", "_read_by_another_root", "_list", "_write"} <= names
    loot = [base64.b64decode(piece) for name, piece in said["loot"].items() if name.endswith("environ")]
    assert any(b"MARK=seen" in piece for piece in loot)


def _written(product: Rig) -> list[str]:
    return [path for path in _places_to_write(product) if Path(path).exists()]


def _places_to_write(product: Rig) -> list[str]:
    """Paths outside the sandbox at which nothing may appear."""
    folder = product.folder
    beside = [folder / "out", folder / "data" / "out", folder / "data" / "workspace" / "out"]
    return [*map(str, beside), "/usr/smuggled", "/etc/smuggled", "/smuggled", "/run/smuggled"]


def _facts(product: Rig, doors: "_Doors") -> dict[str, Any]:
    """What the attacker is after."""
    assert product.process is not None
    folder = product.folder
    database = folder / "data" / "issuewright.db"
    ports = [
        product.port,
        *(int(url.rsplit(":", 1)[1]) for url in (product.forge.api_url, product.model.url)),
    ]
    return {
        "files": [
            str(database),
            f"{database}-wal",
            str(folder / "supervisor.log"),
            str(folder / "logs" / "worker.log"),
            str(product.forge.world.repository(sample.REPOSITORY).path / "config"),
            "/etc/shadow",
            str(Path.home() / ".bashrc"),
            str(Path(__file__)),
            "/proc/sys/kernel/core_pattern/../../../1/environ",
        ],
        "folders": [str(folder), str(folder / "data" / "workspace"), "/home", "/srv", "/var/lib"],
        "places_to_write": [*_places_to_write(product), "/proc/sysrq-trigger", "/sys/kernel/uevent_helper"],
        "addresses": [
            *(["127.0.0.1", port] for port in [*ports, doors.port]),
            ["169.254.169.254", 80],
            ["10.0.0.1", 22],
            ["1.1.1.1", 443],
        ],
        "unix_sockets": [doors.abstract_name, str(folder / "door")],
        "pids": family(product.process.pid),
        "smuggled, backwards": SMUGGLED[::-1],
        "sleep": LEFT_BEHIND,
    }
