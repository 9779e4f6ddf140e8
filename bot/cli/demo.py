"""`issuewright demo`: the main job from a label to a draft pull request, on this machine, without keys."""

import argparse
import asyncio
import json
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from bot.cli import demo_facts
from bot.cli.demo_facts import Feed, Line
from bot.cli.demo_view import View
from bot.cli.demo_world import (
    Product,
    StandIns,
    free_port,
    made_up_secret,
    product_environment,
)
from bot.cli.terminal import EXIT_FAILED, EXIT_OK, result
from bot.db.database import Database
from bot.domain.enums import Cause
from bot.errors import IssuewrightError, UserError

JOB_SECONDS: Final = 180.0
LOOK_SECONDS: Final = 0.15


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that the demo has running."""

    folder: Path
    standins: StandIns
    product: Product
    view: View
    is_pulling: bool


def run(arguments: argparse.Namespace) -> int:
    """Play the demo; 0 when a draft pull request stands at the end.

    Raises:
        UserError: Something did not start, or did not end in time; the sentence says where to look.
    """
    folder = Path(tempfile.mkdtemp(prefix="issuewright-demo-"))
    (folder / "logs").mkdir()
    view = View(to_stderr=arguments.json)
    try:
        code = asyncio.run(_play(folder, view, arguments))
    except IssuewrightError as error:
        raise UserError(f"{error}\nEverything is kept in {folder}.") from error
    if code == EXIT_OK and not arguments.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return code


async def _play(folder: Path, view: View, arguments: argparse.Namespace) -> int:
    began_at = time.monotonic()
    view.open()
    async with aiohttp.ClientSession() as session:
        with view.working():
            stage = await _set(folder, view, session, is_pulling=arguments.pull)
        try:
            with view.working():
                found = await _watch(stage)
            found["seconds"] = round(time.monotonic() - began_at, 2)
            is_good = await _show(stage, found, keep=arguments.keep)
            if arguments.json:
                result(json.dumps(found))
            if arguments.keep and is_good:
                await _leave_running(stage)
            return EXIT_OK if is_good else EXIT_FAILED
        finally:
            await stage.product.stop()
            await stage.standins.stop()


async def _set(folder: Path, view: View, session: aiohttp.ClientSession, *, is_pulling: bool) -> Stage:
    """Start everything, introduce the App to the product, and let a person ask."""
    api_key, webhook_secret = made_up_secret(), made_up_secret()
    standins = await StandIns.start(folder, api_key, session)
    known = None if is_pulling else webhook_secret
    environment = product_environment(folder, standins.at, webhook_secret=known, api_key=api_key)
    product = Product(folder, free_port(), environment, session)
    view.tell(Line("stage", f"stand-in GitHub at {standins.at.forge_url}, stand-in model beside it"))
    try:
        await product.start()
    except BaseException:
        await product.stop()
        await standins.stop()
        raise
    view.tell(Line("stage", f"issuewright serve at {product.url}: supervisor, web and worker"))
    # In pull mode GitHub posts to a place where nobody listens, signed with what nobody knows.
    where = f"http://127.0.0.1:{free_port()}/nobody" if is_pulling else f"{product.url}/webhooks/github"
    played = standins.at
    await standins.do("webhook", url=where, secret=webhook_secret, ping=True)
    await standins.do("people/install", account=played.owner)
    number = (
        await standins.do(
            "people/open_issue",
            repository=played.repository,
            author=played.person,
            title=played.title,
            body=played.body,
        )
    )["result"]
    asked = {"repository": played.repository, "number": number, "label": played.label}
    await standins.do("people/add_label", sender=played.person, **asked)
    words = f"{played.person} puts the label {played.label} on {played.repository}#{number}: {played.title}"
    view.tell(Line("stage", words))
    return Stage(folder, standins, product, view, is_pulling)


async def _watch(stage: Stage) -> dict[str, Any]:
    """Tell what happens until the job has ended; a product that dies meanwhile is started again."""
    database = Database(stage.product.database_url)
    feed = Feed(database)
    try:
        async with asyncio.timeout(JOB_SECONDS):
            while not await _look(stage, database, feed):  # noqa: ASYNC110 - another process is looked at
                await asyncio.sleep(LOOK_SECONDS)
        state = await stage.standins.state()
        bot_login = f"{state['app']['slug']}[bot]"
        (repository,) = state["repositories"]
        return await demo_facts.summary(database, repository["threads"], bot_login)
    except TimeoutError as error:
        raise UserError(f"the job did not end within {JOB_SECONDS:.0f} seconds") from error
    finally:
        await database.close()


async def _look(stage: Stage, database: Database, feed: Feed) -> bool:
    """Tell the news; whether the job has ended. A product that died is started again."""
    is_over = await demo_facts.is_over(database)
    for line in await feed.news():
        stage.view.tell(line)
    if not is_over and await stage.product.restart_if_dead():
        stage.view.tell(Line("stage", "the product died and was started again", is_good=False))
        if not stage.is_pulling:
            await stage.standins.do("redeliver")
    return is_over


async def _show(stage: Stage, found: dict[str, Any], *, keep: bool) -> bool:
    """The change, the record, the result; whether it is the one that was to come."""
    job, pull = found["job"], found["pull_request"]
    if job["cause"] != Cause.PULL_REQUEST or pull is None:
        stage.view.fail(f"The job ended with {job['cause']}: {job['error']}. Logs: {stage.folder / 'logs'}")
        return False
    database = Database(stage.product.database_url)
    try:
        patch = await demo_facts.diff_of(database)
    finally:
        await database.close()
    stage.view.diff(patch)
    stage.view.record(found["verification"])
    await _warn_of_sandbox(stage, found)
    clone = await _clone(stage, pull)
    stage.view.tell(Line("stage", f"cloned {pull['head']} from the stand-in GitHub: {clone}"))
    where = _places(stage, pull) if keep else [("look around yourself", "issuewright demo --keep")]
    stage.view.close(found, where)
    return True


def _places(stage: Stage, pull: dict[str, Any]) -> list[tuple[str, str]]:
    """Where to look while it is left running."""
    clone = (
        f"git clone --branch {pull['head']} {stage.standins.at.git_url}/{stage.standins.at.repository}.git"
    )
    return [
        ("clone it", clone),
        ("thread and pull request", f"{stage.standins.at.forge_url}/_forge/state"),
        ("health", f"{stage.product.url}/api/agents/health"),
        ("database", str(stage.folder / "data" / "issuewright.db")),
        ("logs", str(stage.folder / "logs")),
    ]


async def _warn_of_sandbox(stage: Stage, found: dict[str, Any]) -> None:
    """Where the tests did not run: the reason and the remedy, as the product's health says them."""
    if all(each["exit_code"] is not None for each in found["verification"]):
        return
    async with stage.product.session.get(f"{stage.product.url}/api/agents/health") as answer:
        check = (await answer.json())["checks"]["sandbox"]
    stage.view.fail(f"The tests were not run: {check['message']}")


async def _clone(stage: Stage, pull: dict[str, Any]) -> str:
    """Clone the branch as anybody could; the last commit in a line.

    Raises:
        UserError: git says no, or the branch is not at the pull request's commit.
    """
    target = stage.folder / "clone"
    url = f"{stage.standins.at.git_url}/{stage.standins.at.repository}.git"
    await _git("clone", "--quiet", "--branch", pull["head"], url, str(target))
    said = await _git("-C", str(target), "log", "-1", "--shortstat", "--format=%H %s")
    sha, _, rest = said.partition(" ")
    if sha != pull["sha"]:
        raise UserError(f"the branch stands at {sha}, the pull request at {pull['sha']}")
    return " ".join(rest.split())


async def _git(*words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "git", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, complaint = await process.communicate()
    if process.returncode:
        raise UserError(f"git {words[0]} failed: {complaint.decode(errors='replace').strip()}")
    return said.decode(errors="replace").strip()


async def _leave_running(stage: Stage) -> None:
    """Wait for Ctrl-C, looking after the product."""
    stage.view.say("Everything keeps running; Ctrl-C ends it.")
    while True:
        await stage.product.restart_if_dead()
        await asyncio.sleep(1.0)
