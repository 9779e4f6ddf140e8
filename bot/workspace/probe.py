"""The escape probe: before any stranger's code runs, ours tries to break out, for real.

It runs as a verification would: the same tool host, launcher, namespaces and limits.
"""

import asyncio
import json
import os
import pwd
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bot.domain.enums import Tier
from bot.domain.values import CommandRecord, SandboxStatus
from bot.errors import Permanent
from bot.workspace import toolchains
from bot.workspace.host import ProcessToolHost
from bot.workspace.removal import remove_tree
from bot.workspace.sandbox import Launcher, find_bwrap, missing_programs
from bot.workspace.toolhost.confine import files_uid

PROBE_TIMEOUT_SECONDS = 60.0
INSTALL_REMEDY = "Install bubblewrap 0.8 or newer (apt install bubblewrap) and start again."
USERNS_REMEDY = (
    "Allow namespaces: on Ubuntu 24.04 and newer install the apparmor profile bwrap-userns-restrict or set "
    "kernel.apparmor_restrict_unprivileged_userns=0; where it exists set kernel.unprivileged_userns_clone=1; "
    "in Docker give the container a seccomp profile that allows clone, unshare and mount."
)
_ATTEMPTS = Path(__file__).with_name("escape_attempts.py")


@dataclass(frozen=True, slots=True)
class Bait:
    """What the attempts go for; `canary` must never be seen inside."""

    canary_path: str
    home: str
    port: int
    outside: str


async def probe(chains: tuple[str, ...] = ()) -> SandboxStatus:
    """Whether repository code can be held here, with the operator's toolchains *chains* in sight.

    Never raises for a sandbox that does not hold.
    """
    bwrap = find_bwrap()
    if bwrap is None:
        return SandboxStatus(Tier.NONE, "bubblewrap (bwrap) 0.8 or newer was not found", INSTALL_REMEDY)
    if missing := missing_programs():
        reason = f"{' and '.join(missing)} of util-linux was not found"
        return SandboxStatus(Tier.NONE, reason, "Install util-linux and start again.")
    return await probe_with(bwrap, chains)


async def probe_with(bwrap: str, chains: tuple[str, ...] = ()) -> SandboxStatus:
    """As `probe`, with the launcher *bwrap*."""
    place = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="issuewright-probe-"))
    canary = secrets.token_hex(16)
    try:
        async with _bait(place, canary) as bait:
            return await _attempt(place, Launcher(bwrap, chains), bait, canary)
    except Permanent as error:
        return SandboxStatus(Tier.NONE, f"the sandbox does not start: {error}", USERNS_REMEDY)
    finally:
        await asyncio.to_thread(remove_tree, place)


async def _attempt(place: Path, launcher: Launcher, bait: Bait, canary: str) -> SandboxStatus:
    job = await asyncio.to_thread(_lay_out, place, bait)
    host = ProcessToolHost(job, SandboxStatus(Tier.SANDBOX), launcher.bwrap, launcher.toolchains)
    try:
        record = await host.verify("python3 -I attempts.py", timeout_seconds=PROBE_TIMEOUT_SECONDS)
        status = _read(record, canary, is_written=(place / "outside").exists())
        if status.tier is not Tier.SANDBOX:
            return status
        asked = await host.verify(toolchains.question(), timeout_seconds=PROBE_TIMEOUT_SECONDS)
    finally:
        await host.close()
    return replace(status, programs=toolchains.programs(asked.output))


def _lay_out(place: Path, bait: Bait) -> Path:
    """A job's directory whose tree holds the attempts."""
    job = place / "job"
    tree = job / "tree"
    tree.mkdir(parents=True)
    (tree / "attempts.py").write_bytes(_ATTEMPTS.read_bytes())
    (tree / "bait.json").write_text(json.dumps(asdict(bait)))
    for path in (tree, *tree.iterdir()):
        os.chown(path, files_uid(), -1)
    return job


def _read(record: CommandRecord, canary: str, *, is_written: bool) -> SandboxStatus:
    if record.exit_code == 0:
        return _judged(record.output, canary, is_written=is_written)
    words = record.reason or record.output[-300:].strip() or f"exit code {record.exit_code}"
    return SandboxStatus(Tier.NONE, f"the sandbox does not start: {words}", USERNS_REMEDY)


def _judged(output: str, canary: str, *, is_written: bool) -> SandboxStatus:
    try:
        findings = json.loads(output)
        escapes, works = list(findings["escapes"]), bool(findings["works"])
    except (ValueError, KeyError, TypeError):
        return SandboxStatus(Tier.NONE, "the probe inside the sandbox gave no answer", USERNS_REMEDY)
    if canary in output or is_written:
        escapes.append("a canary came out")
    if escapes:
        return SandboxStatus(Tier.NONE, f"the sandbox does not hold: {', '.join(escapes)}", USERNS_REMEDY)
    if not works:
        return SandboxStatus(Tier.NONE, "the sandbox does not let code write to its own copy", USERNS_REMEDY)
    return SandboxStatus(Tier.SANDBOX)


@asynccontextmanager
async def _bait(place: Path, canary: str) -> AsyncIterator[Bait]:
    """A secret file, a neighbour with a secret in its environment, and an open port on this machine."""
    secret = await asyncio.to_thread(_hide, place, canary)
    listener = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    seconds = str(int(PROBE_TIMEOUT_SECONDS * 2))
    neighbour = await asyncio.create_subprocess_exec("/bin/sleep", seconds, env={"CANARY": canary})
    try:
        port = listener.sockets[0].getsockname()[1]
        yield Bait(str(secret), _own_home(), port, str(place / "outside"))
    finally:
        neighbour.kill()
        await neighbour.wait()
        listener.close()
        await listener.wait_closed()


def _hide(place: Path, canary: str) -> Path:
    """A file that everybody could read, if only they saw it."""
    secret = place / "secret"
    secret.write_text(canary)
    secret.chmod(0o644)
    place.chmod(0o755)
    return secret


def _own_home() -> str:
    """The home of our account; an account without an entry has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return "/nonexistent"
