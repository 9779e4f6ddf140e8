"""Behind a conversation that fills the window there is room for the next job."""

from dataclasses import replace

from bot.agents.prompt import build
from bot.domain.effects import Stop
from bot.domain.past import Past
from bot.standin.model.server import ModelServer
from tests.agents.rig import DELIMITER, REQUEST, MemoryRecord, Rig, call, definition, say, turn
from tests.agents.test_loop import play
from tests.agents.test_resume import Knife, flat, killed, recorded

GIVE_UP = turn(call("give_up", reason="No."))


async def test_a_job_behind_a_full_window_makes_room_and_goes_on_with_the_same_bytes(
    rig: Rig, server: ModelServer
) -> None:
    play(server, turn(say("word " * 400_000), call("give_up", reason="No.")), GIVE_UP, GIVE_UP)
    await rig.run()
    ended = recorded(rig)
    rig.past, rig.record = Past(earlier=(ended,)), MemoryRecord()
    rig.prompt = replace(build(definition(), REQUEST, delimiter=DELIMITER), message="Again. " + "x" * 9_000)
    own = await killed(rig, Knife(4))
    assert rig.record.content("prompt", 0)["edits"]
    rig.past, sent = Past(earlier=(ended,), own=replace(own, steps=())), len(server.requests)
    del rig.record.rows[1:]
    assert (await rig.run()).stop is Stop.GAVE_UP
    first, second = (flat(request["body"]) for request in server.requests[sent - 1 :])
    assert first == second
    assert "Again. " in str(first)
