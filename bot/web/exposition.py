"""Figures in the form that Prometheus reads; imported by the first scrape, not by the web process."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family

from bot import __version__
from bot.db.figures import Figures, Spread
from bot.domain.commands import COMMANDS
from bot.domain.enums import Cause, DeliveryState, OperationKind, OperationState
from bot.domain.states import end_of
from bot.domain.values import WORK
from bot.handlers.router import ROUTES
from bot.web.metrics_table import METRICS

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
OTHER: Final = "other"
MAX_MODELS: Final = 20
_EVENTS: Final = frozenset({route.name for route in ROUTES}) | {"ping", "installation_target"}
_VERBS: Final = frozenset(command.verb for command in COMMANDS) | {WORK}
_MICRO: Final = 1_000_000
_BY_NAME: Final = {metric.name: metric for metric in METRICS}

Sample = tuple[Sequence[str], float]
"""Label values in the order of the table, and the value."""


def render(figures: Figures | None, *, now: datetime, took_seconds: float) -> bytes:
    """The whole answer: our figures (None: the database does not answer) and those of this process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(list(_families(figures, now, took_seconds))))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return generate_latest(registry)


class _Once:
    """Hands over what was counted already."""

    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Family]:
        return self._families


def _families(figures: Figures | None, now: datetime, took_seconds: float) -> Iterable[Family]:
    build = InfoMetricFamily("issuewright_build", _BY_NAME["issuewright_build_info"].about)
    build.add_metric([], {"version": __version__})
    yield build
    yield _family("issuewright_database_up", [((), float(figures is not None))])
    if figures is None:
        return
    for name, samples in _samples(figures, now).items():
        yield _family(name, samples)
    yield _histogram("issuewright_job_start_age_seconds", figures.waited)
    yield _histogram("issuewright_job_duration_seconds", figures.took)
    yield _family("issuewright_collect_seconds", [((), took_seconds)])


def _family(name: str, samples: Sequence[Sample]) -> Family:
    """A counter or a gauge; samples with the same labels are added up."""
    metric = _BY_NAME[name]
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(name, metric.about, labels=metric.labels)
    totals: dict[tuple[str, ...], float] = {}
    for labels, value in samples:
        totals[tuple(labels)] = totals.get(tuple(labels), 0.0) + value
    for labels, value in sorted(totals.items()):
        family.add_metric(labels, value)
    return family


def _histogram(name: str, spread: Spread) -> Family:
    family = HistogramMetricFamily(name, _BY_NAME[name].about)
    buckets = [(str(bucket), float(count)) for bucket, count in spread.buckets]
    family.add_metric([], [*buckets, ("+Inf", float(spread.count))], spread.sum_seconds)
    return family


def _samples(figures: Figures, now: datetime) -> dict[str, list[Sample]]:
    """By metric; a closed set is told with 0 from the start, so that the first event is a rise too.

    https://prometheus.io/docs/practices/instrumentation/#avoid-missing-metrics
    """
    return {
        "issuewright_deliveries_total": [
            *(((event,), 0) for event in (*_EVENTS, OTHER)),
            *(((_known(event, _EVENTS),), count) for event, _, count in figures.deliveries),
        ],
        "issuewright_deliveries": [
            *(((event, state.value.lower()), 0) for event in (*_EVENTS, OTHER) for state in DeliveryState),
            *(
                ((_known(event, _EVENTS), state.value.lower()), count)
                for event, state, count in figures.deliveries
            ),
        ],
        "issuewright_deliveries_oldest_seconds": [((), figures.oldest_delivery_seconds)],
        "issuewright_jobs_submitted_total": [
            *(((verb,), 0) for verb in _VERBS),
            *(((_known(verb, _VERBS),), count) for verb, count in figures.jobs_asked),
        ],
        "issuewright_jobs_ended_total": [
            *(((end_of(cause)[0].value.lower(), cause.value), 0) for cause in Cause),
            *(
                ((status.value.lower(), cause or "none"), count)
                for status, cause, count in figures.jobs_ended
            ),
        ],
        "issuewright_jobs": [
            ((state,), figures.job_states.get(state, 0))
            for state in ("pending", "delayed", "paused", "admitted", "running")
        ],
        "issuewright_jobs_oldest_seconds": [((), figures.oldest_job_seconds)],
        "issuewright_job_claims_total": [((), figures.claims)],
        "issuewright_lease_losses_total": [((), figures.lease_losses)],
        "issuewright_jobs_quarantined_total": [((), figures.quarantined)],
        **_money(figures),
        **_github(figures, now),
        **_workers(figures),
    }


def _money(figures: Figures) -> dict[str, list[Sample]]:
    """By model; those beyond the MAX_MODELS most used are one."""
    ranked = sorted(figures.spend, key=lambda row: (-row[1], row[0]))
    rows = [(row[0] if place < MAX_MODELS else OTHER, *row[1:]) for place, row in enumerate(ranked)]
    return {
        "issuewright_model_calls_total": [((model,), calls) for model, calls, *_ in rows],
        "issuewright_model_cost_usd_total": [((row[0],), row[2] / _MICRO) for row in rows],
        "issuewright_model_reserved_usd": [((row[0],), row[3] / _MICRO) for row in rows],
        "issuewright_model_today_usd": [((row[0],), row[4] / _MICRO) for row in rows],
    }


def _github(figures: Figures, now: datetime) -> dict[str, list[Sample]]:
    limits: list[Sample] = []
    left: list[Sample] = []
    blocked: list[Sample] = []
    for number, account, limit, remaining, reset_at, blocked_until in figures.installations:
        labels = (str(number), account)
        if limit is not None and remaining is not None:
            is_over = reset_at is not None and reset_at <= now
            limits.append((labels, limit))
            left.append((labels, limit if is_over else remaining))
        blocked.append((labels, _seconds_until(blocked_until, now)))
    counts = {(kind, state): 0 for kind in OperationKind for state in OperationState}
    counts |= {(kind, state): count for kind, state, count in figures.writes}
    done: list[Sample] = [
        ((kind.value,), count) for (kind, state), count in counts.items() if state is OperationState.DONE
    ]
    still: list[Sample] = [
        ((kind.value, state.value), count)
        for (kind, state), count in counts.items()
        if state is not OperationState.DONE
    ]
    return {
        "issuewright_github_rate_limit": limits,
        "issuewright_github_rate_remaining": left,
        "issuewright_github_blocked_seconds": blocked,
        "issuewright_github_writes_total": done,
        "issuewright_github_writes_open": still,
    }


def _workers(figures: Figures) -> dict[str, list[Sample]]:
    without = figures.workers - figures.sandboxed_workers
    return {
        "issuewright_workers": [(("works",), figures.sandboxed_workers), (("none",), without)],
        "issuewright_worker_jobs": [((), figures.running)],
        "issuewright_worker_places": [((), figures.places)],
        "issuewright_chore_last_success_timestamp_seconds": [
            ((chore.name,), chore.ended_at.timestamp())
            for chore in figures.chores
            if chore.ended_at is not None
        ],
        "issuewright_chore_failures": [((chore.name,), chore.failures) for chore in figures.chores],
    }


def _known(word: str, words: frozenset[str]) -> str:
    """*word* where we know it: what others choose must not make new time series."""
    return word if word in words else OTHER


def _seconds_until(moment: Any, now: datetime) -> float:
    return 0.0 if moment is None else max(0.0, (moment - now).total_seconds())
