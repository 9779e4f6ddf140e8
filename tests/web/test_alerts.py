"""The alerts of docs/operations.md name what /metrics tells, also before anything has happened."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert, update

from bot.db import figures
from bot.db.database import Database
from bot.db.tables import chores, installations
from bot.runner.upkeep import chores_of
from bot.web import exposition, metrics_table
from tests.db.rows import NOW, SYSTEM, make_tenant

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
# By model, which nobody knows beforehand; the alert asks how high it is, not whether it rose.
LATER = {"issuewright_model_today_usd"}
CHORES = ("sweep", "rows", "doubles", "pulls", "installations", "retention")
_SELECTOR = re.compile(r"(issuewright_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)(=~|=)"([^"]*)"')
Samples = list[tuple[str, dict[str, str], float]]


def alerts() -> dict[str, str]:
    """Each alert of the page and its expression."""
    (block,) = re.findall(r"```yaml\n(- alert: .*?)```", PAGE, re.DOTALL)
    return {alert["alert"]: alert["expr"] for alert in yaml.safe_load(block)}


def selected(selector: re.Match[str], samples: Samples) -> Samples:
    """The samples that Prometheus would find."""
    name, matchers = selector[1], _MATCHER.findall(selector[2] or "")
    return [
        sample
        for sample in samples
        if sample[0] == name
        and all(
            re.fullmatch(text if kind == "=~" else re.escape(text), sample[1].get(label, ""))
            for label, kind, text in matchers
        )
    ]


async def told(database: Database) -> Samples:
    """What a service tells that is connected, and has done nothing but its first sweep."""
    await make_tenant(database)
    async with database.write() as connection:
        await connection.execute(update(installations).values(rate_limit=5_000, rate_remaining=5_000))
        chore = {"name": "sweep", "wake_at": NOW, "state": {}, "ended_at": NOW, "failures": 0}
        await connection.execute(insert(chores).values(**chore))
    async with database.read() as connection:
        silent_before = NOW - timedelta(seconds=30)
        found = await figures.collect(SYSTEM, connection, now=NOW, silent_before=silent_before)
    text = exposition.render(found, now=NOW, took_seconds=0.1).decode()
    families = text_string_to_metric_families(text)
    return [(each.name, each.labels, each.value) for family in families for each in family.samples]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_every_alert_finds_a_series_before_its_first_event(database: Database) -> None:
    samples = await told(database)
    selectors = [(name, found) for name, text in alerts().items() for found in _SELECTOR.finditer(text)]
    assert len(selectors) > 12
    blind = {found[0]: name for name, found in selectors if not selected(found, samples)}
    assert blind.keys() == LATER, blind


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_every_value_that_an_alert_asks_for_is_told(database: Database) -> None:
    samples = await told(database)
    for text in alerts().values():
        for selector in _SELECTOR.finditer(text):
            found = {tuple(labels.items()) for _, labels, _ in selected(selector, samples)}
            for label, _, values in _MATCHER.findall(selector[2] or ""):
                have = {dict(labels)[label] for labels in found}
                assert have == set(values.split("|")), f"{label} in {text}"


def test_an_alert_tells_that_the_database_is_away() -> None:
    assert "absent(issuewright_database_up)" in alerts()["IssuewrightDatabase"]
    text = exposition.render(None, now=NOW, took_seconds=8.0).decode()
    assert "issuewright_database_up 0.0" in text


def test_the_chores_are_named_as_they_are() -> None:
    """Nothing is called `reconcile`; who looks for it finds nothing."""
    (about,) = [
        each.about for each in metrics_table.METRICS if each.name.startswith("issuewright_chore_last")
    ]
    assert f"({', '.join(CHORES)})" in about
    names = set(re.findall(r'Chore\("(\w+)"', Path(chores_of.__code__.co_filename).read_text()))
    assert names == set(CHORES)
    assert all(f"`{name}`" in PAGE for name in CHORES)
