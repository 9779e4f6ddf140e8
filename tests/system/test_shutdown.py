"""Stopping, losing one process, and starts that cannot be: what the operator sees, and what the job sees."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bot.standin import sample
from bot.standin.forge.faults import Hang
from tests.system.effects import jobs_of, one_pull_request
from tests.system.places import away
from tests.system.rig import Rig, rig

STOP_SECONDS = 30.0
MODEL_HANGS = away("hang", turn=1)
BAD_PEM = "-----BEGIN RSA PRIVATE KEY-----\nbm90IGEga2V5IGF0IGFsbA==\n-----END RSA PRIVATE KEY-----\n"
# A key of another kind in the same wrapping as an RSA key.
EC_KEY = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode()
)


def child(product: Rig, name: str) -> int:
    """The process id of the supervisor's child *name*, 0 when it is not there."""
    assert product.process is not None
    pid = product.process.pid
    for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        words = Path(f"/proc/{word}/cmdline").read_bytes().split(b"\0")
        if name.encode() in words:
            return int(word)
    return 0


async def hanging_job(product: Rig) -> int:
    """Start the product and a job whose model does not answer its second request; the issue's number."""
    await product.start()
    await product.install()
    product.model.play(MODEL_HANGS)
    number = await product.ask_by_label()

    async def does_hang() -> bool:
        return len(product.model.requests) == 3  # the look, the first turn, and the one that hangs

    await product.until(does_hang)
    product.model.play(sample.BOOK)
    return number


async def timed_stop(product: Rig) -> tuple[int, float]:
    """The exit code after SIGTERM, and how long the end took in seconds."""
    began = time.monotonic()
    code = await product.stop()
    return code, time.monotonic() - began


async def test_sigterm_hands_a_running_job_back_and_the_next_start_ends_it(tmp_path: Path) -> None:
    async with rig(tmp_path) as product:
        number = await hanging_job(product)
        code, seconds = await timed_stop(product)
        assert code == 0
        assert seconds < STOP_SECONDS
        (job,) = await jobs_of(product, number)
        assert (job["status"], job["issueStatus"], job["attempts"]) == ("PENDING", "QUEUED", 0)
        assert "handed back" in job["error"]
        assert await product.rows("SELECT id FROM workers") == []

        await product.start()
        await product.redeliver()
        await one_pull_request(product, number)


async def test_sigterm_while_a_write_is_on_its_way_leaves_one_effect(tmp_path: Path) -> None:
    async with rig(tmp_path) as product:
        await product.start()
        await product.install()
        product.forge.faults.add("POST", r"/pulls$", Hang(is_after=True))
        number = await product.ask_by_label()
        await product.forge.faults.until_hanging()
        code, seconds = await timed_stop(product)
        assert code == 0
        assert seconds < STOP_SECONDS
        product.forge.faults.clear()

        await product.start()
        await product.redeliver()
        await one_pull_request(product, number)


async def test_a_worker_that_dies_alone_is_started_again_and_its_job_ends_once(tmp_path: Path) -> None:
    async with rig(tmp_path) as product:
        number = await hanging_job(product)
        os.kill(child(product, "worker"), signal.SIGKILL)
        await one_pull_request(product, number)
        assert "worker ended (killed by SIGKILL); starting it again" in product.said


async def test_a_web_process_that_dies_alone_is_started_again_and_nothing_is_lost(tmp_path: Path) -> None:
    async with rig(tmp_path) as product:
        number = await hanging_job(product)
        old = child(product, "web")
        os.kill(old, signal.SIGKILL)
        second = await product.ask_by_label()

        async def is_new() -> bool:
            return child(product, "web") not in {0, old} and await product.is_ready()

        await product.until(is_new)
        await product.redeliver()
        await one_pull_request(product, second)
        await product.forge.close_issue(sample.REPOSITORY, number, sample.PERSON)

        async def is_cancelled() -> bool:
            (job,) = await jobs_of(product, number)
            return bool(job["status"] == "CANCELLED")

        await product.until(is_cancelled)


# ── starts that cannot be ────────────────────────────────────────────────────────────────────────
async def refusal(product: Rig, changes: Mapping[str, str | None]) -> tuple[int, str]:
    """What `issuewright serve` says and exits with when it starts with a changed environment."""
    environment = {**product.environment, **changes}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "bot.cli.main", "serve", "--port", str(product.port)),
        env={name: text for name, text in environment.items() if text is not None},
        cwd=product.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    async with asyncio.timeout(60):
        out, told = await process.communicate()
    assert out == b""
    return process.returncode or 0, told.decode()


async def test_a_port_in_use_is_one_sentence_and_exit_1(tmp_path: Path) -> None:
    async with rig(tmp_path) as product:
        with socket.create_server(("127.0.0.1", product.port)):
            code, told = await refusal(product, {})
    assert code == 1
    assert len(told.splitlines()) == 1
    assert f"port {product.port} on 127.0.0.1 is in use" in told
    assert not (tmp_path / "data").exists(), "nothing was begun"


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"GITHUB_WEBHOOK_SECRET": None}, ["GITHUB_WEBHOOK_SECRET"]),
        ({"GITHUB_WEBHOOK_SECRET": "short"}, ["GITHUB_WEBHOOK_SECRET"]),
        ({"GITHUB_APP_ID": None}, ["GITHUB_APP_ID"]),
        ({"GITHUB_PRIVATE_KEY": None}, ["GITHUB_PRIVATE_KEY"]),
        ({"GITHUB_PRIVATE_KEY": "no key"}, ["GITHUB_PRIVATE_KEY"]),
        ({"GITHUB_PRIVATE_KEY": BAD_PEM}, ["GITHUB_PRIVATE_KEY"]),
        ({"GITHUB_PRIVATE_KEY": EC_KEY}, ["GITHUB_PRIVATE_KEY"]),
        ({"DATABASE_URL": "postgresql://nobody:secret-password@h/none?sslmode=odd"}, ["DATABASE_URL"]),
        ({"DATABASE_URL": "sqlite+aiosqlite:////proc/nowhere/issuewright.db"}, ["DATABASE_URL"]),
        (
            {"GITHUB_WEBHOOK_SECRET": None, "ANTHROPIC_API_KEY": None, "PORT": "many"},
            ["GITHUB_WEBHOOK_SECRET", "ANTHROPIC_API_KEY", "PORT"],
        ),
    ],
    ids=["unsigned", "short", "no_app", "no_key", "no_pem", "bad_pem", "ec_key", "postgres", "sqlite", "all"],
)
async def test_a_start_that_cannot_be_is_one_report_and_exit_2(
    changes: dict[str, str | None], names: list[str], tmp_path: Path
) -> None:
    async with rig(tmp_path) as product:
        code, told = await refusal(product, changes)
    assert code == 2
    for name in names:
        assert told.count(name) == 1, told
    assert "Traceback" not in told and "secret-password" not in told
