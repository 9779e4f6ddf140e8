"""Schedules of faults at forge and model, drawn from the seed of a case."""

from typing import Any, Final

from bot.standin.forge.faults import JSON, Action, Delay, Drop, Hang, Reply
from tests.chaos.installation import Installation
from tests.chaos.kinds import BOOK

_WRITES: Final = (
    ("POST", r"/issues/\d+/comments$"),
    ("PATCH", r"/issues/comments/\d+$"),
    ("POST", r"/reactions$"),
    ("POST", r"/git/trees$"),
    ("POST", r"/git/commits$"),
    ("POST", r"/git/refs$"),
    ("POST", r"/pulls$"),
    ("POST", r"/assignees$"),
    ("*", r"/repos/.*"),
    ("POST", r"/access_tokens$"),
)
_VISIBLE_LATE: Final = (
    ("POST", r"/issues/\d+/comments$"),
    ("POST", r"/git/refs$"),
    ("POST", r"/pulls$"),
)
_MODEL: Final[tuple[dict[str, Any], ...]] = (
    {"kind": "status", "status": 429, "type": "rate_limit_error", "retry_after": 1},
    {"kind": "status", "status": 529, "type": "overloaded_error"},
    {"kind": "status", "status": 500, "type": "api_error"},
    {"kind": "drop"},
    {"kind": "truncate"},
)


def draw(installation: Installation) -> None:
    """Put a schedule for one case in place: each rule strikes once or twice, at some request of its kind."""
    dice, forge = installation.case.random, installation.product.forge
    for _ in range(installation.case.kills * 2):
        method, path = dice.choice(_WRITES)
        forge.faults.add(method, path, _action(installation), dice.randint(1, 2))
    for _ in range(installation.case.kills):
        method, path = dice.choice(_VISIBLE_LATE)
        forge.faults.add(method, path, Delay(dice.uniform(0, 0.8)))
    model = [dice.choice(_MODEL) | {"turn": dice.choice([0, 1])} for _ in range(2)]
    installation.product.model.play({**BOOK, "faults": model})


def _action(installation: Installation) -> Action:
    """An error, a silence or a cut, before the request is handled or after it has landed."""
    dice = installation.case.random
    is_after = dice.random() < 0.5
    limit = {**JSON, "retry-after": "1"}
    actions: list[Action] = [
        Reply(500, is_after=is_after),
        Reply(502, body="<html>Bad gateway</html>", is_after=is_after),
        Reply(503, is_after=is_after),
        Drop(is_after=is_after),
        Hang(dice.uniform(0.1, 1.0), is_after=is_after),
        Reply(403, '{"message": "You have exceeded a secondary rate limit"}', limit),
        Reply(429, '{"message": "Too many requests"}', {**limit, "x-ratelimit-remaining": "0"}),
    ]
    return dice.choice(actions)
