"""Every metric of ours in one table: the source of docs/operations.md and of what /metrics says."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its kind (counter, gauge, histogram, info), its sentence and its labels."""

    name: str
    kind: str
    about: str
    labels: tuple[str, ...] = ()


METRICS: Final = (
    Metric("issuewright_build_info", "info", "The version that runs.", ("version",)),
    Metric("issuewright_database_up", "gauge", "1 while the database answers; 0: the others are left out."),
    Metric(
        "issuewright_deliveries_total",
        "counter",
        "Deliveries that were stored, by event; one that nobody here knows is `other`.",
        ("event",),
    ),
    Metric(
        "issuewright_deliveries",
        "gauge",
        "Deliveries by what became of them: received (waits), dispatched, ignored, failed. "
        "A replay takes one back to received.",
        ("event", "outcome"),
    ),
    Metric(
        "issuewright_deliveries_oldest_seconds", "gauge", "How long the oldest delivery waits; 0: none does."
    ),
    Metric("issuewright_jobs_submitted_total", "counter", "Jobs that were asked for, by verb.", ("verb",)),
    Metric(
        "issuewright_jobs_ended_total", "counter", "Jobs that ended, by state and cause.", ("state", "cause")
    ),
    Metric(
        "issuewright_jobs",
        "gauge",
        "Open jobs: pending, delayed (waits for its time), paused, admitted (may start), running.",
        ("state",),
    ),
    Metric(
        "issuewright_jobs_oldest_seconds",
        "gauge",
        "How old the oldest job is that never started, though it is due and not paused "
        "(its organization's cap may hold it); 0: there is none.",
    ),
    Metric(
        "issuewright_job_start_age_seconds",
        "histogram",
        "How old jobs were when they first started: the backlog.",
    ),
    Metric("issuewright_job_duration_seconds", "histogram", "From a job's first start to its end."),
    Metric("issuewright_job_claims_total", "counter", "How often a worker took a job up; retries count."),
    Metric("issuewright_lease_losses_total", "counter", "How often a worker fell silent over a job."),
    Metric("issuewright_jobs_quarantined_total", "counter", "Jobs put aside after repeated crashes."),
    Metric("issuewright_model_calls_total", "counter", "Calls of the model, by model.", ("model",)),
    Metric(
        "issuewright_model_cost_usd_total",
        "counter",
        "What settled calls cost by the price table, in USD.",
        ("model",),
    ),
    Metric(
        "issuewright_model_reserved_usd",
        "gauge",
        "Set aside for calls that are not settled, in USD; an interrupted call stays here at its maximum.",
        ("model",),
    ),
    Metric(
        "issuewright_model_today_usd",
        "gauge",
        "Spent and set aside since midnight UTC, in USD.",
        ("model",),
    ),
    Metric("issuewright_github_writes_total", "counter", "Writes to GitHub that are done.", ("kind",)),
    Metric(
        "issuewright_github_writes_open",
        "gauge",
        "Writes to GitHub that are not done: intent (frozen), sent (outcome not known), failed.",
        ("kind", "state"),
    ),
    Metric(
        "issuewright_github_rate_limit",
        "gauge",
        "Requests an hour that GitHub allows.",
        ("installation", "account"),
    ),
    Metric(
        "issuewright_github_rate_remaining",
        "gauge",
        "Requests left until the limit is reset, as GitHub last said.",
        ("installation", "account"),
    ),
    Metric(
        "issuewright_github_blocked_seconds",
        "gauge",
        "How long GitHub still wants us to be silent there; 0: it does not.",
        ("installation", "account"),
    ),
    Metric("issuewright_workers", "gauge", "Workers that were heard of lately.", ("sandbox",)),
    Metric("issuewright_worker_jobs", "gauge", "Jobs that the workers say they run."),
    Metric("issuewright_worker_places", "gauge", "Jobs that the workers can run at the same time."),
    Metric(
        "issuewright_chore_last_success_timestamp_seconds",
        "gauge",
        "When a chore (sweep, rows, doubles, pulls, installations, retention) last went well, in Unix time; "
        "`time()` minus it is how many seconds ago that was.",
        ("chore",),
    ),
    Metric(
        "issuewright_chore_failures", "gauge", "How often a chore failed since it last went well.", ("chore",)
    ),
    Metric("issuewright_collect_seconds", "gauge", "How long it took to ask the database for all this."),
)
