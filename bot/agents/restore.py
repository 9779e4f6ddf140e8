"""Going on: the conversation, the effects and the counts as they were when the last attempt ended."""

from dataclasses import dataclass, field, replace

from bot.agents import blocks, steps
from bot.agents.context import Room, make_room
from bot.agents.conversation import Conversation, task_of
from bot.agents.effects import Effects
from bot.agents.ending import Ended
from bot.agents.progress import Progress
from bot.agents.prompt import Prompt
from bot.agents.steps import Counts
from bot.agents.tools import EFFECT_NAMES
from bot.domain.past import Past, PastStep, Segment
from bot.domain.ports import Tools
from bot.domain.values import Json
from bot.llm.prices import ModelInfo

_NOT_RUN = "The job ended before this call was run."


@dataclass(slots=True)
class Restored:
    """Where a loop begins: with nothing, or behind the last recorded step.

    `pending` is a turn that was recorded and not answered: its calls are run first. `last` is the content of
    the last of our own rows: an answer, or the prompt. `end` is the one that was recorded with it.
    `continued` names the other jobs' parts, for the step 0 of a job that begins; `is_continuing`: the tree,
    too, may be other than the checkout.
    """

    talk: Conversation
    effects: Effects
    progress: Progress = field(default_factory=Progress)
    counts: Counts = field(default_factory=Counts)
    step: int = 0
    used_seconds: float = 0.0
    pending: Json | None = None
    last: Json | None = None
    end: Ended | None = None
    is_continuing: bool = False
    continued: list[Json] = field(default_factory=list)


def restore(prompt: Prompt, past: Past, effects: Effects) -> Restored:
    """Build the conversation again, byte for byte; the recorded prompt counts, not the one rendered now."""
    own = past.own
    prompt = Prompt.from_json(own.prompt) if own else prompt
    found = Restored(
        _begun(prompt, past),
        effects,
        last=own.prompt if own else None,
        is_continuing=bool(past.earlier) or past.restore is not None,
        continued=[] if own else [segment.reference() for segment in past.earlier],
    )
    for step in own.steps if own else ():
        _go_on(found, step)
    return found


def _begun(prompt: Prompt, past: Past) -> Conversation:
    """The conversation up to the job's own first turn."""
    said = past.own.prompt.get("said", []) if past.own else []
    if not past.earlier:
        return Conversation(prompt, said)
    first, *others = past.earlier
    begun = Prompt.from_json(first.prompt)
    whole = replace(prompt, message=begun.message, pictures=begun.pictures)
    talk = Conversation(whole, first.prompt.get("said", []))
    _replay(talk, first)
    for segment in others:
        _ask(talk, Prompt.from_json(segment.prompt), segment.prompt)
        _replay(talk, segment)
    _ask(talk, prompt, past.own.prompt if past.own else {})
    talk.last_text = ""
    return talk


def _ask(talk: Conversation, prompt: Prompt, row: Json) -> None:
    """Say what a job that continues others asks for, and make the room that its step 0 tells of."""
    talk.add_task(task_of(prompt))
    talk.apply(row.get("edits", []))
    talk.add_answer(row.get("said", []))


async def opening(at: Restored, prompt: Prompt, model: ModelInfo, room: Room, tools: Tools) -> Json:
    """Step 0 of a job that begins: with the edits that make room for it behind those that it continues."""
    edits = await make_room(at.talk, room, tools.changes) if at.continued else []
    return steps.prompt_row(prompt, model.name, at.continued) | {"edits": edits}


def _replay(talk: Conversation, segment: Segment) -> None:
    """Say again what another job's part of the conversation held."""
    for step in segment.steps:
        _say(talk, step)
        if step.answer is None and step.turn["stopReason"] not in steps.DROPPED:
            talk.add_answer(blocks.not_run(blocks.calls_of(step.turn["content"]), _NOT_RUN))


def _say(talk: Conversation, step: PastStep) -> None:
    """Say one recorded turn and its answer again."""
    if step.turn["stopReason"] in steps.DROPPED:
        talk.forget_reply(steps.usage_of(step.turn))
    else:
        talk.add_reply(step.turn["content"], steps.usage_of(step.turn))
    if step.answer is not None:
        talk.add_answer(step.answer["content"])
        talk.apply(step.answer["edits"])
        talk.add_answer(step.answer["said"])


def _go_on(found: Restored, step: PastStep) -> None:
    """Take in one step of the job itself."""
    _say(found.talk, step)
    found.step = step.number
    found.used_seconds = step.turn["elapsedSeconds"]
    if step.answer is None:
        found.pending = step.turn
        return
    found.last, found.end = step.answer, steps.end_of(step.answer)
    found.used_seconds = step.answer["elapsedSeconds"]
    state = step.answer["state"]
    found.progress, found.counts = Progress(state["progress"]), Counts(**state["counts"])
    _take_effects(found.effects, step.turn["content"], step.answer)


def _take_effects(effects: Effects, content: list[Json], answer: Json) -> None:
    """Take again each effect that was taken then."""
    taken = {
        block["tool_use_id"]
        for block in answer["content"]
        if block["type"] == "tool_result" and not block.get("is_error")
    }
    for call in blocks.calls_of(content):
        if call["id"] in taken and call["name"] in EFFECT_NAMES:
            effects.apply(call["name"], call["input"], has_changes=True)
    if answer["isReopened"]:
        effects.reopen()
