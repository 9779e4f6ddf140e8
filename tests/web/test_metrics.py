"""`GET /metrics`: what it counts, who may ask, and that asking costs little."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event, insert, update

from bot.config import Secret
from bot.db import deliveries, pauses
from bot.db.database import Database
from bot.db.deliveries import IncomingDelivery
from bot.db.tables import agent_jobs, chores, installations, job_runs, workers
from bot.domain.enums import Cause, DeliveryState, PauseKind, Tier
from bot.domain.states import end_of
from bot.web.app import make_app
from bot.web.deps import WebDeps
from bot.web.metrics import FRESH_SECONDS, Collection, _names_this_machine
from bot.web.metrics_table import METRICS
from tests.db import money
from tests.db.rows import NOW, SYSTEM, claim, make_job, make_tenant, start_job, stored
from tests.db.runs import end_job
from tests.fakes import ManualClock
from tests.web.conftest import running

TOKEN = "a-token-of-the-scraper"
Found = dict[str, dict[tuple[str, ...], float]]


@dataclass
class Scraper:
    """Asks for the figures of the test's database."""

    client: ClientSession
    clock: ManualClock

    async def text(self, **headers: str) -> str:
        """What /metrics says."""
        async with self.client.get("/metrics", headers=headers) as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            return await answer.text()

    async def figures(self) -> Found:
        """Fresh samples by name and label values, as Prometheus's own parser reads them."""
        self.clock.advance(FRESH_SECONDS)
        found: Found = {}
        for family in text_string_to_metric_families(await self.text()):
            for sample in family.samples:
                found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
        return found

    async def status(self, **headers: str) -> int:
        """Whether it answers."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.get("/metrics", headers=named) as answer:
            return answer.status


@pytest.fixture
async def scraper(deps: WebDeps, clock: ManualClock, database: Database) -> AsyncIterator[Scraper]:
    source = Collection(database, clock, worker_silence_seconds=30)
    async with running(make_app(replace(deps, figures=source))) as (client, _):
        yield Scraper(client, clock)


def rows(samples: dict[tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
    """The samples that count something; what is known beforehand is told with 0 from the start."""
    return {labels: value for labels, value in samples.items() if value}


async def a_delivery(database: Database, number: int, event_name: str = "issues") -> str:
    """A delivery of a minute ago."""
    body = json.dumps({"number": number}).encode()
    incoming = IncomingDelivery(
        target_type="integration",
        target_id="1",
        guid=f"guid-{number}",
        event=event_name,
        action=None,
        digest=hashlib.sha256(body).hexdigest(),
        payload=body,
        installation_id=None,
        received_at=NOW - timedelta(minutes=1),
        state=DeliveryState.RECEIVED,
    )
    return (await stored(database, incoming)).delivery_id


async def test_an_empty_database_says_so_in_a_form_that_prometheus_reads(scraper: Scraper) -> None:
    found = await scraper.figures()
    assert found["issuewright_database_up"] == {(): 1}
    assert found["issuewright_jobs"][("running",)] == 0
    assert found["issuewright_job_start_age_seconds_count"] == {(): 0}
    assert found["process_resident_memory_bytes"][()] > 0


async def test_what_is_known_beforehand_is_told_before_it_happens(scraper: Scraper) -> None:
    """A series that begins at 1 has no rise: the alert on the first failure would never come."""
    found = await scraper.figures()
    ends = {(cause.value, end_of(cause)[0].value.lower()): 0 for cause in Cause}
    assert found["issuewright_jobs_ended_total"] == ends
    assert found["issuewright_deliveries"][("issues", "failed")] == 0
    assert found["issuewright_deliveries"][("other", "failed")] == 0
    assert found["issuewright_jobs_submitted_total"][("fix",)] == 0
    assert found["issuewright_deliveries_total"][("issue_comment",)] == 0
    assert found["issuewright_github_writes_total"][("comment",)] == 0
    assert found["issuewright_github_writes_open"][("comment", "failed")] == 0


async def test_a_job_that_may_not_start_is_no_backlog(scraper: Scraper, database: Database) -> None:
    ours, theirs = await make_tenant(database), await make_tenant(database, 2, 200)
    later = (await make_job(database, ours, 1, now=NOW - timedelta(hours=3))).job_id
    await make_job(database, theirs, 2, now=NOW - timedelta(hours=2))
    await make_job(database, ours, 3, now=NOW - timedelta(hours=1))
    oldest = "issuewright_jobs_oldest_seconds"
    async with database.write() as connection:
        run = update(job_runs).where(job_runs.c.job_id == later)
        await connection.execute(run.values(wake_at=NOW + timedelta(hours=1)))
    assert (await scraper.figures())[oldest][()] == 2 * 3_600 + FRESH_SECONDS
    async with database.write() as connection:
        await pauses.pause(SYSTEM, connection, PauseKind.REPOSITORY, "200", reason="", now=NOW)
    assert (await scraper.figures())[oldest][()] == 3_600 + 2 * FRESH_SECONDS
    async with database.write() as connection:
        await pauses.pause(SYSTEM, connection, PauseKind.EVERYTHING, "", reason="", now=NOW)
    assert (await scraper.figures())[oldest][()] == 0


async def test_deliveries_are_counted_by_event_and_outcome(scraper: Scraper, database: Database) -> None:
    ids = [await a_delivery(database, number) for number in range(3)]
    await a_delivery(database, 3, "a_new_event_of_github")
    async with database.write() as connection:
        await deliveries.finish(SYSTEM, connection, ids[0], DeliveryState.DISPATCHED, now=NOW)
        await deliveries.finish(SYSTEM, connection, ids[1], DeliveryState.FAILED, now=NOW, error="no")
    found = await scraper.figures()
    assert rows(found["issuewright_deliveries_total"]) == {("issues",): 3, ("other",): 1}
    assert rows(found["issuewright_deliveries"]) == {
        ("issues", "received"): 1,
        ("issues", "dispatched"): 1,
        ("issues", "failed"): 1,
        ("other", "received"): 1,
    }
    assert found["issuewright_deliveries_oldest_seconds"][()] == 60 + FRESH_SECONDS


async def test_jobs_are_counted_where_they_stand(scraper: Scraper, database: Database) -> None:
    ours, theirs = await make_tenant(database), await make_tenant(database, 2, 200)
    made = [await make_job(database, ours, number) for number in range(1, 5)]
    await make_job(database, theirs, 9)
    await claim(database, made[0].job_id)
    async with database.write() as connection:
        await pauses.pause(SYSTEM, connection, PauseKind.REPOSITORY, "200", reason="", now=NOW)
        run = update(job_runs)
        later = run.where(job_runs.c.job_id == made[1].job_id).values(wake_at=NOW + timedelta(hours=1))
        await connection.execute(later)
        await connection.execute(run.where(job_runs.c.job_id == made[2].job_id).values(admitted_at=NOW))
    assert (await scraper.figures())["issuewright_jobs"] == {
        ("running",): 1,
        ("delayed",): 1,
        ("admitted",): 1,
        ("pending",): 1,
        ("paused",): 1,
    }
    async with database.write() as connection:
        await pauses.pause(SYSTEM, connection, PauseKind.EVERYTHING, "", reason="", now=NOW)
    assert (await scraper.figures())["issuewright_jobs"][("paused",)] == 4


async def test_waits_and_durations_fall_into_their_buckets(scraper: Scraper, database: Database) -> None:
    tenant = await make_tenant(database)
    for number, (waited, took) in enumerate([(0.2, 5), (4, 45), (7_200, 9_000)], start=1):
        asked = NOW - timedelta(hours=6)
        job_id = (await make_job(database, tenant, number, now=asked)).job_id
        started = asked + timedelta(seconds=waited)
        job = await claim(database, job_id, now=started)
        await end_job(database, job_id, Cause.ANSWERED, job=job)
        async with database.write() as connection:
            ended = update(agent_jobs).where(agent_jobs.c.id == job_id)
            await connection.execute(ended.values(completed_at=started + timedelta(seconds=took)))
    found = await scraper.figures()
    age = found["issuewright_job_start_age_seconds_bucket"]
    assert (age[("0.5",)], age[("5.0",)], age[("3600.0",)], age[("+Inf",)]) == (1, 2, 2, 3)
    assert found["issuewright_job_start_age_seconds_sum"][()] == pytest.approx(7_204.2, abs=0.01)
    took_ = found["issuewright_job_duration_seconds_bucket"]
    assert (took_[("10.0",)], took_[("60.0",)], took_[("+Inf",)]) == (1, 2, 3)
    assert rows(found["issuewright_jobs_ended_total"]) == {("answered", "completed"): 3}
    assert found["issuewright_job_claims_total"] == {(): 3}


async def test_money_is_told_settled_reserved_and_of_today(scraper: Scraper, database: Database) -> None:
    tenant = await make_tenant(database)
    job = await start_job(database, tenant)
    yesterday = NOW - timedelta(days=1)
    for now, settled in ((yesterday, 1_000_000), (NOW, 250_000), (NOW, None)):
        row = await money.reserve(database, job, 2_000_000, now=now)
        if settled is not None:
            await money.settle(database, job, row, settled)
    found = await scraper.figures()
    assert found["issuewright_model_calls_total"] == {("m1",): 3}
    assert found["issuewright_model_cost_usd_total"] == {("m1",): 1.25}
    assert found["issuewright_model_reserved_usd"] == {("m1",): 2.0}
    assert found["issuewright_model_today_usd"] == {("m1",): 2.25}


async def test_limits_workers_and_chores_are_told(scraper: Scraper, database: Database) -> None:
    await make_tenant(database)
    async with database.write() as connection:
        limit = {"rate_limit": 5_000, "rate_remaining": 17, "rate_reset_at": NOW + timedelta(hours=1)}
        await connection.execute(update(installations).values(**limit))
        worker = {"hostname": "h", "pid": 1, "version": "1", "sandbox_reason": "", "started_at": NOW}
        for number, tier in enumerate((Tier.SANDBOX, Tier.NONE)):
            row = {"id": str(number), "sandbox_tier": tier, "running": 2, "concurrency": 5}
            await connection.execute(insert(workers).values(**worker, **row, heartbeat_at=NOW))
        gone = {"id": "gone", "sandbox_tier": Tier.NONE, "heartbeat_at": NOW - timedelta(hours=1)}
        await connection.execute(insert(workers).values(**worker, **gone))
        chore = {"name": "sweep", "wake_at": NOW, "state": {}, "ended_at": NOW, "failures": 2}
        await connection.execute(insert(chores).values(**chore))
    found = await scraper.figures()
    assert found["issuewright_github_rate_remaining"] == {("octo-1", "10"): 17}
    assert found["issuewright_github_rate_limit"] == {("octo-1", "10"): 5_000}
    assert found["issuewright_github_blocked_seconds"] == {("octo-1", "10"): 0}
    assert found["issuewright_workers"] == {("works",): 1, ("none",): 1}
    assert (found["issuewright_worker_jobs"][()], found["issuewright_worker_places"][()]) == (4, 10)
    assert found["issuewright_chore_last_success_timestamp_seconds"] == {("sweep",): NOW.timestamp()}
    assert found["issuewright_chore_failures"] == {("sweep",): 2}
    scraper.clock.advance(3_600)
    assert (await scraper.figures())["issuewright_github_rate_remaining"] == {("octo-1", "10"): 5_000}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_table_names_exactly_what_is_told(scraper: Scraper) -> None:
    kinds = {}
    for line in (await scraper.text()).splitlines():
        if line.startswith("# TYPE issuewright"):
            _, _, name, kind = line.split()
            kinds[name] = kind
    expected = {each.name: "gauge" if each.kind == "info" else each.kind for each in METRICS}
    assert kinds == expected


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_label_cannot_forge_a_line(scraper: Scraper, database: Database) -> None:
    tenant = await make_tenant(database)
    job = await start_job(database, tenant)
    model = 'm"} 1\nissuewright_database_up 0\n\\'
    await money.reserve(database, job, 1, model=model)
    found = await scraper.figures()
    assert found["issuewright_model_calls_total"] == {(model,): 1}
    assert found["issuewright_database_up"] == {(): 1}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_many_scrapers_at_once_cost_one_collection(scraper: Scraper, database: Database) -> None:
    asked: list[str] = []

    def note(*arguments: Any) -> None:
        asked.append(arguments[2])

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    await asyncio.gather(*(scraper.text() for _ in range(20)))
    first = len(asked)
    await scraper.text()
    assert len(asked) == first == len(set(asked))
    scraper.clock.advance(FRESH_SECONDS)
    await scraper.text()
    assert len(asked) == 2 * first


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_without_the_database_the_process_is_told_all_the_same(
    deps: WebDeps, clock: ManualClock, database: Database
) -> None:
    source = Collection(database, clock, worker_silence_seconds=30, timeout_seconds=0)
    async with running(make_app(replace(deps, figures=source))) as (client, _):
        found = await Scraper(client, clock).figures()
    assert found["issuewright_database_up"] == {(): 0}
    assert "issuewright_jobs" not in found and "process_cpu_seconds_total" in found


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "headers",
    [
        {"X_Forwarded_For": "127.0.0.1"},
        {"x_forwarded_proto": "https"},
        {"Forwarded": "for=127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"X_Real_IP": "127.0.0.1"},
        {"Host": "rebound.example"},
        {"Host": "rebound.example:80"},
        {"Host": "127.0.0.1.example"},
    ],
)
async def test_without_a_token_only_this_machine_itself_may_ask(
    scraper: Scraper, headers: dict[str, str]
) -> None:
    assert await scraper.status() == 200
    assert await scraper.status(**headers) == 404


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("version", "status"), [("1.1", b"200"), ("1.0", b"404")])
async def test_a_proxy_of_the_old_protocol_is_no_direct_question(
    scraper: Scraper, version: str, status: bytes
) -> None:
    url = scraper.client._base_url
    assert url is not None and url.port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", url.port)
    writer.write(f"GET /metrics HTTP/{version}\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert (await reader.readline()).split()[1] == status
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        ("localhost", True),
        ("localhost:8000", True),
        ("[::1]:8000", True),
        ("[::1]", True),
        ("127.9.9.9", True),
        ("10.0.0.1", False),
        ("evil.example:8000", False),
        ("", False),
        ("localhost.evil.example", False),
    ],
)
def test_only_names_of_this_machine_count(host: str, is_here: bool) -> None:
    assert _names_this_machine(host) is is_here


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_with_a_token_only_it_opens(deps: WebDeps, clock: ManualClock, database: Database) -> None:
    source = Collection(database, clock, worker_silence_seconds=30)
    app = make_app(replace(deps, figures=source, metrics_token=Secret(TOKEN)))
    async with running(app) as (client, _):
        scraper = Scraper(client, clock)
        assert await scraper.status(Authorization=f"Bearer {TOKEN}", X_Forwarded_For="1.2.3.4") == 200
        assert await scraper.status(Authorization=f"bearer {TOKEN}") == 200
        wrong = [{}, {"Authorization": TOKEN}, {"Authorization": f"Basic {TOKEN}"}]
        wrong += [{"Authorization": f"Bearer {TOKEN[:-1]}"}, {"Authorization": "Bearer \u00e4"}]
        assert [await scraper.status(**headers) for headers in wrong] == [401] * 5


async def test_where_nothing_is_collected_there_is_nothing(deps: WebDeps, clock: ManualClock) -> None:
    async with running(make_app(deps)) as (client, _):
        assert await Scraper(client, clock).status() == 404
