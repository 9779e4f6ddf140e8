"""Killed anywhere, a job goes on: the same end, each recorded turn asked for once, the same bytes sent."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from bot.agents.prompt import build
from bot.domain.budget import Spent
from bot.domain.effects import LoopResult, Stop
from bot.domain.past import ChangedFile, Past, Restore, Segment
from bot.domain.values import Json, Said
from bot.standin.model.server import ModelServer
from tests.agents.rig import DELIMITER, REQUEST, DictToolHost, MemoryRecord, Rig, call, definition, say, turn
from tests.agents.test_loop import EDIT, FINISH, PROPOSE, READ, play, without_marks

FILES = {"calc.py": "def divide(a, b):\n    return 0\n", "other.py": "x = 1\n"}
SESSION = [
    turn(say("I look first."), READ, call("read_file", path="other.py")),
    turn(EDIT, call("write_file", path="new.py", content="y = 2\n")),
    turn(say("Hm."), {"type": "text", "text": " "}),
    turn(call("edit_file", path="other.py", old="x = 1", new="x = 2"), PROPOSE, FINISH),
    turn(call("write_file", path="new.py", content="y = 3\n")),
    turn(call("propose_change", title="Divide well", body="It returned 0."), FINISH),
]


PLACES = 48
"""How many calls to the outside the session makes: so many places to be killed at."""


class Killed(BaseException):
    """The process dies here."""


class Knife:
    """Kills at the *at*-th of all calls of the loop to the outside; counts them."""

    def __init__(self, at: int | None) -> None:
        self.at = at
        self.calls = 0

    def __call__(self, _name: str = "") -> None:
        self.calls += 1
        if self.calls == self.at:
            raise Killed


class Once:
    """A judge who sends the first result back."""

    def __init__(self, knife: Knife) -> None:
        self.knife = knife

    async def judge(self, result: LoopResult) -> str | None:
        self.knife()
        words = None if result.proposal and result.proposal.title == "Divide well" else "The title is weak."
        self.knife()
        return words


def restored(record: MemoryRecord) -> DictToolHost:
    """The tree as the last checkpoint says."""
    host = DictToolHost(FILES)
    host.files |= {change.path: change.content or "" for change in record.tree()}
    return host


def prepare(rig: Rig, knife: Knife) -> None:
    """Let the knife into every call."""

    async def on_call() -> None:
        if len(rig.record.said) == 1:
            rig.record.said.append(Said("s2", "bo", "And be quick."))
        knife()

    rig.record.cut = knife
    rig.model.before = knife
    rig.model.after = knife
    rig.tools.on_call = on_call
    rig.judge = Once(knife)


async def killed_once(rig: Rig, at: int | None) -> tuple[LoopResult, int]:
    """Run the session, kill it once, go on; gives the end and how many places there were to kill at."""
    rig.tools = DictToolHost(FILES)
    knife = Knife(at)
    prepare(rig, knife)
    try:
        return await rig.run(), knife.calls
    except Killed:
        rig.tools = restored(rig.record)
        prepare(rig, Knife(None))
        rig.past = Past(own=rig.record.segment())
        rig.spent = rig.record.spent
        return await rig.run(), knife.calls


async def killed(rig: Rig, cut: Callable[[str], None]) -> Segment:
    """Run until *cut*, which the record calls around each write, kills; gives what is recorded by then."""
    rig.record.cut = cut
    with pytest.raises(Killed):
        await rig.run()
    rig.record.cut = lambda _name: None
    return recorded(rig)


def recorded(rig: Rig) -> Segment:
    segment = rig.record.segment()
    assert segment is not None
    return segment


def shape(result: LoopResult) -> Any:
    return replace(result, cost_usd=0.0)


def flat(body: Json) -> list[str]:
    """All blocks of a request in the order of the cache, without marks."""
    plain = without_marks(body)
    told = [repr(block) for message in plain["messages"] for block in message["content"]]
    return [repr(plain["tools"]), repr(plain["system"]), *told]


async def test_the_session_ends_by_itself(rig: Rig, server: ModelServer) -> None:
    play(server, *SESSION)
    result, calls = await killed_once(rig, None)
    assert (result.stop, result.steps, calls) == (Stop.FINISHED, 6, PLACES)
    assert result.proposal is not None and result.proposal.title == "Divide well"


@pytest.mark.parametrize("at", range(1, PLACES + 1))
async def test_killed_at_any_call_it_ends_the_same(rig: Rig, server: ModelServer, at: int) -> None:
    rig.record.said = [Said("s1", "maria", "Also fix the other one.")]
    play(server, *SESSION)
    result, _ = await killed_once(rig, at)
    assert (result.stop, result.steps) == (Stop.FINISHED, 6)
    assert result.proposal is not None and result.proposal.title == "Divide well"
    assert rig.tools.files == {
        "calc.py": "def divide(a, b):\n    return a / b\n",
        "other.py": "x = 2\n",
        "new.py": "y = 3\n",
    }
    asked = Counter(record["turn"] for record in server.requests)
    recorded = [kind for kind in rig.record.kinds if kind[0] == "turn"]
    assert len(recorded) == 6 == len(asked)
    # One turn may have been interrupted, and is asked for once more; of the others each was asked for once.
    assert sum(asked.values()) <= 7
    bodies = [flat(record["body"]) for record in server.requests]
    for before, after in pairwise(bodies):
        assert after[: len(before)] == before
    assert rig.record.heard == {"s1": 0, "s2": 1}
    assert len(rig.record.open_rows) <= 1


async def test_a_turn_without_its_answer_is_acted_on_and_not_asked_for_again(
    rig: Rig, server: ModelServer
) -> None:
    play(server, *SESSION)

    def die(name: str) -> None:
        if name == "before tools+need" and len(rig.record.kinds) == 4:
            raise Killed

    rig.tools = DictToolHost(FILES)
    rig.past = Past(own=await killed(rig, die))
    assert rig.record.kinds[-1] == ("turn", 2)
    rig.tools = restored(rig.record)
    assert (await rig.run()).stop is Stop.FINISHED
    assert [record["turn"] for record in server.requests].count(1) == 1
    assert [name for name, _ in rig.tools.calls][:2] == ["edit_file", "write_file"]


async def test_the_recorded_prompt_counts_and_not_the_one_that_is_rendered_now(
    rig: Rig, server: ModelServer
) -> None:
    play(server, *SESSION)
    await killed_once(rig, 5)
    first = server.requests[0]["body"]
    server.requests.clear()
    rig.prompt = build(definition(), REQUEST, delimiter="another-delimiter-0123")
    rig.past = Past(own=replace(recorded(rig), steps=()))
    rig.record = MemoryRecord()
    await rig.run()
    assert server.requests[0]["body"] == first


@pytest.mark.parametrize(
    ("turns", "stop"),
    [
        (SESSION, Stop.FINISHED),
        ([turn(EDIT), turn(PROPOSE), turn(say("It is done."))], Stop.FINISHED),
        ([turn(say("Hm.")) for _ in range(5)], Stop.NONSENSE),
        ([turn(READ) for _ in range(12)], Stop.STUCK),
        ([turn(READ), turn(say("No."), stop_reason="refusal"), turn(stop_reason="refusal")], Stop.REFUSED),
        ([turn(call("give_up", reason="No idea."))], Stop.GAVE_UP),
    ],
)
async def test_a_job_that_had_ended_ends_again_without_a_call(
    rig: Rig, server: ModelServer, turns: list[Json], stop: Stop
) -> None:
    play(server, *turns)
    result, _ = await killed_once(rig, None)
    rig.past, server_count = Past(own=rig.record.segment()), len(server.requests)
    again = await rig.run()
    assert (shape(again), len(server.requests)) == (shape(result), server_count)
    assert again.stop is stop


async def test_what_was_said_between_two_attempts_reaches_the_next_call(
    rig: Rig, server: ModelServer
) -> None:
    play(server, *SESSION)

    def die(name: str) -> None:
        if name == "after tools+need":
            raise Killed

    rig.tools = DictToolHost(FILES)
    rig.past = Past(own=await killed(rig, die))
    rig.record.said = [Said("s1", "maria", "Please keep it short.")]
    await rig.run()
    assert "Please keep it short." in server.requests[1]["body"]["messages"][-1]["content"][-1]["text"]
    assert rig.record.heard == {"s1": 1}


async def test_what_repeats_over_two_attempts_is_seen(rig: Rig, server: ModelServer) -> None:
    play(server, turn(READ), repeat=True)
    rig.past = Past(own=await killed(rig, Knife(14)))
    assert rig.record.kinds[-1] == ("tools", 3)
    result = await rig.run()
    assert (result.stop, result.steps) == (Stop.STUCK, 5)


async def test_the_time_that_earlier_attempts_worked_counts(rig: Rig, server: ModelServer) -> None:
    play(server, *[turn(call("read_file", path="calc.py", offset_line=n)) for n in range(1, 99)])
    rig.model.before = lambda: rig.clock.advance(500)
    rig.past = Past(own=await killed(rig, Knife(9)))
    rig.clock.advance(100_000)
    result = await rig.run()
    assert (result.stop, result.steps) == (Stop.DEADLINE, 4)


async def test_the_tokens_of_earlier_attempts_count_where_a_model_has_no_price(
    rig: Rig, server: ModelServer
) -> None:
    play(server, *SESSION)
    rig.model_name, rig.spent = "claude-opus-4-8", Spent(0, 1_990_000)
    result = await rig.run()
    assert (result.stop, server.requests) == (Stop.COST, [])


async def test_an_ended_job_is_continued_with_its_whole_conversation(rig: Rig, server: ModelServer) -> None:
    play(server, *SESSION, *SESSION[3:4])
    await killed_once(rig, None)
    ended, last = recorded(rig), flat(server.requests[-1]["body"])
    tree = tuple(ChangedFile(change.path, change.content) for change in rig.record.tree())
    rig.past = Past(earlier=(ended,), restore=Restore("c0ffee", tree))
    rig.record, rig.judge = MemoryRecord(), None
    rig.prompt = replace(build(definition(), REQUEST, delimiter=DELIMITER), message="Now the docs, please.")
    rig.tools.files["other.py"] = "x = 1\n"
    result = await rig.run()
    sent = flat(server.requests[6]["body"])
    assert sent[: len(last)] == last and "Now the docs, please." in sent[-1]
    assert (result.stop, result.steps) == (Stop.FINISHED, 1)
    assert rig.record.content("prompt", 0)["message"] == "Now the docs, please."
    assert [change.path for change in rig.record.tree()] == ["calc.py", "new.py", "other.py"]


async def test_a_continued_job_that_was_killed_goes_on_too(rig: Rig, server: ModelServer) -> None:
    play(server, *SESSION, turn(READ), *SESSION[3:4])
    await killed_once(rig, None)
    ended = recorded(rig)
    rig.past, rig.record, rig.judge = Past(earlier=(ended,)), MemoryRecord(), None
    rig.prompt = replace(build(definition(), REQUEST, delimiter=DELIMITER), message="And the docs.")
    rig.tools.files["other.py"] = "x = 1\n"
    rig.past = Past(earlier=(ended,), own=await killed(rig, Knife(5)))
    assert rig.record.kinds == [("prompt", 0), ("turn", 1)]
    assert (await rig.run()).stop is Stop.FINISHED
    assert [record["turn"] for record in server.requests[6:]] == [6, 7]


async def test_calls_that_a_cancelled_job_left_open_are_answered_for_the_next(
    rig: Rig, server: ModelServer
) -> None:
    play(server, turn(READ), turn(call("give_up", reason="No.")))
    open_turn = await killed(rig, Knife(5))
    assert open_turn.steps[-1].answer is None
    rig.past, rig.record = Past(earlier=(open_turn,)), MemoryRecord()
    assert (await rig.run()).stop is Stop.GAVE_UP


async def test_step_zero_names_what_it_stands_behind_and_keeps_the_tree(
    rig: Rig, server: ModelServer
) -> None:
    play(server, turn(call("give_up", reason="No.")), turn(call("give_up", reason="No.")))
    await rig.run()
    ended = replace(recorded(rig), job_id="j1")
    assert ended.prompt["continued"] == []
    rig.past, rig.record = Past(earlier=(ended,), restore=Restore("c0ffee")), MemoryRecord()
    await rig.run()
    assert rig.record.content("prompt", 0)["continued"] == [ended.reference()]
    shorter = replace(ended, steps=())
    assert shorter.reference() != ended.reference() != replace(ended, job_id="j2").reference()


async def test_a_new_conversation_on_the_tree_of_another_job_records_that_tree(
    rig: Rig, server: ModelServer
) -> None:
    play(server, turn(call("give_up", reason="No.")))
    rig.tools.files["other.py"] = "x = 9\n"
    rig.past = Past(restore=Restore("c0ffee", (ChangedFile("other.py", "x = 9\n"),)))
    await rig.run()
    assert rig.record.changes[1] is not None
