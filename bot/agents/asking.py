"""Asking the model: money first, then the call, again while it is away, and the bill with the answer."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from bot.agents.conversation import Conversation
from bot.agents.deadline import Deadline
from bot.agents.ending import Ended
from bot.agents.ports import Bill, Entry, LoopEvent, LoopEventKind, Need, Record
from bot.agents.registry import Limits
from bot.domain import budget
from bot.domain.budget import Account, BudgetExceeded
from bot.domain.clock import Clock
from bot.domain.effects import Stop
from bot.domain.enums import Cause
from bot.domain.ports import Model
from bot.domain.values import Json, ModelReply, Usage
from bot.errors import OutcomeUnknown, Permanent, RetryLater
from bot.llm import prices
from bot.llm.prices import ModelInfo

MAX_OUTPUT_TOKENS = 16_000
"""For one answer. Above 21,333 the SDK insists on streaming."""
MODEL_TIMEOUT_SECONDS = 600.0
MAX_RETRIES = 3
BACKOFF_SECONDS = 2.0
OUTGROWN = "The conversation has outgrown what the model can read."


@dataclass(frozen=True, slots=True)
class Asked:
    """An answer that came, and the bill that is recorded with it."""

    reply: ModelReply
    bill: Bill


@dataclass(slots=True)
class Asking:
    """One job's calls; knows every limit, and what is set aside for the next call."""

    info: ModelInfo
    model: Model
    record: Record
    clock: Clock
    deadline: Deadline
    limits: Limits
    account: Account
    tokens: int
    jitter: Callable[[], float] = random.random
    backoff_seconds: float = BACKOFF_SECONDS
    _aside: tuple[Need, str] | None = None

    @property
    def max_tokens(self) -> int:
        """The longest answer that is asked for."""
        return min(MAX_OUTPUT_TOKENS, self.info.max_output_tokens)

    def check(self, step: int) -> None:
        """End the loop when its steps or its time are used up."""
        if step >= self.limits.steps:
            raise Ended(Stop.STEPS, f"The limit of {self.limits.steps} model calls is reached.")
        if self.deadline.seconds_left() <= 0:
            raise Ended(Stop.DEADLINE, f"The limit of {self.limits.seconds / 60:g} minutes is reached.")

    def need(self, input_tokens: int) -> Need:
        """The most that a call with this prompt can cost; ends the loop where that is too much.

        Raises:
            Ended: the window, the job's money or its tokens do not cover the call.
        """
        tokens = input_tokens + self.max_tokens
        if tokens > self.info.context_tokens:
            raise Ended(Stop.STEPS, OUTGROWN)
        if self.info.price is None and self.tokens + tokens > self.limits.tokens:
            words = f"The limit of {self.limits.tokens:,} tokens is reached ({self.info.name} has no price)."
            raise Ended(Stop.COST, words)
        need = Need(prices.worst_cost_micro_usd(self.info, input_tokens, self.max_tokens), tokens)
        try:
            self.account.reserve(need.micro_usd)
        except BudgetExceeded as error:
            raise Ended(Stop.COST, error.public) from error
        return need

    def set_aside(self, need: Need, reservation_id: str | None) -> None:
        """Count what the record has reserved for the next call."""
        if reservation_id is not None:
            self._aside = need, reservation_id
            self.account = self.account.reserve(need.micro_usd)

    async def ask(self, talk: Conversation, step: int) -> Asked:
        """One answer; each attempt has its own reservation, and a call that was cut keeps it.

        Raises:
            Ended: a limit does not cover the next attempt.
            RetryLater: the model stayed away through all retries, or would beyond the deadline.
            Permanent: the model cannot be used at all.
        """
        attempt = 0
        while True:
            try:
                await self._reserve(talk, step)
                await self._check_time(step)
                return await self._complete(talk)
            except RetryLater as error:
                await self._back_off(attempt, error, step)
            attempt += 1

    async def _reserve(self, talk: Conversation, step: int) -> None:
        """Set money aside for the next attempt, unless the record has done so already."""
        if self._aside is not None:
            return
        self.check(step)
        need = self.need(talk.estimated_tokens())
        try:
            self.set_aside(need, await self.record.write(Entry(need=need)))
        except BudgetExceeded as error:
            raise Ended(Stop.COST, error.public) from error

    async def _check_time(self, step: int) -> None:
        """Give the money back where the time ran out while it was set aside: nothing is sent then."""
        if self._aside is None or self.deadline.seconds_left() > 0:
            return
        (need, reservation_id), self._aside = self._aside, None
        await self._give_back(need, reservation_id)
        self.check(step)

    async def _give_back(self, need: Need, reservation_id: str) -> None:
        """Settle a call that has cost nothing."""
        await self.record.write(Entry(bill=Bill(reservation_id, Usage(), 0)))
        self.account = self.account.settle(need.micro_usd, 0)

    async def _complete(self, talk: Conversation) -> Asked:
        """One attempt; a refused block that nobody knows is taken out, and the same is asked once more."""
        try:
            return await self._attempt(talk)
        except Permanent:
            if not talk.drop_unknown():
                raise
        raise RetryLater("The model server refused a block of its own answer", after_seconds=0.0)

    async def _attempt(self, talk: Conversation) -> Asked:
        """One call, and what becomes of its reservation when it fails."""
        (need, reservation_id), self._aside = self._aside or (Need(0, 0), ""), None
        seconds = min(MODEL_TIMEOUT_SECONDS, self.deadline.seconds_left())
        try:
            request = talk.request(self.info.name, self.max_tokens)
            reply = await self.model.complete(request, timeout_seconds=seconds)
        except OutcomeUnknown:
            self.tokens += need.tokens
            raise
        except (RetryLater, Permanent):
            await self._give_back(need, reservation_id)
            raise
        cost = prices.cost_micro_usd(self.info, reply.usage)
        self.account = self.account.settle(need.micro_usd, cost)
        self.tokens += reply.usage.total_tokens
        return Asked(reply, Bill(reservation_id, reply.usage, cost))

    async def _back_off(self, attempt: int, error: RetryLater, step: int) -> None:
        """Wait before the next attempt, or hand the error on when attempts or time run out.

        While money is spent too fast nobody's place is held: the job goes on later from what is recorded.
        """
        base = self.backoff_seconds * 2**attempt if error.after_seconds is None else error.after_seconds
        seconds = base * (1 + self.jitter() / 2)
        self.check(step)
        if error.cause is Cause.BUDGET or attempt >= MAX_RETRIES or seconds >= self.deadline.seconds_left():
            raise error
        detail: Json = {"seconds": seconds, "words": str(error)}
        self.record.note(LoopEvent(LoopEventKind.RETRY, type(error).__name__, step, detail))
        await self.record.write(Entry())
        await self.clock.sleep(seconds)


def spent_usd(account: Account) -> float:
    """Dollars of all attempts: settled calls, and those that were cut at their maximum."""
    return budget.usd(account.spent_micro_usd)
