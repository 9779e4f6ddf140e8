"""`POST /webhooks/github` under load and in trouble: sizes, times, a database that is away, a bug."""

import asyncio
import gzip
import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from aiohttp import ClientSession, StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from bot import logs
from bot.db import backlog, migrate
from bot.db.database import Database
from bot.db.deliveries import PART_BYTES, Accepted, IncomingDelivery
from bot.db.inbox_sqlite import SqliteWriter
from bot.db.tables import deliveries
from bot.domain.values import Scope
from bot.errors import RetryLater
from bot.intake.inbox import Inbox
from bot.limits import WEBHOOK_MAX_BYTES
from bot.web.answers import Refused
from bot.web.app import make_app
from bot.web.bodies import Bodies
from bot.web.deps import WebDeps
from bot.web.hooks import GitHubHooks
from tests.payloads import issues_event
from tests.web.conftest import HOOK, RecordingInbox, Site, running, signed

LABELED = issues_event("labeled", label="agent")
BODY = orjson.dumps(LABELED)


async def stream(body: bytes, *, pause: asyncio.Event | None = None) -> AsyncIterator[bytes]:
    """A body that does not tell its size; with *pause* it stops in the middle until that is set."""
    half = len(body) // 2
    yield body[:half]
    if pause:
        await pause.wait()
    for start in range(half, len(body), 1024 * 1024):
        yield body[start : start + 1024 * 1024]


async def send(
    client: ClientSession, signed_body: bytes, data: bytes | AsyncIterator[bytes], *, path: str = HOOK
) -> int:
    """Post *data* with the signature of *signed_body*; returns the status."""
    async with client.post(path, data=data, headers=signed(signed_body)) as response:
        return response.status


async def test_the_largest_body_that_github_sends_is_taken(site: Site) -> None:
    empty = orjson.dumps({"commits": ""})
    body = empty.replace(b'""', b'"' + b"x" * (WEBHOOK_MAX_BYTES - len(empty)) + b'"')
    assert len(body) == WEBHOOK_MAX_BYTES
    headers = signed(body, event="push")
    async with site.client.post(HOOK, data=io.BytesIO(body), headers=headers) as response:
        assert response.status == 200


async def test_a_larger_one_is_refused_by_its_length_alone(site: Site) -> None:
    headers = signed(b"") | {"Content-Length": str(WEBHOOK_MAX_BYTES + 1)}
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    head = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    writer.write(f"POST {HOOK} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
    assert b" 413 " in await reader.readline()
    writer.close()


@pytest.mark.parametrize("size", [WEBHOOK_MAX_BYTES + 1, 27 * 1024 * 1024])
async def test_a_larger_one_that_hides_its_length_is_refused(site: Site, size: int) -> None:
    body = b" " * size
    async with site.client.post(HOOK, data=stream(body), headers=signed(b"")) as response:
        assert response.status == 413
        assert "error" in await response.json()


async def test_a_body_in_chunks_is_taken(site: Site) -> None:
    async with site.client.post(HOOK, data=stream(BODY), headers=signed(BODY)) as response:
        assert response.status == 202


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP", "gzip, identity"])
async def test_a_compressed_body_is_refused_unread(site: Site, encoding: str) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    code, said = await site.post(bomb, signed(bomb) | {"Content-Encoding": encoding})
    assert (code, said) == (415, {"error": "send the body without Content-Encoding"})


async def test_a_body_that_does_not_arrive_is_given_up(deps: WebDeps) -> None:
    data = stream(BODY, pause=asyncio.Event())
    app = make_app(deps, bodies=Bodies(read_seconds=0.01))
    async with running(app) as (client, _), client.post(HOOK, data=data, headers=signed(BODY)) as response:
        assert (response.status, response.headers["Connection"]) == (408, "close")
        assert "0.01 seconds" in (await response.json())["error"]


@pytest.mark.parametrize("failure", [ConnectionResetError(), web.RequestPayloadError()], ids=repr)
async def test_a_body_that_breaks_off_is_no_bug_of_ours(failure: Exception) -> None:
    protocol = BaseProtocol(asyncio.get_running_loop())
    payload = StreamReader(protocol, limit=2**16, loop=asyncio.get_running_loop())
    payload.feed_data(b"{")
    payload.set_exception(failure)
    request = make_mocked_request("POST", HOOK, {"Content-Length": "9"}, payload=payload)
    with pytest.raises(Refused, match="broke off") as refused:
        await Bodies().read(request)
    assert refused.value.status == 400


async def test_a_sender_who_hangs_up_does_not_disturb(site: Site) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await site.deliver(LABELED))[0] == 202


async def test_only_some_large_bodies_are_held_at_once(deps: WebDeps) -> None:
    large = b"{" + b" " * PART_BYTES + b"}"
    on = asyncio.Event()
    async with running(make_app(deps, bodies=Bodies(slot_seconds=0.01))) as (client, _):
        senders = [asyncio.create_task(send(client, large, stream(large, pause=on))) for _ in range(6)]
        answered: set[asyncio.Task[int]] = set()
        while len(answered) < 2:
            answered |= (await asyncio.wait(set(senders) - answered, return_when="FIRST_COMPLETED"))[0]
        assert [task.result() for task in answered] == [503, 503]
        on.set()
        assert sorted(await asyncio.gather(*senders)) == [202] * 4 + [503] * 2
        assert await send(client, large, large) == 202


def statement_error() -> OperationalError:
    """SQLAlchemy's error as it is raised: its words repeat the payload."""
    return OperationalError("INSERT …", {"payload": BODY}, Exception("database is locked"))


@pytest.mark.parametrize(
    "failure", [statement_error(), ConnectionRefusedError(), TimeoutError(), RetryLater("later")], ids=repr
)
async def test_what_cannot_be_stored_is_to_be_sent_again(site: Site, failure: Exception) -> None:
    site.inbox.failure = failure
    async with site.client.post(HOOK, data=BODY, headers=signed(BODY)) as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "30")
        assert await response.json() == {"error": "the delivery cannot be stored now; send it again later"}
    assert not site.rings
    site.inbox.failure = None
    assert (await site.deliver(LABELED))[0] == 202


async def test_a_full_disk_is_503_and_the_next_delivery_after_it_is_stored(
    deps: WebDeps, database: Database
) -> None:
    inbox, large = Inbox(database), orjson.dumps(LABELED | {"padding": "x" * 200_000})
    async with running(make_app(replace(deps, inbox=inbox))) as (client, _):
        assert await send(client, BODY, BODY) == 202
        assert isinstance(inbox._writer, SqliteWriter) and inbox._writer._connection is not None
        inbox._writer._connection.execute("PRAGMA max_page_count=1")
        headers = signed(large, guid="guid-2")
        for status, retry_after in ((503, "30"), (202, None)):
            async with client.post(HOOK, data=large, headers=headers) as response:
                assert (response.status, response.headers.get("Retry-After")) == (status, retry_after)
    await inbox.close()
    async with database.read() as connection:
        rows = (await connection.execute(select(deliveries.c.payload).order_by(deliveries.c.id))).scalars()
    assert list(rows) == [BODY, large]


async def test_storing_for_too_long_counts_as_not_stored(deps: WebDeps) -> None:
    class Stuck(RecordingInbox):
        async def store(self, delivery: IncomingDelivery) -> Accepted:
            await asyncio.Event().wait()
            return await super().store(delivery)

    app = make_app(replace(deps, inbox=Stuck()))
    app.router.add_post("/impatient", GitHubHooks(Bodies(), store_seconds=0.01).receive)
    async with running(app) as (client, _):
        assert await send(client, BODY, BODY, path="/impatient") == 503


async def test_a_bug_is_answered_without_detail_and_logged_with_the_delivery(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("web")
    site.inbox.failure = ZeroDivisionError("secret detail")
    assert (code_and_words := await site.deliver(LABELED))[0] == 500
    assert "secret detail" not in str(code_and_words)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told = next(line for line in lines if line["event"] == "request_failed")
    assert (told["guid"], told["event_name"], told["process"]) == ("guid-1", "issues", "web")
    assert "ZeroDivisionError" in told["exception"]


async def test_no_log_line_holds_a_payload(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("web", debug=True)
    site.inbox.failure = statement_error()
    await site.deliver(LABELED)
    site.inbox.failure = None
    await site.deliver(LABELED)
    told = capsys.readouterr().err
    assert "database is locked" in told and "guid-1" in told
    assert LABELED["issue"]["title"] not in told


async def test_an_agent_that_is_switched_off_still_stores(deps: WebDeps) -> None:
    async with running(make_app(replace(deps, is_agent_enabled=False))) as (client, _):
        assert await send(client, BODY, BODY) == 202


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
    await migrate.upgrade(url)
    made = Database(url)
    yield made
    await made.close()


@pytest.mark.parametrize("fresh_ids", [False, True])
async def test_a_hundred_at_once_make_one_row(deps: WebDeps, database: Database, fresh_ids: bool) -> None:
    async def post(client: ClientSession, number: int) -> tuple[int, str]:
        guid = f"guid-{number}" if fresh_ids else "guid"
        async with client.post(HOOK, data=BODY, headers=signed(BODY, guid=guid)) as response:
            return response.status, (await response.json())["delivery"]

    inbox = Inbox(database)
    async with running(make_app(replace(deps, inbox=inbox))) as (client, _):
        answers = await asyncio.gather(*(post(client, number) for number in range(100)))
    await inbox.close()
    assert {code for code, _ in answers} == {202} and len(set(answers)) == 1
    now = deps.clock.now()
    async with database.write() as connection:
        rows = await backlog.take(Scope.system(), connection, now=now, until=now, limit=9)
    assert [(row.event, row.payload) for row in rows] == [("issues", BODY)]
