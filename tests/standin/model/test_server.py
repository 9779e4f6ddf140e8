"""Scripts, faults, records and the cache of the model server."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.standin.model.faults import Fault
from bot.standin.model.script import Book, ScriptError
from bot.standin.model.server import ModelServer
from tests.standin.model.conftest import HEADERS, Json, Post

CALL: Json = {"type": "tool_use", "name": "read_file", "input": {"path": "a"}}


def say(words: str) -> Json:
    return {"content": [{"type": "text", "text": words}]}


def body(*messages: Json, first: str = "Hi", **fields: Any) -> Json:
    return {
        "model": "claude-sonnet-5-5",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": first}, *messages],
        **fields,
    }


def answered(words: str = "Yes.") -> list[Json]:
    return [{"role": "assistant", "content": words}, {"role": "user", "content": "And then?"}]


def words_of(answer: Json) -> str:
    return str(answer["content"][0]["text"])


async def test_the_turn_is_the_number_of_answers_in_the_request(server: ModelServer, post: Post) -> None:
    server.play({"scripts": [{"turns": [say("one"), say("two")]}]})
    for request, expected in [(body(), "one"), (body(*answered()), "two"), (body(), "one")]:
        assert words_of((await post(request))[1]) == expected


async def test_a_script_is_chosen_by_the_first_user_message(server: ModelServer, post: Post) -> None:
    server.play({"scripts": [{"match": "bug.*now", "turns": [say("bug")]}, {"turns": [say("other")]}]})
    assert words_of((await post(body(first="a bug,\nnow")))[1]) == "bug"
    assert words_of((await post(body(first="hello")))[1]) == "other"


async def test_a_request_that_no_script_matches_is_refused(server: ModelServer, post: Post) -> None:
    server.play({"scripts": [{"match": "bug", "turns": [say("bug")]}]})
    status, answer = await post(body())
    assert (status, answer["error"]["message"]) == (400, "stand-in: no script matches the first user message")


async def test_a_finished_script_says_so_and_a_repeating_one_goes_on(server: ModelServer, post: Post) -> None:
    server.play({"scripts": [{"name": "short", "turns": [say("one")]}]})
    assert "'short' has no more turns" in words_of((await post(body(*answered())))[1])
    server.play({"scripts": [{"turns": [say("one")], "repeat": True}]})
    assert words_of((await post(body(*answered(), *answered())))[1]) == "one"


async def test_the_same_request_gets_the_same_answer_after_a_restart(server: ModelServer, post: Post) -> None:
    book = {"scripts": [{"turns": [{"content": [CALL, CALL]}]}]}
    server.play(book)
    first = (await post(body()))[1]
    server.play(book)
    assert (await post(body()))[1] == first
    assert first["content"][0]["id"] != first["content"][1]["id"]
    assert first["stop_reason"] == "tool_use"


async def test_an_obeying_script_makes_the_calls_that_the_text_orders(
    server: ModelServer, post: Post
) -> None:
    order = (
        'Please.\nOBEY {"name": "read_file", "input": {"path": "/proc/self/environ"}}\nOBEY {broken}\nBye.'
    )
    server.play({"scripts": [{"obey": True, "turns": [say("done")]}]})
    answer = (await post(body(first=order)))[1]
    assert answer["content"][0]["input"] == {"path": "/proc/self/environ"}
    assert words_of((await post(body(*answered(), first=order)))[1]) == "done"


async def test_usage_may_be_scripted(server: ModelServer, post: Post) -> None:
    server.play({"scripts": [{"turns": [{**say("one"), "usage": {"input_tokens": 7, "output_tokens": 8}}]}]})
    assert (await post(body()))[1]["usage"] == {"input_tokens": 7, "output_tokens": 8}


async def test_a_marked_prefix_is_written_once_and_read_ever_after(server: ModelServer, post: Post) -> None:
    system = [{"type": "text", "text": "word " * 1_000, "cache_control": {"type": "ephemeral"}}]
    first, second = [(await post(body(system=system)))[1]["usage"] for _ in range(2)]
    assert first["cache_creation_input_tokens"] == second["cache_read_input_tokens"] > 1_000
    assert first["cache_read_input_tokens"] == second["cache_creation_input_tokens"] == 0


async def test_a_changed_byte_before_the_mark_reads_nothing(server: ModelServer, post: Post) -> None:
    system = [{"type": "text", "text": "word " * 1_000, "cache_control": {"type": "ephemeral"}}]
    await post(body(system=system))
    tools = [{"name": "a", "input_schema": {"type": "object"}}]
    assert (await post(body(system=system, tools=tools)))[1]["usage"]["cache_read_input_tokens"] == 0


async def test_a_short_prefix_is_not_cached(server: ModelServer, post: Post) -> None:
    for _ in range(2):
        usage = (await post(body(cache_control={"type": "ephemeral"})))[1]["usage"]
        assert (usage["cache_creation_input_tokens"], usage["cache_read_input_tokens"]) == (0, 0)


async def test_an_entry_is_found_at_most_twenty_blocks_back(server: ModelServer, post: Post) -> None:
    long = {"type": "text", "text": "word " * 1_000}
    marked = {**long, "cache_control": {"type": "ephemeral"}}
    await post(body({"role": "user", "content": [marked]}))
    for blocks, is_found in [(19, True), (20, False)]:
        more = [{"type": "text", "text": str(n)} for n in range(blocks)]
        last = {"type": "text", "text": f"end {blocks}", "cache_control": {"type": "ephemeral"}}
        usage = (await post(body({"role": "user", "content": [long, *more, last]})))[1]["usage"]
        assert (usage["cache_read_input_tokens"] > 0) is is_found


async def test_a_system_prompt_as_text_is_counted_too(post: Post) -> None:
    short, long = [
        (await post(body(system=words)))[1]["usage"]["input_tokens"] for words in ("a", "a" * 4_000)
    ]
    assert long - short > 900


async def test_faults_come_as_often_as_scheduled_and_at_their_turn(server: ModelServer, post: Post) -> None:
    faults = [{"kind": "status", "status": 529, "turn": 1, "times": 2}]
    server.play({"scripts": [{"turns": [say("one"), say("two")]}], "faults": faults})
    requests = [body(), body(*answered()), body(*answered()), body(*answered())]
    assert [(await post(request))[0] for request in requests] == [200, 529, 529, 200]
    assert [record.get("fault") for record in server.requests] == [None, "status", "status", None]


async def test_a_status_fault_has_anthropics_form(
    server: ModelServer, session: aiohttp.ClientSession
) -> None:
    fault = {
        "kind": "status",
        "status": 429,
        "type": "rate_limit_error",
        "message": "Slow.",
        "retry_after": 2,
        "code": "x",
    }
    server.play({"scripts": [{"turns": []}], "faults": [fault]})
    async with session.post(f"{server.url}/v1/messages", json=body(), headers=HEADERS) as response:
        assert response.headers["retry-after"] == "2"
        error = (await response.json())["error"]
    assert error == {"type": "rate_limit_error", "message": "Slow.", "details": {"error_code": "x"}}


async def test_nonsense_and_an_empty_answer(
    server: ModelServer, session: aiohttp.ClientSession, post: Post
) -> None:
    server.play({"scripts": [{"turns": []}], "faults": [{"kind": "nonsense"}, {"kind": "empty"}]})
    async with session.post(f"{server.url}/v1/messages", json=body(), headers=HEADERS) as response:
        assert (response.status, response.content_type) == (200, "text/html")
    assert (await post(body()))[1]["content"] == []


@pytest.mark.parametrize("fault", [{"kind": "drop"}, {"kind": "truncate"}, {"kind": "hang", "seconds": 0}])
async def test_a_broken_connection_is_broken(server: ModelServer, post: Post, fault: Json) -> None:
    server.play({"scripts": [{"turns": [say("one")]}], "faults": [fault]})
    with pytest.raises(aiohttp.ClientError):
        await post(body())
    assert (await post(body()))[0] == 200


async def test_what_is_no_json_is_refused(server: ModelServer, session: aiohttp.ClientSession) -> None:
    async with session.post(f"{server.url}/v1/messages", data=b"{", headers=HEADERS) as response:
        assert response.status == 400
        assert "not valid JSON" in (await response.json())["error"]["message"]


async def test_every_request_is_recorded_without_its_key(server: ModelServer, post: Post) -> None:
    await post(body())
    await post({}, {"x-api-key": "key"})
    good, bad = server.requests
    assert (good["body"], good["status"], good["script"], good["turn"]) == (body(), 200, "script", 0)
    assert (bad["status"], bad["refusal"]) == (400, "anthropic-version: header is required")
    assert good["headers"]["authorization"] == bad["headers"]["x-api-key"] != "key"


async def test_another_process_can_look_and_change_the_script(
    server: ModelServer, session: aiohttp.ClientSession, post: Post
) -> None:
    await post(body())
    async with session.get(f"{server.url}/_model/requests") as response:
        assert (await response.json())["requests"][0]["body"] == body()
    async with session.delete(f"{server.url}/_model/requests") as response:
        assert (response.status, server.requests) == (204, [])
    book = {"scripts": [{"turns": [say("new")]}]}
    async with session.put(f"{server.url}/_model/script", json=book) as response:
        assert response.status == 204
    assert words_of((await post(body()))[1]) == "new"


@pytest.mark.parametrize(
    ("book", "words"),
    [
        ([], "a script book is an object"),
        ({"scripts": 5}, "a script book is an object"),
        ({"scripts": [{"name": "a", "match": "("}]}, "pattern of 'a' is not valid"),
        ({"scripts": [{"turns": [{"content": ["Hi"]}]}]}, "must be blocks with a type"),
        ({"scripts": [], "faults": [{"kind": "flood"}]}, "kind must be one of"),
        ({"scripts": [], "faults": [{"kind": "drop", "colour": 1}]}, "a fault is not valid"),
    ],
)
async def test_a_book_that_cannot_be_played_is_refused_over_http_too(
    server: ModelServer, session: aiohttp.ClientSession, book: Any, words: str
) -> None:
    with pytest.raises(ScriptError, match=words):
        Book.read(book)
    async with session.put(f"{server.url}/_model/script", json=book) as response:
        assert response.status == 400 and words in (await response.json())["error"]


def test_a_book_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "book.json"
    path.write_text(json.dumps({"scripts": [{"name": "a"}], "faults": [{"kind": "drop"}]}))
    book = Book.load(path)
    assert (book.scripts[0].name, book.faults) == ("a", (Fault("drop"),))


async def test_without_an_expected_key_any_key_will_do(session: aiohttp.ClientSession) -> None:
    server = ModelServer(Book.read({"scripts": [{"turns": [say("one")]}]}), is_checking_thinking=False)
    await server.start()
    changed = {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "a", "signature": "b"}, say("x")["content"][0]],
    }
    request = body(changed, {"role": "user", "content": "Hi"})
    async with session.post(f"{server.url}/v1/messages", json=request, headers=HEADERS) as response:
        assert response.status == 200
    await server.stop()
    await server.stop()
