"""An answer in one piece: calls whose arguments are no object, and refusals that name a key."""

import pytest

from bot.domain.values import Json
from bot.llm import failures, reply

USAGE: Json = {"input_tokens": 1, "output_tokens": 1}


def input_of(given: object) -> object:
    """What is left of a call's arguments."""
    call = {"type": "tool_use", "id": "t", "name": "n", "input": given}
    (block,) = reply.read({"content": [call], "usage": USAGE}, None).content
    return block["input"]


@pytest.mark.parametrize(
    ("given", "text"), [(3, "3"), ("x", '"x"'), (None, "null"), ([], "[]"), (True, "true"), ("ü", '"ü"')]
)
def test_arguments_that_are_json_but_no_object_are_marked_as_in_a_stream(given: object, text: str) -> None:
    assert input_of(given) == {"INVALID_JSON": text}


def test_a_list_of_arguments_that_nests_too_deeply_is_left_out() -> None:
    deep: list[object] = []
    for _ in range(300):
        deep = [deep]
    assert input_of(deep) == {}


@pytest.mark.parametrize(("key", "words"), [("", "hello"), ("hello", "[key]")])
def test_a_key_is_taken_out_of_a_refusal_and_no_key_changes_nothing(key: str, words: str) -> None:
    failure = failures.Failure(status=418, message="hello")
    assert str(failures.from_status(failure, api_key=key)).endswith(f"({words})")
