"""Several deliveries at the same time: bounded, in order within a thread, given back at a stop."""

import asyncio
from collections import Counter

from bot.domain.intents import Intent, StartJob
from bot.intake.dispatch import AT_ONCE, MOST_OF_ONE
from tests.intake.test_dispatch import Post, labeled, post  # noqa: F401 (a fixture)


async def test_a_bounded_number_is_at_work_at_the_same_time(post: Post) -> None:  # noqa: F811
    for number in range(1, AT_ONCE + 1):
        await post.deliver(labeled(number, installation_id=7))
        await post.deliver(labeled(number, installation_id=8))
    go, places = asyncio.Event(), asyncio.Semaphore(0)

    async def decide(_intent: Intent) -> None:
        await go.wait()

    post.applier.on_decide = decide
    begun = await post.dispatcher.fill(places.release)
    assert (begun, await post.dispatcher.fill(places.release)) == (AT_ONCE, 0)
    go.set()
    await places.acquire()
    assert await post.dispatcher.run_once() >= 1
    assert len(post.applier.written) == 2 * AT_ONCE


async def test_where_all_calls_of_an_installation_hang_another_still_has_a_place(post: Post) -> None:  # noqa: F811
    hangs = asyncio.Event()

    async def decide(intent: Intent) -> None:
        if isinstance(intent, StartJob) and intent.installation_id == 7:
            await hangs.wait()

    post.applier.on_decide = decide
    for number in range(1, AT_ONCE + 1):
        await post.deliver(labeled(number, installation_id=7))
    ended = asyncio.Event()
    assert await post.dispatcher.fill(ended.set) == MOST_OF_ONE
    await post.deliver(labeled(installation_id=8))
    assert await post.dispatcher.fill(ended.set) == 1
    await ended.wait()
    assert len(post.applier.written) == 1
    hangs.set()
    await post.dispatcher.run_once()


async def test_whoever_was_not_served_for_longest_is_served_next(post: Post) -> None:  # noqa: F811
    """Three installations with much to do; a fourth that comes last does not wait for theirs."""
    order: list[int] = []

    async def decide(intent: Intent) -> None:
        assert isinstance(intent, StartJob)
        order.append(intent.installation_id)

    post.applier.on_decide = decide
    for number in range(1, 2 * AT_ONCE):
        for installation_id in (7, 8, 9):
            await post.deliver(labeled(number, installation_id=installation_id))
    begun = await post.dispatcher.fill(lambda: None)
    await post.deliver(labeled(installation_id=10))
    await post.dispatcher.run_once()
    assert 10 in order[: begun + 1]
    assert [order.count(each) for each in (7, 8, 9)] == [2 * AT_ONCE - 1] * 3
    assert max(Counter(order[: 3 * 5]).values()) <= 5


async def test_one_that_hangs_holds_up_its_own_thread_alone(post: Post) -> None:  # noqa: F811
    hangs = asyncio.Event()

    async def decide(intent: Intent) -> None:
        if isinstance(intent, StartJob) and intent.number == 1:
            await hangs.wait()

    post.applier.on_decide = decide
    for number in (1, 1, 2):
        await post.deliver(labeled(number))
    ended = asyncio.Event()
    assert await post.dispatcher.fill(ended.set) == 2
    await ended.wait()
    assert [intent.number for intent in post.applier.written if isinstance(intent, StartJob)] == [2]
    hangs.set()
    await post.dispatcher.run_once()
    numbers = [intent.number for intent in post.applier.written if isinstance(intent, StartJob)]
    assert numbers == [2, 1, 1]


async def test_what_was_stopped_is_given_back_at_once(post: Post) -> None:  # noqa: F811
    await post.deliver(labeled())

    async def decide(_intent: Intent) -> None:
        await asyncio.Event().wait()

    post.applier.on_decide = decide
    await post.dispatcher.fill(lambda: None)
    await post.dispatcher.close()
    post.applier.on_decide = None
    assert await post.dispatcher.run_once() == 1
    assert len(post.applier.written) == 1
