"""The last word from the model and from GitHub."""

import pytest

from bot.domain.values import ModelReply, ModelRequest, Usage
from bot.errors import RetryLater
from bot.runner.words import ASK_GITHUB_EVERY_SECONDS, MAX_WORD_CHARS, GitHubWatch, LastWord, WatchedModel
from bot.standin.forge.faults import Reply
from tests.fakes import ManualClock
from tests.runner.conftest import Stack, World

REQUEST = ModelRequest("sonnet", [], [], [{"role": "user", "content": []}], 10)


class OneModel:
    """Answers, or raises what it was told to raise."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:
        if self.error is not None:
            raise self.error
        return ModelReply([], "end_turn", Usage(), request.model)


def test_a_word_is_short_and_has_its_time() -> None:
    clock, word = ManualClock(), LastWord()
    assert (word.text, word.at) == (None, None)
    word.say("x" * 1_000, clock.now())
    assert (word.text, word.at) == ("x" * MAX_WORD_CHARS, clock.now())


async def test_a_model_that_answers_is_ok() -> None:
    clock = ManualClock()
    watched = WatchedModel(OneModel(), clock)
    reply = await watched.complete(REQUEST, timeout_seconds=5.0)
    assert reply.model == "sonnet"
    assert (watched.word.text, watched.word.at) == ("ok", clock.now())


async def test_a_model_that_fails_says_why_and_fails_all_the_same() -> None:
    watched = WatchedModel(OneModel(RetryLater("overloaded")), ManualClock())
    with pytest.raises(RetryLater):
        await watched.complete(REQUEST, timeout_seconds=5.0)
    assert watched.word.text == "overloaded"


async def test_a_bug_of_ours_is_no_word_of_the_models() -> None:
    watched = WatchedModel(OneModel(KeyError("x")), ManualClock())
    with pytest.raises(KeyError):
        await watched.complete(REQUEST, timeout_seconds=5.0)
    assert watched.word.text is None


async def test_github_is_asked_at_the_start_and_every_few_minutes(world: World, stack: Stack) -> None:
    watch = GitHubWatch(stack.app, world.clock)
    for _ in range(3):
        await watch.look()
    assert (watch.word.text, world.asked("GET", "/app")) == ("ok", 1)
    world.clock.advance(ASK_GITHUB_EVERY_SECONDS - 1)
    await watch.look()
    assert world.asked("GET", "/app") == 1
    world.clock.advance(1)
    await watch.look()
    assert world.asked("GET", "/app") == 2


async def test_after_trouble_github_is_asked_each_time(world: World, stack: Stack) -> None:
    watch = GitHubWatch(stack.app, world.clock)
    world.forge.faults.add("GET", "/app$", Reply(503), times=2)
    for _ in range(2):
        await watch.look()
        assert watch.word.text is not None and "503" in watch.word.text
    await watch.look()
    assert watch.word.text == "ok"
