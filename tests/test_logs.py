"""Log lines: JSON, ids bound once, no secret at any depth."""

import asyncio
import io
import json
import logging
from typing import Any

import pytest

from bot import logs
from bot.redaction import BLANK

SECRET = "canary-of-a-secret"


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_one_json_object(out: io.StringIO) -> None:
    logs.configure("worker", stream=out)
    logs.get("bot.somewhere").info("job ended", cost_usd=0.5, paths=("a", "b"), cause=None)
    (line,) = lines(out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "job ended",
        "level": "info",
        "logger": "bot.somewhere",
        "process": "worker",
        "cost_usd": 0.5,
        "paths": ["a", "b"],
        "cause": None,
    }


def test_ids_bound_once_stand_in_every_line_within(out: io.StringIO) -> None:
    logs.configure("worker", stream=out)
    log = logs.get("bot.somewhere")
    with logs.bound(job_id="j1"):
        log.info("in")
        logging.getLogger("library").warning("in, too")
    log.info("out")
    assert [line.get("job_id") for line in lines(out)] == ["j1", "j1", None]


async def test_ids_of_one_task_do_not_reach_another(out: io.StringIO) -> None:
    logs.configure("web", stream=out)

    async def request(number: int) -> None:
        logs.bind(delivery_id=number)
        await asyncio.sleep(0)
        logs.get("bot.web").info("answered", number=number)

    await asyncio.gather(request(1), request(2))
    assert [(line["delivery_id"], line["number"]) for line in lines(out)] == [(1, 1), (2, 2)]


def test_libraries_write_the_same_form(out: io.StringIO) -> None:
    logs.configure("web", stream=out)
    logging.getLogger("aiohttp.server").error("Error handling request from %s", "127.0.0.1")
    assert lines(out)[0]["event"] == "Error handling request from 127.0.0.1"


def test_libraries_that_tell_of_every_statement_are_quiet(out: io.StringIO) -> None:
    logs.configure("web", debug=True, stream=out)
    logging.getLogger("sqlalchemy.engine.Engine").info("INSERT …")
    logging.getLogger("aiosqlite").debug("executing …")
    assert not lines(out)


@pytest.mark.parametrize(("debug", "count"), [(False, 0), (True, 1)])
def test_our_debug_lines_come_on_request(out: io.StringIO, debug: bool, count: int) -> None:
    logs.configure("web", debug=debug, stream=out)
    logs.get("bot.somewhere").debug("detail")
    assert len(lines(out)) == count


def test_no_secret_is_written_at_any_depth(out: io.StringIO) -> None:
    class Told:
        def __repr__(self) -> str:
            return f"Told({SECRET})"

    logs.configure("worker", secrets=[SECRET], stream=out)
    log = logs.get("bot.somewhere")
    log.info(SECRET, value=SECRET, deep={SECRET: [{"x": (SECRET,)}]}, other=Told(), more={Told()})
    logging.getLogger("library").warning("%s", SECRET)
    assert SECRET not in out.getvalue()
    assert lines(out)[0]["deep"] == {BLANK: [{"x": [BLANK]}]}


def test_no_secret_is_written_with_an_exception(out: io.StringIO) -> None:
    logs.configure("worker", secrets=[SECRET], stream=out)
    try:
        raise ValueError(f"wrong key {SECRET}")
    except ValueError:
        logs.get("bot.somewhere").exception("failed")
    (line,) = lines(out)
    assert "ValueError: wrong key" in line["exception"]
    assert BLANK in line["exception"] and SECRET not in out.getvalue()


def test_an_endless_value_ends(out: io.StringIO) -> None:
    endless: dict[str, object] = {}
    endless["self"] = endless
    logs.configure("worker", stream=out)
    logs.get("bot.somewhere").info("x", value=endless)
    assert "{...}" in out.getvalue()


def test_a_line_cannot_be_forged(out: io.StringIO) -> None:
    logs.configure("worker", stream=out)
    logs.get("bot.somewhere").info("x", value='a\n{"event": "forged"}\u2028\x1b[2J')
    assert len(lines(out)) == 1
    assert out.getvalue().isascii() and "\x1b" not in out.getvalue()


def test_configuring_twice_writes_once(out: io.StringIO) -> None:
    logs.configure("web", stream=io.StringIO())
    logs.configure("worker", stream=out)
    logs.get("bot.somewhere").info("x")
    assert [line["process"] for line in lines(out)] == ["worker"]
