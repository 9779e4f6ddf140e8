"""The agent loop: limits, model, tools, record, again.

What is done about a turn stands here; the strategies stand beside it: money and waiting (`asking`), the
calls of a turn (`calls`), repetition (`progress`), room in the window (`context`), refusals (`quarantine`),
going on after a crash (`restore`). A step is two transactions: the turn with its bill, then our answer with
the money for the next call. A recorded turn is never requested again.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bot.agents import blocks, context, ending, nudges, quarantine, steps
from bot.agents.asking import BACKOFF_SECONDS, OUTGROWN, Asking, spent_usd
from bot.agents.calls import Hands
from bot.agents.deadline import Deadline
from bot.agents.effects import Effects
from bot.agents.ending import Ended
from bot.agents.ports import Accepting, Entry, Judge, LoopEvent, LoopEventKind, Need, Record, StepRow
from bot.agents.progress import Verdict
from bot.agents.prompt import Prompt, said_block
from bot.agents.registry import Definition
from bot.agents.restore import Restored, opening, restore
from bot.agents.steps import Answer
from bot.domain import budget
from bot.domain.budget import Account, BudgetExceeded, Spent
from bot.domain.clock import Clock
from bot.domain.effects import LoopResult, Stop
from bot.domain.enums import StepKind
from bot.domain.past import Past
from bot.domain.ports import Model, Tools
from bot.domain.values import Json, Said
from bot.errors import Permanent, RetryLater
from bot.llm.prices import ModelInfo

MAX_ROUNDS = 3
"""How often a result is given back to the model by the judge, over all attempts."""
MAX_REFUSALS = 1
"""How often a refusal is answered by a quarantine; the next one ends the job."""
MAX_OVERFLOWS = 1
"""The same for a conversation that the model itself calls too long."""
_KNOWN_REASONS = frozenset({"tool_use", "end_turn", "stop_sequence", "pause_turn"})


async def run(  # noqa: PLR0913 (everything outside comes in by name)
    definition: Definition,
    prompt: Prompt,
    *,
    model: Model,
    info: ModelInfo,
    tools: Tools,
    record: Record,
    clock: Clock,
    judge: Judge | None = None,
    past: Past | None = None,
    spent: Spent | None = None,
    effects: Effects | None = None,
    jitter: Callable[[], float] = random.random,
    backoff_seconds: float = BACKOFF_SECONDS,
) -> LoopResult:
    """Run one agent to its end, from the beginning or from where *past* ends.

    *spent* is what earlier attempts of the job have used; *tools* stand on the tree that `past.restore` says.
    *backoff_seconds* is the first wait for a model that is away and names no time; it doubles.

    Raises:
        RetryLater: the model stayed away through all retries (cause `model_error`).
        Permanent: the model or the tool host cannot be used at all.
        LeaseLost: the record says that another worker owns the job.
    """
    limits, spent = definition.limits, spent or Spent()
    found = restore(prompt, past or Past(), effects or Effects())
    deadline = Deadline(clock, limits.seconds, clock.monotonic(), found.used_seconds)
    account = Account(budget.micro_usd(limits.cost_usd), spent.micro_usd)
    asking = Asking(
        info, model, record, clock, deadline, limits, account, spent.tokens, jitter, backoff_seconds
    )
    price_step = info.price.long_prompt_tokens if info.price else None
    room = context.Room(info.context_tokens - asking.max_tokens, price_step)
    hands = Hands(definition, tools, found.effects, deadline, record.note, room.turn_chars)
    loop = _Loop(prompt, record, asking, hands, room, judge or Accepting(), found)
    return await loop.go()


@dataclass(slots=True)
class _Loop:
    """One run: what it works with, and how far it has come."""

    prompt: Prompt
    record: Record
    asking: Asking
    hands: Hands
    room: context.Room
    judge: Judge
    at: Restored

    async def go(self) -> LoopResult:
        """Limits, model, tools, record, again, until something ends it."""
        try:
            await self._begin()
            while True:
                turn = await self._ask()
                await self._exchange(await self._act(turn))
        except Ended as end:
            await self.record.write(Entry())
            return self._result(end)
        except (RetryLater, Permanent):
            await self.record.write(Entry())
            raise

    async def _begin(self) -> None:
        """Record the prompt, or take up the work where it was left; then set money aside."""
        at = self.at
        if at.end is not None:
            raise at.end
        if at.pending is not None:
            await self._exchange(await self._act(at.pending))
            return
        self.asking.check(at.step)
        if at.last is not None and at.step:
            await self._hear(StepRow(at.step, StepKind.TOOLS, at.last), is_new=False)
            return
        content = at.last or await opening(at, self.prompt, self.asking.info, self.room, self.hands.tools)
        is_new = at.last is None
        changes = await self.hands.tools.changes() if at.is_continuing or not is_new else None
        await self._hear(StepRow(0, StepKind.PROMPT, content, changes), is_new=is_new)

    async def _ask(self) -> Json:
        """One answer of the model, paid; it is recorded with ours, or while slow tools run."""
        asked = await self.asking.ask(self.at.talk, self.at.step)
        reply, cost = asked.reply, asked.bill.micro_usd
        self.at.step += 1
        turn = steps.turn_row(reply, blocks.fit(reply.content), self.asking.deadline.elapsed_seconds())
        self._note(LoopEventKind.TURN, str(reply.stop_reason)[:40], cost_usd=budget.usd(cost))
        row = StepRow(self.at.step, StepKind.TURN, turn, model=reply.model, cost_micro_usd=cost)
        await self.record.soon(Entry(rows=(row,), bill=asked.bill))
        if reply.stop_reason in steps.DROPPED:
            self.at.talk.forget_reply(reply.usage)
        else:
            self.at.talk.add_reply(turn["content"], reply.usage)
        return turn

    async def _act(self, turn: Json) -> Answer:
        """Do what a recorded turn asks for; no call of a turn that was cut is ever run."""
        reason, calls = turn["stopReason"], blocks.calls_of(turn["content"])
        if reason == "refusal":
            return self._refused()
        if reason == "model_context_window_exceeded":
            return await self._overflowed()
        if reason == "max_tokens":
            answer = Answer(blocks.not_run(calls, nudges.CUT_CALL) or [blocks.text(nudges.CUT_TEXT)])
            answer.end = self._useless("The model's answers were cut at their length limit again and again.")
            return answer
        if reason not in _KNOWN_REASONS:
            words = f"The model stopped for an unknown reason ({str(reason)[:40]})."
            return Answer(blocks.not_run(calls, words), end=Ended(Stop.NONSENSE, words))
        return await (self._run(calls) if calls else self._spoken(reason))

    async def _run(self, calls: list[Json]) -> Answer:
        """Run the calls of one turn; it may repeat itself, be of no use, or end the work."""
        done = await self.hands.run(self.at.step, calls)
        verdict, pattern = self.at.progress.watch(calls, done.results)
        answer = Answer(done.results, changes=done.changes)
        if verdict is Verdict.NUDGE:
            answer.blocks.append(blocks.text(nudges.STUCK.format(pattern=pattern)))
        if self.at.effects.is_over:
            return await self._finished(answer, self._over())
        if verdict is Verdict.STOP:
            answer.end = Ended(Stop.STUCK, f"The model went round in circles: {pattern}.")
        elif not done.valid:
            answer.end = self._useless("The model called its tools in a way that they do not understand.")
        else:
            self.at.progress.useful()
        return answer

    async def _spoken(self, reason: str) -> Answer:
        """Answer a turn without tool calls: it may be the end, a pause, or nothing."""
        if reason != "pause_turn" and self.at.effects.has_result:
            words = self.at.talk.last_text or "The work is done."
            return await self._finished(Answer([]), Ended(Stop.FINISHED, words))
        is_pause = reason == "pause_turn" and self.at.talk.ends_with_reply
        answer = Answer([] if is_pause else [blocks.text(nudges.NO_CALL)])
        answer.end = self._useless("The model answered without using its tools.")
        return answer

    async def _finished(self, answer: Answer, end: Ended) -> Answer:
        """Let a result be judged before the loop ends with it; the verdict is recorded with the answer."""
        effects, counts = self.at.effects, self.at.counts
        is_open = end.stop is Stop.FINISHED and effects.has_result and effects.question is None
        words = None
        if is_open and counts.rounds < MAX_ROUNDS:
            words = await self.judge.judge(self._result(end))
        if words is None:
            answer.end = end
            return answer
        counts.rounds += 1
        effects.reopen()
        answer.is_reopened = True
        answer.blocks.append(blocks.text(f"{quarantine.JUDGED}\n{words[: blocks.MAX_RESULT_CHARS]}"))
        return answer

    def _refused(self) -> Answer:
        """Take out what the model declines to read and ask once more; the second refusal is the end."""
        edits, kind = quarantine.isolate(self.at.talk)
        counts = self.at.counts
        counts.refusals, counts.declined = counts.refusals + 1, counts.declined or kind
        if edits and counts.refusals <= MAX_REFUSALS:
            self._note(LoopEventKind.CONTEXT, "quarantine", content=kind)
            return Answer([], edits=edits)
        words = f"The request could not be processed because the model declines to read {counts.declined}."
        return Answer([], end=Ended(Stop.REFUSED, words))

    async def _overflowed(self) -> Answer:
        """Compact what the model itself calls too long; the second time, or where nothing is won, end."""
        talk = self.at.talk
        self.at.counts.overflows += 1
        edits = context.compaction(talk, self.room, await self.hands.tools.changes())
        is_shorter = blocks.size(edits[0]["messages"]) < blocks.size(talk.messages)
        if self.at.counts.overflows > MAX_OVERFLOWS or not is_shorter:
            return Answer([], end=Ended(Stop.STEPS, OUTGROWN))
        self._note(LoopEventKind.CONTEXT, "compaction")
        return Answer([], edits=edits)

    async def _exchange(self, answer: Answer) -> None:
        """Append and record our answer, and set money aside for the next call, unless this is the end."""
        self.at.talk.add_answer(answer.blocks)
        self.at.talk.apply(answer.edits)
        end = answer.end
        try:
            self.asking.check(self.at.step)
        except Ended as limit:
            end = end or limit
        if end is None:
            edits = await context.make_room(self.at.talk, self.room, self.hands.tools.changes)
            answer.edits += edits
            if edits:
                self._note(LoopEventKind.CONTEXT, "shortened", edits=len(edits))
        answer.end, state = end, (self.at.progress, self.at.counts)
        content = steps.answer_row(answer, state, self.asking.deadline.elapsed_seconds())
        row = StepRow(self.at.step, StepKind.TOOLS, content, answer.changes)
        if end is not None:
            await self.record.write(Entry(rows=(row,)))
            raise end
        await self._hear(row, is_new=True)

    async def _hear(self, row: StepRow, *, is_new: bool) -> None:
        """Record *row* with what people said meanwhile, and reserve for the next call in the same write.

        A row that is not new is recorded again, under this attempt's fence, only if somebody said something.
        """
        said: list[Json] = []
        need: Need | None = None
        end: Ended | None = None

        def compose(waiting: Sequence[Said]) -> Entry:
            nonlocal said, need, end
            block, heard = said_block(waiting, self.at.talk.prompt.delimiter)
            try:
                need = self.asking.need(self.at.talk.estimated_tokens(block))
            except Ended as limit:
                end = limit
                return Entry(rows=(row,) if is_new else ())
            said = block
            full = replace(row, content={**row.content, "said": [*row.content["said"], *said]})
            return Entry(rows=(full,) if is_new or said else (), heard=heard, need=need)

        try:
            reservation_id = await self.record.hear(compose)
        except BudgetExceeded as error:
            raise Ended(Stop.COST, error.public) from error
        except RetryLater as error:
            # Money is spent too fast just now: `ask` reserves when that is over.
            self._note(LoopEventKind.RETRY, type(error).__name__, words=str(error))
            reservation_id = None
        self.at.talk.add_answer(said)
        if end is not None:
            raise end
        if need is not None:
            self.asking.set_aside(need, reservation_id)

    def _useless(self, words: str) -> Ended | None:
        """Count an answer that nothing could be done with; the third in a row ends the loop."""
        is_last = self.at.progress.useless() is Verdict.STOP
        return Ended(Stop.NONSENSE, words) if is_last else None

    def _over(self) -> Ended:
        """The end that the agent itself has set."""
        effects = self.at.effects
        return Ended(Stop.GAVE_UP if effects.has_given_up else Stop.FINISHED, effects.summary)

    def _result(self, end: Ended) -> LoopResult:
        """What stands now."""
        cost_usd = spent_usd(self.asking.account)
        return ending.result(
            end, self.at.effects, last_text=self.at.talk.last_text, steps=self.at.step, cost_usd=cost_usd
        )

    def _note(self, kind: LoopEventKind, name: str, **detail: object) -> None:
        """Remember an event for the log."""
        self.record.note(LoopEvent(kind, name, self.at.step, detail))
