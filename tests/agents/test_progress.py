"""Whether an agent gets anywhere: what repeats is seen, and survives in the record."""

import json

from bot.agents.progress import Pattern, Progress, Verdict
from bot.domain.values import Json


def one(name: str, result: str = "ok", *, is_error: bool = False) -> tuple[list[Json], list[Json]]:
    """A turn with one call."""
    call = {"type": "tool_use", "id": "t", "name": name, "input": {}}
    answer: Json = {"type": "tool_result", "tool_use_id": "t", "content": result}
    return [call], [{**answer, "is_error": True} if is_error else answer]


def watch(progress: Progress, *turns: tuple[list[Json], list[Json]]) -> list[Verdict]:
    return [progress.watch(*turn)[0] for turn in turns]


GO, NUDGE, STOP = Verdict.GO_ON, Verdict.NUDGE, Verdict.STOP


def test_the_same_call_with_the_same_result_is_nudged_at_the_fourth_and_stopped_at_the_fifth() -> None:
    assert watch(Progress(), *[one("read")] * 5) == [GO, GO, GO, NUDGE, STOP]


def test_the_same_call_with_another_result_goes_on() -> None:
    assert watch(Progress(), *[one("read", str(n)) for n in range(9)]) == [GO] * 9


def test_the_same_error_is_nudged_at_the_third() -> None:
    assert watch(Progress(), *[one("edit", "no", is_error=True)] * 4) == [GO, GO, NUDGE, STOP]


def test_the_same_error_beside_other_calls_is_seen() -> None:
    turns = []
    for n in range(3):
        failed, fine = one("edit", "no", is_error=True), one("read", str(n))
        turns.append(([*failed[0], *fine[0]], [*failed[1], *fine[1]]))
    assert watch(Progress(), *turns) == [GO, GO, NUDGE]


def test_two_turns_in_alternation_are_nudged_at_the_sixth() -> None:
    assert watch(Progress(), *[one("a"), one("b")] * 4) == [GO] * 5 + [NUDGE, STOP, STOP]


def test_a_third_turn_breaks_the_alternation() -> None:
    assert watch(Progress(), *[one("a"), one("b"), one("c")] * 5) == [GO] * 15


def test_the_pattern_is_named() -> None:
    progress = Progress()
    assert [progress.watch(*one("read"))[1] for _ in range(4)][-1] is Pattern.SAME_TURN


def test_everything_that_is_counted_survives_in_the_record() -> None:
    turns = [*[one("a"), one("b")] * 4]
    progress, verdicts = Progress(), []
    for turn in turns:
        progress = Progress(json.loads(json.dumps(progress.to_json())))
        verdicts += watch(progress, turn)
    assert verdicts == watch(Progress(), *turns)
    progress.useless()
    progress.useless()
    assert Progress(progress.to_json()).useless() is Verdict.STOP
    progress.useful()
    assert Progress(progress.to_json()).useless() is Verdict.GO_ON
