"""The agent loop: limits, model, tools, record, again.

Everything that can end it is in `_reserve` (limits), `_act` (what the model says) and `_run_calls` (effects,
no progress). Money is reserved before each call and settled after it; a call that was cut stays reserved.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from bot.agents import arguments, conversation, ending, nudges
from bot.agents.conversation import Conversation
from bot.agents.effects import Effects
from bot.agents.ending import Ended
from bot.agents.ports import Ledger, LoopEvent, LoopEventKind, Observe, Transcript, call_event, ignore
from bot.agents.progress import Progress, Verdict
from bot.agents.prompt import Prompt
from bot.agents.registry import Definition
from bot.agents.tools import CATALOG
from bot.domain import budget
from bot.domain.budget import Account, BudgetExceeded
from bot.domain.clock import Clock
from bot.domain.effects import LoopResult, Stop
from bot.domain.ports import Model, ToolHost
from bot.domain.values import Json, ModelReply, ModelRequest, ToolResult, Usage
from bot.errors import OutcomeUnknown, Permanent, RetryLater
from bot.llm import prices
from bot.llm.prices import ModelInfo

MAX_OUTPUT_TOKENS = 16_000
"""For one answer. Above 21,333 the SDK insists on streaming."""
MODEL_TIMEOUT_SECONDS = 600.0
TOOL_TIMEOUT_SECONDS = 60.0
MAX_RETRIES = 3
BACKOFF_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Call:
    """A model call that money was set aside for."""

    request: ModelRequest
    reservation_id: str
    worst_micro_usd: int
    worst_tokens: int


async def run(  # noqa: PLR0913 (everything outside comes in by name)
    definition: Definition,
    prompt: Prompt,
    *,
    model: Model,
    model_name: str,
    tools: ToolHost,
    transcript: Transcript,
    ledger: Ledger,
    clock: Clock,
    observe: Observe = ignore,
    jitter: Callable[[], float] = random.random,
    spent_micro_usd: int = 0,
    backoff_seconds: float = BACKOFF_SECONDS,
) -> LoopResult:
    """Run one agent to its end; *spent_micro_usd* is what earlier attempts of the job have used.

    *backoff_seconds* is the first wait for a model that is away and names no time; it doubles.

    Raises:
        RetryLater: the model stayed away through all retries (cause `model_error`).
        Permanent: the model or the tool host cannot be used at all.
        LeaseLost: the transcript says that another worker owns the job.
    """
    account = Account(budget.micro_usd(definition.limits.cost_usd), spent_micro_usd)
    loop = _Loop(
        definition,
        prompt,
        prices.resolve(model_name),
        model,
        tools,
        transcript,
        ledger,
        clock,
        observe,
        jitter,
        account,
        backoff_seconds,
    )
    return await loop.go()


@dataclass(slots=True)
class _Loop:
    """One run: what it works with, and how far it has come."""

    definition: Definition
    prompt: Prompt
    info: ModelInfo
    model: Model
    tools: ToolHost
    transcript: Transcript
    ledger: Ledger
    clock: Clock
    observe: Observe
    jitter: Callable[[], float]
    account: Account
    backoff_seconds: float
    effects: Effects = field(default_factory=Effects)
    step: int = 0
    tokens: int = 0
    progress: Progress = field(default_factory=Progress)
    started_at: float = 0.0
    talk: Conversation = field(init=False)

    async def go(self) -> LoopResult:
        """Limits, model, tools, record, again, until something ends it."""
        self.started_at = self.clock.monotonic()
        self.talk = Conversation(self.prompt)
        await self.transcript.prompt({**self.prompt.to_json(), "model": self.info.name})
        try:
            while True:
                reply = await self._ask()
                self.talk.add_reply(reply)
                await self._act(reply)
        except Ended as end:
            cost_usd = budget.usd(self.account.spent_micro_usd)
            return ending.result(
                end, self.effects, last_text=self.talk.last_text, steps=self.step, cost_usd=cost_usd
            )

    async def _ask(self) -> ModelReply:
        """One answer, paid and recorded; each attempt has its own reservation."""
        attempt = 0
        while True:
            call = await self._reserve()
            seconds = min(MODEL_TIMEOUT_SECONDS, self._seconds_left())
            try:
                reply = await self.model.complete(call.request, timeout_seconds=seconds)
            except OutcomeUnknown as error:
                self.tokens += call.worst_tokens
                await self._back_off(attempt, error)
            except RetryLater as error:
                await self._settle(call, Usage())
                await self._back_off(attempt, error)
            except Permanent:
                await self._settle(call, Usage())
                raise
            else:
                cost_usd = await self._settle(call, reply.usage)
                self.step += 1
                await self.transcript.turn(self.step, reply, cost_usd)
                detail = {"cost_usd": cost_usd}
                await self.observe(
                    LoopEvent(LoopEventKind.TURN, str(reply.stop_reason)[:40], self.step, detail)
                )
                return reply
            attempt += 1

    async def _reserve(self) -> _Call:
        """Every limit, against the most that the next call can cost; then the money for it."""
        limits, max_tokens = self.definition.limits, min(MAX_OUTPUT_TOKENS, self.info.max_output_tokens)
        if self.step >= limits.steps:
            raise Ended(Stop.STEPS, f"The limit of {limits.steps} model calls is reached.")
        self._check_deadline()
        input_tokens = self.talk.estimated_tokens()
        worst_tokens = input_tokens + max_tokens
        if worst_tokens > self.info.context_tokens:
            raise Ended(Stop.STEPS, "The conversation has outgrown what the model can read.")
        if self.info.price is None and self.tokens + worst_tokens > limits.tokens:
            raise Ended(
                Stop.COST,
                f"The limit of {limits.tokens:,} tokens is reached ({self.info.name} has no price).",
            )
        worst = prices.worst_cost_micro_usd(self.info, input_tokens, max_tokens)
        try:
            account = self.account.reserve(worst)
            reservation_id = await self.ledger.reserve(worst)
        except BudgetExceeded as error:
            raise Ended(Stop.COST, str(error)) from error
        self.account = account
        return _Call(self.talk.request(self.info.name, max_tokens), reservation_id, worst, worst_tokens)

    async def _settle(self, call: _Call, usage: Usage) -> float:
        """Exchange the reservation for what the call cost; gives dollars."""
        cost = prices.cost_micro_usd(self.info, usage)
        await self.ledger.settle(call.reservation_id, usage, cost)
        self.account = self.account.settle(call.worst_micro_usd, cost)
        self.tokens += (
            usage.input_tokens + usage.cache_write_tokens + usage.cache_read_tokens + usage.output_tokens
        )
        return budget.usd(cost)

    async def _back_off(self, attempt: int, error: RetryLater) -> None:
        """Wait before the next attempt, or hand the error on when attempts or time run out."""
        base = self.backoff_seconds * 2**attempt if error.after_seconds is None else error.after_seconds
        seconds = base * (1 + self.jitter() / 2)
        self._check_deadline()
        if attempt >= MAX_RETRIES or seconds >= self._seconds_left():
            raise error
        detail = {"seconds": seconds, "words": str(error)}
        await self.observe(LoopEvent(LoopEventKind.RETRY, type(error).__name__, self.step, detail))
        await self.clock.sleep(seconds)

    async def _act(self, reply: ModelReply) -> None:
        """Do what the answer's stop reason asks for; an unknown one ends the loop."""
        calls = [block for block in reply.content if block["type"] == "tool_use"]
        reason = reply.stop_reason
        if reason == "refusal":
            raise Ended(Stop.REFUSED, "The model declined to work on this request.")
        if reason == "model_context_window_exceeded":
            raise Ended(Stop.STEPS, "The conversation has outgrown what the model can read.")
        if reason == "max_tokens":
            cut = [
                conversation.tool_result(call, ToolResult(nudges.CUT_CALL, is_error=True)) for call in calls
            ]
            await self._answer(cut or [conversation.text(nudges.CUT_TEXT)])
            self._useless("The model's answers were cut at their length limit again and again.")
        elif reason not in {"tool_use", "end_turn", "stop_sequence", "pause_turn"}:
            raise Ended(Stop.NONSENSE, f"The model stopped for an unknown reason ({str(reason)[:40]}).")
        elif calls:
            await self._run_calls(calls)
        else:
            await self._go_on(reason)

    async def _go_on(self, reason: str) -> None:
        """Answer a turn without tool calls: it may be the end, a pause, or nothing."""
        if reason != "pause_turn" and self.effects.has_result:
            raise Ended(Stop.FINISHED, self.talk.last_text or "The work is done.")
        if reason != "pause_turn" or not self.talk.ends_with_reply:
            await self._answer([conversation.text(nudges.NO_CALL)])
        self._useless("The model answered without using its tools.")

    async def _run_calls(self, calls: list[Json]) -> None:
        """Run the calls of one turn in order and answer them all in one message."""
        results: list[Json] = []
        valid_calls = 0
        for call in calls:
            wrong = self._problem(call) if len(results) < nudges.MAX_CALLS_A_TURN else nudges.TOO_MANY
            valid_calls += wrong is None
            result = ToolResult(wrong, is_error=True) if wrong else await self._run_call(call)
            kind = LoopEventKind.PROBLEM if wrong else LoopEventKind.TOOL
            await self.observe(call_event(self.step, call, result, kind))
            results.append(conversation.tool_result(call, result))
        verdict = self.progress.watch(calls, results)
        await self._answer(
            [*results, *([conversation.text(nudges.STUCK)] if verdict is Verdict.NUDGE else [])]
        )
        if self.effects.is_over:
            raise Ended(Stop.GAVE_UP if self.effects.has_given_up else Stop.FINISHED, self.effects.summary)
        if verdict is Verdict.STOP:
            raise Ended(Stop.STUCK, "The model made the same calls over and over.")
        if not valid_calls:
            self._useless("The model called its tools in a way that they do not understand.")
        else:
            self.progress.useful()

    def _problem(self, call: Json) -> str | None:
        """Why a call cannot be run at all: no such tool for this agent, or unfit arguments."""
        offered = self.definition.tools | self.definition.effects
        if call["name"] not in offered:
            return f"There is no tool {call['name'][:60]!r}. There are: {', '.join(sorted(offered))}."
        return " ".join(arguments.problems(CATALOG[call["name"]].input_schema, call["input"])) or None

    async def _run_call(self, call: Json) -> ToolResult:
        """Run one call whose arguments fit: an effect here, a tool in the tool host."""
        name, given = call["name"], call["input"]
        if CATALOG[name].is_effect:
            has_changes = name == "propose_change" and bool(await self.tools.changes())
            return self.effects.apply(name, given, has_changes=has_changes)
        self._check_deadline()
        return await self.tools.call(
            name, given, timeout_seconds=min(TOOL_TIMEOUT_SECONDS, self._seconds_left())
        )

    async def _answer(self, blocks: list[Json]) -> None:
        """Record our message, then append it."""
        await self.transcript.tools(self.step, blocks)
        self.talk.add_answer(blocks)

    def _useless(self, words: str) -> None:
        """Count an answer that nothing could be done with; the third in a row ends the loop."""
        if self.progress.useless() is Verdict.STOP:
            raise Ended(Stop.NONSENSE, words)

    def _seconds_left(self) -> float:
        """Until the job's deadline."""
        return self.definition.limits.seconds - (self.clock.monotonic() - self.started_at)

    def _check_deadline(self) -> None:
        """End the loop when its time is up."""
        if self._seconds_left() <= 0:
            raise Ended(
                Stop.DEADLINE, f"The limit of {self.definition.limits.seconds / 60:g} minutes is reached."
            )
