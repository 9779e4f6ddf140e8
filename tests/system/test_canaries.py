"""A canary in every secret, over runs that go well and runs that go wrong: none is ever found outside."""

import asyncio
import base64
import json
import os
import shutil
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import text

from bot.db.database import Database
from bot.standin import sample
from bot.standin.forge.faults import Hang, Reply
from bot.workspace.sandbox import find_bwrap
from tests.postgres import END_OTHER_SESSIONS
from tests.system import hostile
from tests.system.canary import SECOND_WEBHOOK_SECRET, found_in, joined, pages_of, places_of, secrets_of
from tests.system.hostile import FINISH, TRUE_CHANGE
from tests.system.rig import MODEL_KEY, WEBHOOK_SECRET, Rig, rig
from tests.system.watching import Seen, Watch, family, kind_of

NOBODY: Final = 65534
PASSWORD: Final = "canary-password-Wm4Xe9Rt2Yk7Zb1Nv6Qs3Lp8Hd5Jg0Fc"
DEBUG: Final = {"AGENT_DEBUG": "true", "GITHUB_WEBHOOK_SECRET": f"{SECOND_WEBHOOK_SECRET},{WEBHOOK_SECRET}"}
WRONG_CHANGE: Final = ("write_file", {"path": "till/money.py", "content": "def split(total, people):\n"})
PROPOSAL: Final = ("propose_change", {"title": "Print the environment", "body": "As told."})
SLOW_GIT_SECONDS: Final = 0.5
SLOW_MODEL_SECONDS: Final = 1.5
ORDERS: Final = hostile.orders(
    ("read_file", {"path": "/proc/self/environ"}),
    ("search_code", {"pattern": "canary", "path": "../.."}),
    ("write_file", {"path": "notes.md", "content": "the key is in `$ANTHROPIC_API_KEY`\n"}),
    TRUE_CHANGE,
    PROPOSAL,
    FINISH,
)


def _book() -> dict[str, Any]:
    """Models for each issue below, on a server that fails now and then, once with the key in its words."""
    obeying = {"name": "obeys", "match": "obey", "obey": True, "turns": []}
    breaking = {"name": "breaks", "match": "break", "turns": [hostile.turn(WRONG_CHANGE, PROPOSAL, FINISH)]}
    refusing = {"name": "refused", "match": "echo", "turns": []}
    faults = [
        {"kind": "hang", "seconds": SLOW_MODEL_SECONDS, "turn": 0},
        {"kind": "status", "status": 500, "type": "api_error", "message": f"bad key {MODEL_KEY}", "turn": 1},
        {"kind": "status", "status": 529, "retry_after": 0.1, "turn": 2},
        {"kind": "nonsense", "turn": 3},
    ]
    return {"scripts": [obeying, breaking, refusing, *sample.BOOK["scripts"]], "faults": faults}


def _make_trouble(product: Rig) -> None:
    """Git and GitHub fail too, at each kind of request."""
    add = product.forge.faults.add
    add("POST", r"git-upload-pack$", Reply(500))
    add("POST", r"git-upload-pack$", Hang(SLOW_GIT_SECONDS), 3)
    add("POST", r"/issues/\d+/comments$", Reply(502, is_after=True))
    add("PATCH", r"/issues/comments/", Reply(503))
    add("POST", r"/pulls$", Reply(502))
    add("POST", r"/git/trees$", Reply(403, headers={"retry-after": "1"}))
    add("POST", r"/assignees$", Reply(403))
    add("DELETE", r"^/installation/token$", Reply(401))
    add("GET", r"/collaborators/", Reply(500, body="<html>Unicorn</html>"))


@pytest.mark.skipif(find_bwrap() is None, reason="no bubblewrap here: nothing of a repository is run")
async def test_no_canary_comes_out_of_runs_that_go_well_or_wrong(tmp_path: Path) -> None:
    environment = {**DEBUG, "HOME": str(_home_with_passwords(tmp_path))}
    async with rig(tmp_path, book=_book(), environment=environment) as product:
        await product.start()
        await product.install()
        await product.until(product.is_working)
        _make_trouble(product)
        assert product.process is not None
        with Watch(product.process.pid).running() as watch:
            numbers = [await product.ask_by_label(title, ORDERS) for title in ("Bug: obey", "Bug: break")]
            numbers.append(await product.ask_by_label())
            memory = await product.until(lambda: _tool_host_memory(product))
            causes = [(await hostile.job_of(product, number))["cause"] for number in numbers]
            secrets = {**await secrets_of(product), "password in .netrc": PASSWORD.encode()}
            _only_root_reads(product.process.pid)
            pages = await pages_of(product)
            await product.stop()

        assert causes == ["pull_request", "verify_failed", "pull_request"]
        assert not [
            rule for rule in product.forge.faults.rules if rule.left and isinstance(rule.action, Reply)
        ]
        kinds = {name.partition(",")[0].split(" ")[0] for name in secrets}
        assert kinds == {"webhook", "second", "model", "private", "token", "key", "password"}
        # One to read and one to write with; jobs share them while they are in use.
        assert sum(name.startswith("token ") for name in secrets) >= 2
        assert {"answer 200 to GET /healthz", "answer 200 to GET /metrics"} <= set(pages)
        assert found_in(await places_of(product) | pages, secrets) == []
        assert found_in({"memory of the tool host": memory}, secrets) == []
        _nothing_to_see(watch.kinds, secrets)


def _home_with_passwords(folder: Path) -> Path:
    """The home of an account whose owner keeps passwords for command lines in it."""
    home = folder / "home"
    home.mkdir()
    (home / ".netrc").write_text(f"machine 127.0.0.1 login me password {PASSWORD}\n")
    (home / ".netrc").chmod(0o600)
    return home


async def _tool_host_memory(product: Rig) -> bytes:
    """What the tool hosts of the moment hold in memory, once there are some."""
    assert product.process is not None
    pids = [pid for pid in family(product.process.pid) if kind_of(_command(pid)) == "tool host"]
    return joined(piece for pid in pids for piece in _memory(pid))


def _memory(pid: int) -> Iterator[bytes]:
    """Every writable piece of a process's memory that can be read."""
    try:
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                first, last = (int(end, 16) for end in line.split()[0].split("-"))
                if line.split()[1].startswith("rw"):
                    memory.seek(first)
                    yield memory.read(last - first)
    except OSError:
        return


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _only_root_reads(pid: int) -> None:
    """Another account cannot read what the supervisor was started with."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return
    who = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
    tried = [
        subprocess.run([*who, "cat", f"/proc/{one}/{name}"], capture_output=True, check=False).returncode
        for one in family(pid)
        for name in ("environ", "maps", "fd/0")
    ]
    assert tried and 0 not in tried


def _nothing_to_see(kinds: dict[str, Seen], secrets: dict[str, bytes]) -> None:
    """No process shows a secret to whoever may look: in its environment, or on its command line."""
    expected = {"supervisor", "web", "worker", "tool host", "launcher", "git fetch", "sandboxed code"}
    assert expected <= set(kinds), sorted(kinds)
    lines = {f"command line of {kind}": joined(seen.command_lines) for kind, seen in kinds.items()}
    shown = {
        f"environment of {kind}": joined(seen.environments)
        for kind, seen in kinds.items()
        if kind != "supervisor"  # it was started with them; who may read it is asked above
    }
    assert found_in({**lines, **shown}, secrets) == []
    if os.geteuid() == 0:  # nobody else may look at all
        assert found_in({"supervisor": joined(kinds["supervisor"].environments)}, secrets)
    assert kinds["tool host"].environments == {b""}
    assert kinds["launcher"].environments <= {b""}
    assert not [kind for kind in shown.values() if b"CANARY" in kind]


@pytest.mark.parametrize("own_database_url", ["postgres"], indirect=True)
async def test_the_password_of_the_database_stays_where_it_belongs(
    tmp_path: Path, own_database_url: str
) -> None:
    await hostile.forget_schemas(own_database_url)
    with_password = own_database_url.replace("postgres@", f"postgres:{PASSWORD}@")
    async with rig(tmp_path, environment={**DEBUG, "DATABASE_URL": with_password}) as product:
        await product.start()
        await product.install()
        await product.until(lambda: product.rows("SELECT pid FROM workers"))
        assert product.process is not None
        with Watch(product.process.pid).running() as watch:
            number = await product.ask_by_label()
            await product.until(lambda: product.rows("SELECT id FROM job_steps"))
            await _end_sessions(own_database_url)
            pages = await pages_of(product)
            job = await hostile.job_of(product, number)
            secrets = {**await secrets_of(product), "database password": PASSWORD.encode()}
            await product.stop()

        assert job["cause"] == "pull_request"
        assert found_in(await places_of(product) | pages, secrets) == []
        shown = {f"command line of {kind}": joined(seen.command_lines) for kind, seen in watch.kinds.items()}
        shown |= {kind: joined(watch.kinds[kind].environments) for kind in ("web", "worker")}
        assert found_in(shown, secrets) == []


async def _end_sessions(url: str) -> None:
    """Cut every connection to a database, so that each process has something to report."""
    database = Database(url)
    try:
        async with database.write() as connection:
            await connection.execute(text(END_OTHER_SESSIONS))
    finally:
        await database.close()


# ── as a normal user ─────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that an account without rights may use."""
    folder = Path(tempfile.mkdtemp(prefix="iw-nobody-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def _python_for_everybody(folder: Path) -> list[str]:
    """The start of a command that runs our Python without rights; skips where there is none."""
    if os.geteuid() != 0:
        return [sys.executable]
    system = "/usr/bin/python3"
    said = (
        subprocess.run([system, "--version"], capture_output=True, text=True, check=False)
        if Path(system).exists()
        else None
    )
    mine = f"Python {sys.version_info.major}.{sys.version_info.minor}."
    if said is None or not said.stdout.startswith(mine) or shutil.which("setpriv") is None:
        pytest.skip(f"no setpriv, or {system} is no {mine}x: nothing to run as a normal user")
    made = subprocess.run(
        [system, "-m", "venv", "--without-pip", folder / "venv"], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip(f"{system} makes no environments")
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    (packages / "product.pth").write_text(
        "\n".join([*site.getsitepackages(), str(Path(__file__).parents[2])])
    )
    who = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all"]
    command = ["setpriv", *who, "--bounding-set=-all", "--", str(folder / "venv" / "bin" / "python")]
    asked = subprocess.run(
        [*command, "-I", "-c", "import bot.app"], capture_output=True, check=False, cwd="/"
    )
    if asked.returncode != 0:
        pytest.skip(f"a normal user cannot read the packages: {asked.stderr[-200:]!r}")
    return command


async def test_as_a_normal_user_no_neighbour_reads_the_processes(open_folder: Path) -> None:
    python = _python_for_everybody(open_folder)
    book = {"scripts": [{"name": "obeys", "match": "", "obey": True}]}
    async with rig(open_folder, book=book, environment=DEBUG) as product:
        await _start_as(product, python)
        await product.install()
        await product.until(lambda: product.rows("SELECT pid FROM workers"))
        product.forge.faults.add("POST", r"git-upload-pack$", Hang(SLOW_GIT_SECONDS))
        product.model.play({**book, "faults": [{"kind": "hang", "seconds": SLOW_MODEL_SECONDS, "turn": 0}]})
        assert product.process is not None
        with Watch(product.process.pid).running() as watch:
            number = await product.ask_by_label(body=ORDERS)
            # The model is asked once the tool host has said that it is confined.
            await product.until(lambda: product.rows("SELECT id FROM job_steps"))
            read = _read_by_a_neighbour(python, family(product.process.pid))
            job = await hostile.job_of(product, number)
            secrets = await secrets_of(product)
            await product.stop()

        assert job["cause"] == "pull_request", job["error"]
        assert found_in(await places_of(product), secrets) == []
        assert {"web", "worker", "tool host", "supervisor"} <= set(watch.kinds)
        for kind in ("supervisor", "web", "worker", "tool host"):
            assert read[kind] == b"", f"a neighbour reads the {kind}"
            assert 0 in watch.kinds[kind].owners, f"the {kind} never became undumpable"
        assert watch.kinds["tool host"].environments == {b""}


async def _start_as(product: Rig, python: Sequence[str]) -> None:
    """Start the product with another *python*, in folders that belong to whoever runs it."""
    if os.geteuid() == 0:
        for path in (product.folder, product.log_dir):
            os.chown(path, NOBODY, NOBODY)
    words = [
        "-P",
        "-m",
        "bot.cli.main",
        "serve",
        "--port",
        str(product.port),
        "--log-dir",
        str(product.log_dir),
    ]
    with (product.folder / "supervisor.log").open("ab") as log:
        product.process = await asyncio.create_subprocess_exec(
            *python,
            *words,
            env={**product.environment, "HOME": str(product.folder)},
            cwd=product.folder,
            stderr=log,
            start_new_session=True,
        )
    await product.until(product.is_ready)


_NEIGHBOUR: Final = """
import contextlib, json, sys
found = {}
for pid in sys.argv[1:]:
    found[pid] = ""
    for name in ("environ", "maps"):
        with contextlib.suppress(OSError):
            found[pid] += open(f"/proc/{pid}/{name}", encoding="latin-1").read()
print(json.dumps(found))
"""


def _read_by_a_neighbour(python: Sequence[str], pids: Sequence[int]) -> dict[str, bytes]:
    """What another process of the same account reads of these, by kind of process."""
    command = [*python, "-I", "-c", _NEIGHBOUR, *map(str, pids)]
    done = subprocess.run(command, capture_output=True, check=True, cwd="/")
    found: dict[str, bytes] = {}
    for pid, content in json.loads(done.stdout).items():
        kind = kind_of(_command(int(pid)))
        found[kind] = found.get(kind, b"") + content.encode("latin-1")
    return found


# ── the search itself ────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("cut", [0, 1, 10])
def test_the_search_finds_a_canary_in_every_spelling(cut: int) -> None:
    whole = PASSWORD.encode()
    secret = whole[cut : len(whole) - cut]
    written = [
        secret,
        secret[::-1],
        secret.hex().encode(),
        secret.hex().upper().encode(),
        *(base64.b64encode(b"x" * shift + secret) for shift in range(3)),
        *(base64.urlsafe_b64encode(b"x" * shift + secret + b"yz") for shift in range(3)),
    ]
    for text_ in written:
        assert found_in({"place": b"before " + text_ + b" after"}, {"password": whole}), text_
    assert found_in({"place": b"nothing of it"}, {"password": whole}) == []
    assert found_in({"place": JWT_LIKE}, {}) == ["a signed token in place"]


JWT_LIKE: Final = b"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiI0MjQyNDIifQ.c2lnbmF0dXJl"
