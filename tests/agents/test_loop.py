"""The loop against the real SDK and a server that refuses what Anthropic refuses."""

from bot.domain.effects import Proposal, Stop
from bot.standin.model.server import ModelServer
from tests.agents.rig import Rig, call, turn

FIX = [
    turn(call("read_file", path="calc.py"), call("search_code", pattern="divide")),
    turn(call("edit_file", path="calc.py", old="return 0", new="return a / b")),
    turn(
        call("propose_change", title="Divide for real", body="It returned 0."),
        call("finish", summary="Fixed."),
    ),
]


def play(server: ModelServer, *turns: object, **book: object) -> None:
    server.play({"scripts": [{"name": "test", "turns": list(turns), **book}]})


async def test_a_fix_ends_with_a_proposal_and_a_changed_file(rig: Rig, server: ModelServer) -> None:
    play(server, *FIX)
    result = await rig.run()
    assert (result.stop, result.steps, result.summary) == (Stop.FINISHED, 3, "Fixed.")
    assert result.proposal == Proposal("Divide for real", "It returned 0.")
    assert rig.tools.files["calc.py"] == "def divide(a, b):\n    return a / b\n"
