"""The judge of all exchanges finds what is wrong."""

import json
from typing import Any

import pytest

from bot.standin.forge.faults import Reply
from tests.openapi import UNDOCUMENTED, check_all, find_operation, problems, validate_exchange
from tests.standin.forge.conftest import REPO, Api

ISSUES = f"/repos/{REPO}/issues"
JSON = {"Content-Type": "application/json"}
ERROR = b'{"message": "no"}'


def judge(
    method: str = "GET",
    path: str = ISSUES,
    query: str = "",
    body: Any = None,
    status: int | None = None,
    answer: bytes = b"",
) -> None:
    raw = b"" if body is None else json.dumps(body).encode()
    validate_exchange(method, path, query, JSON, raw, status, JSON, answer)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"path": "/repos/a/b/nothing"}, "no such operation"),
        ({"query": "colour=red"}, "query parameter 'colour' is unknown"),
        ({"query": "per_page=many"}, "request"),
        ({"method": "POST", "body": {"body": "x"}}, "'title' is a required property"),
        ({"method": "POST", "body": {"title": "x", "lables": []}}, "body field 'lables' is unknown"),
        ({"method": "POST", "path": f"{ISSUES}/1/reactions", "body": {"content": "shrug"}}, "shrug"),
        ({"method": "POST"}, "request"),
        ({"status": 201, "answer": b"[]"}, "neither documented"),
        ({"status": 418, "answer": ERROR}, "neither documented"),
        ({"status": 502, "answer": b"<html>"}, "no JSON"),
        ({"status": 401, "answer": b"{}"}, "'message' is a required property"),
        ({"status": 200, "answer": b'[{"id": 1}]'}, "node_id"),
        ({"status": 404, "answer": b'{"message": 5}'}, "message"),
        ({"status": 409, "answer": ERROR}, "neither documented"),
    ],
)
def test_what_differs_is_named(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        judge(**wrong)


@pytest.mark.parametrize(
    "right",
    [
        {},
        {"status": 200, "answer": b"[]"},
        {"status": 401, "answer": ERROR},
        {"status": 429, "answer": ERROR},
        {"path": f"/repos/{REPO}/contents/src/a.py", "query": "ref=topic/a"},
        {"path": f"/repos/{REPO}/git/ref/heads/topic/a"},
        {"path": f"/repos/{REPO}/branches/topic/a/protection"},
        {"path": f"/repos/{REPO}/compare/main...topic/a"},
        {"path": f"/repos/{REPO}/commits/topic%2Fa/check-runs"},
        {"path": f"/repos/{REPO}/git/trees/main", "status": 409, "answer": ERROR},
        {
            "method": "POST",
            "path": f"/repos/{REPO}/pulls/1/comments",
            "body": {"body": "x", "in_reply_to": 1},
        },
        {"method": "PATCH", "path": f"{ISSUES}/1", "body": {"state_reason": None, "title": None}},
    ],
)
def test_what_is_right_passes_the_traps_of_the_description(right: dict[str, Any]) -> None:
    judge(**right)


def test_slashes_do_not_hide_the_operation_behind_them() -> None:
    found = find_operation("GET", f"/repos/{REPO}/commits/topic/a/check-runs")
    assert found is not None and found.template.endswith("/commits/{ref}/check-runs")


def test_every_undocumented_status_has_a_reason() -> None:
    assert all(reason for reason, _ in UNDOCUMENTED.values())


async def test_a_made_up_body_is_not_held_against_github_but_the_request_is(api: Api) -> None:
    api.forge.faults.add("*", "", Reply(200, "made up"), times=2)
    await api.call("GET", "/issues")
    await api.call("GET", "/issues?colour=red")
    right, wrong = api.forge.requests[-2:]
    check_all([right])
    assert problems(wrong)
    with pytest.raises(AssertionError, match="colour"):
        check_all([wrong])
    api.forge.requests.remove(wrong)
