"""How a loop ends: an exception inside it, a `LoopResult` outside."""

from bot.agents.effects import Effects
from bot.domain.effects import LoopResult, Stop

_LIMITS = frozenset({Stop.STEPS, Stop.COST, Stop.DEADLINE, Stop.STUCK})


class Ended(Exception):
    """The loop is over: why, and in which words for people."""

    def __init__(self, stop: Stop, words: str) -> None:
        """Keep both for the result."""
        super().__init__(words)
        self.stop = stop
        self.words = words


def result(end: Ended, effects: Effects, *, last_text: str, steps: int, cost_usd: float) -> LoopResult:
    """What stands at the end; at a limit, the model's last words if nothing else stands."""
    analysis = effects.analysis
    if end.stop in _LIMITS and not effects.has_result:
        analysis = last_text or None
    return LoopResult(
        stop=end.stop,
        proposal=effects.proposal,
        analysis=analysis,
        summary=end.words,
        steps=steps,
        cost_usd=cost_usd,
        question=effects.question,
        review=effects.review,
        labels=effects.labels,
        duplicate=effects.duplicate,
    )
