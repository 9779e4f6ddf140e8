"""The list of faults R-03 … R-20 and R-30 … R-32: which plays show each, and how often each is played.

A play is a test of the suite, where it is played once, or a scenario of this kit; nothing is written twice.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class InSuite:
    """Tests, each of which is played `n` times."""

    n: int
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Blows:
    """A scenario of the kit on one stack, with `n` blows in all."""

    n: int
    scenario: str
    stack: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One row: its number, what is played, how often it is asked for, and the plays."""

    number: str
    what: str
    wanted: str
    plays: tuple[InSuite | Blows, ...]


def in_file(n: int, file: str, names: str | None = None) -> InSuite:
    """Tests of one file below `tests/`, by their names without `test_`; all of them without names."""
    path = f"tests/{file}.py"
    return InSuite(n, tuple(f"{path}::test_{name}" for name in (names or "").split()) or (path,))


def fault(number: str, what: str, wanted: str, *plays: InSuite | Blows) -> Fault:
    """One row."""
    return Fault(number, what, wanted, plays)


_TROUBLE: Final = "runner/test_github_trouble"
_STOPS: Final = "chaos/test_stops"
FAULTS: Final = (
    fault(
        "R-03",
        "kill -9 of the web process between commit and answer",
        "100",
        Blows(100, "web", "sqlite"),
    ),
    fault(
        "R-04, R-05",
        "one delivery, and one body under new ids, in parallel",
        "1,000 each",
        in_file(1, "intake/test_inbox", "a_thousand_equal_ones_in_parallel_make_one_row"),
        in_file(10, "system/test_intake_storm", "one_body_sent_a_hundred_times_at_once_makes_one_job"),
    ),
    fault(
        "R-07",
        "an outage with 200 missed deliveries",
        "1",
        in_file(
            1,
            "system/test_outage",
            "after_an_outage_with_200_missed_deliveries_200_are_taken_in_and_then_none",
        ),
    ),
    fault(
        "R-08",
        "Redis emptied, killed, started empty, full, in mid-run",
        "20 each",
        in_file(
            20,
            "queue/test_redis_away",
            """
            flushall_in_mid_run_costs_what_waited_and_nothing_else
            a_redis_that_is_killed_comes_back_with_what_waited
            a_redis_that_comes_back_empty_is_filled_again
            a_full_redis_refuses_at_once_in_words_and_takes_jobs_when_there_is_room
            """,
        ),
        in_file(
            20,
            "runner/test_worker_redis",
            """
            flushall_in_mid_run_loses_and_doubles_nothing
            redis_killed_in_mid_run_loses_and_doubles_nothing
            a_redis_that_is_full_in_mid_run_loses_and_doubles_nothing
            """,
        ),
        Blows(100, "redis", "postgres-redis"),
    ),
    fault(
        "R-09",
        "Redis half open, or five seconds late",
        "10 each",
        in_file(
            10,
            "queue/test_redis_away",
            """
            a_half_open_connection_holds_nobody_longer_than_its_bound
            a_redis_that_answers_slowly_is_late_and_works
            """,
        ),
        in_file(
            20,
            "system/test_postgres_redis",
            "a_redis_that_is_half_open_or_slow_keeps_no_delivery_waiting",
        ),
    ),
    fault(
        "R-10",
        "Postgres restarts, drops connections, refuses transactions; disk full; file locked",
        "50 each",
        Blows(50, "postgres", "postgres-redis"),
        Blows(50, "refusals", "postgres"),
        in_file(
            50,
            "intake/test_inbox_faults",
            """
            a_full_disk_is_told_and_gone_when_there_is_room
            a_locked_file_is_told_to_all_and_gone_with_the_lock
            connections_that_the_server_ends_are_replaced
            """,
        ),
        in_file(50, "web/test_hooks_limits", "a_full_disk_is_503_and_the_next_delivery_after_it_is_stored"),
    ),
    fault(
        "R-11",
        "SIGTERM with ten jobs running; at any boundary; between a write and its answer",
        "50 each",
        Blows(50, "leaving", "sqlite"),
        in_file(
            100,
            _STOPS,
            """
            a_stop_at_any_boundary_is_seen_by_nobody
            a_stop_between_a_write_and_its_answer_leaves_one_effect
            """,
        ),
    ),
    fault(
        "R-12",
        "a worker frozen for two leases",
        "50",
        Blows(50, "frozen", "sqlite"),
        in_file(50, "runner/test_power_cuts", "a_worker_that_wakes_up_late_writes_nothing_more"),
    ),
    fault(
        "R-13",
        "clock jumps of an hour, both ways",
        "10 each",
        in_file(
            10,
            "runner/test_reconcile",
            """
            after_a_clock_set_back_by_an_hour_a_dead_owners_job_waits_for_one_lease
            after_a_clock_set_forward_by_an_hour_the_owner_is_fenced_and_the_job_goes_on
            """,
        ),
        in_file(10, "intake/test_sweep", "a_clock_of_ours_that_jumps_by_an_hour_loses_nothing"),
    ),
    fault(
        "R-14",
        "rate limits in seven shapes (each play: 20 times), and in the middle of a job",
        "20 each",
        in_file(
            1,
            "publish/test_limits",
            """
            a_limit_silences_every_worker_for_that_installation_and_for_no_other
            a_limit_while_writing_leaves_the_write_open_and_is_not_destructive
            """,
        ),
        in_file(20, _TROUBLE, "a_limit_in_the_middle_costs_no_attempt_and_no_call"),
    ),
    fault(
        "R-15",
        "errors on writes that did, or did not, land (each play: 12 faults)",
        "200",
        in_file(2, "publish/test_every_fault", "an_answer_that_is_none_leaves_exactly_one_effect"),
        Blows(50, "faults", "sqlite"),
    ),
    fault(
        "R-16",
        "what was made is seen 0 to 30 s late (each play of the first: 21 delays)",
        "100",
        in_file(1, "publish/test_every_fault", "what_is_seen_late_is_waited_for_and_stands_once"),
        in_file(
            34,
            "runner/test_late_visibility",
            "what_refers_to_something_that_github_does_not_show_yet_is_sent_later",
        ),
    ),
    fault(
        "R-17",
        "GitHub away for an hour",
        "1",
        in_file(1, _TROUBLE, "an_hour_without_github_fails_no_job_and_what_waited_is_done_once"),
    ),
    fault(
        "R-18",
        "401 (expired, revoked, for ever), 404, 301, 410, 451, suspended, uninstalled in mid-job",
        "5 each",
        in_file(
            5,
            _TROUBLE,
            """
            a_token_that_dies_in_the_middle_is_made_anew_and_the_job_goes_on
            a_github_that_takes_no_token_any_more_is_waited_for_a_day_and_the_job_ends_in_words
            a_repository_that_is_renamed_in_the_middle_is_followed_by_its_number
            what_is_gone_in_the_middle_ends_the_job_in_words_and_without_another_try
            a_repository_that_github_no_longer_shows_ends_the_job_in_words
            """,
        ),
    ),
    fault(
        "R-19",
        "too long, locked, archived, deleted",
        "5 each",
        in_file(
            5,
            _TROUBLE,
            """
            a_comment_that_github_calls_too_long_is_shortened_once
            a_text_that_is_too_long_even_then_is_given_up_with_its_reason
            """,
        ),
        in_file(
            5,
            "system/test_endings",
            """
            a_deleted_issue_ends_its_running_job
            an_issue_whose_deletion_was_not_told_ends_in_words
            a_locked_thread_ends_in_words_that_only_the_job_holds
            an_archived_repository_ends_in_words_that_only_the_job_holds
            """,
        ),
    ),
    fault("R-20", "jobs that kill their worker (each play: 10)", "10", in_file(1, "chaos/test_poison")),
    fault(
        "R-30",
        "migrations by three processes, killed, and down and up with work in flight",
        "10 each",
        in_file(
            10,
            "db/test_migrate",
            """
            three_processes_that_start_at_once_migrate_once
            a_migration_that_was_killed_is_made_good_by_the_next
            """,
        ),
        in_file(10, "db/test_upgrade"),
    ),
    fault(
        "R-31",
        "1,000 jobs of one before the single one of another",
        "20",
        in_file(20, "db/test_admission", "a_thousand_jobs_of_one_do_not_delay_the_single_job_of_another"),
    ),
    fault(
        "R-32",
        "broken payloads (each play: 10,000)",
        "10,000",
        in_file(1, "handlers/test_router", "ten_thousand_broken_payloads_never_raise"),
        in_file(1, "web/test_hooks_fuzz"),
    ),
)
