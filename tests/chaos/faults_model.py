"""The rows R-21 to R-27 of the list: faults of the model and of what it runs; and the whole list."""

from typing import Final

from tests.chaos.faults_list import FAULTS as OTHERS
from tests.chaos.faults_list import Fault, fault, in_file

_FAULTS: Final = "chaos/test_model_faults"
_MODEL: Final = (
    fault(
        "R-21",
        "429, 500, 504, closed, reset, refused; ten minutes of 529",
        "20 each",
        in_file(
            20,
            _FAULTS,
            """
            a_model_that_is_away_is_asked_again_a_bounded_time
            a_refused_connection_is_tried_four_times_and_handed_on
            a_burst_of_529_for_ten_minutes_is_outlasted_with_every_turn_recorded_once
            """,
        ),
        in_file(
            20, "runner/test_model_away", "the_living_comment_says_once_that_it_waits_and_becomes_the_result"
        ),
    ),
    fault(
        "R-22",
        "a stream cut after every event of a session, and after every byte of an answer (each play: all)",
        "all",
        in_file(1, _FAULTS, "a_session_that_is_cut_after_any_event_runs_each_tool_once"),
        in_file(
            1,
            "llm/test_cuts",
            """
            a_stream_that_is_cut_after_any_event_is_no_reply
            a_stream_that_is_cut_after_any_byte_is_no_reply
            """,
        ),
    ),
    fault(
        "R-23",
        "an error after 200, nothing but pings, silence",
        "20",
        in_file(20, _FAULTS, "a_stream_that_says_nothing_more_is_given_up_and_asked_again"),
    ),
    fault(
        "R-24",
        "cut in a call, window exceeded, five pauses, nothing, unknown reason, unknown block",
        "10 each",
        in_file(10, _FAULTS, "whatever_a_turn_stops_for_nothing_of_a_cut_call_is_run_and_the_loop_ends"),
    ),
    fault(
        "R-25",
        "calls that do not fit: seven kinds; ten megabytes; two hundred at once",
        "100",
        in_file(100, _FAULTS, "calls_that_do_not_fit_are_explained_three_times_and_then_end_the_job"),
        in_file(5, "agents/test_loop_people", "ten_megabytes_of_arguments_are_not_kept"),
        in_file(20, "agents/test_loop_stops", "two_hundred_parallel_calls_are_answered_and_thirty_are_run"),
    ),
    fault(
        "R-26",
        "no money left",
        "5",
        in_file(5, _FAULTS, "an_account_without_money_is_asked_once_and_runs_nothing"),
        in_file(5, "runner/test_model_away", "a_refused_account_ends_one_job_in_words_and_the_others_wait"),
    ),
    fault(
        "R-27",
        "a command forks, fills memory and disk, prints 1 GB, ignores signals, leaves processes behind",
        "20 each",
        in_file(
            20,
            "workspace/test_sandbox",
            """
            a_fork_bomb_is_bounded_and_ended
            memory_and_file_sizes_are_bounded
            a_gigabyte_of_output_is_cut_in_the_middle
            a_command_that_ignores_signals_is_ended_at_its_time
            no_process_is_left_behind
            """,
        ),
    ),
)
FAULTS: Final[tuple[Fault, ...]] = (*OTHERS, *_MODEL)
