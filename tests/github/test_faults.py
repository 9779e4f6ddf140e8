"""What each status and header means."""

import json
from datetime import timedelta

import pytest

from bot import errors
from bot.github.faults import Answer, Call, fault
from tests.fakes import ManualClock

NOW = ManualClock().now()
READ, WRITE = Call("GET", "/repos/o/r"), Call("POST", "/repos/o/r/issues/1/comments")


def _fault(call: Call, status: int, message: object = None, **headers: str) -> errors.IssuewrightError:
    body = b"" if message is None else json.dumps(message).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return fault(call, Answer(status, named, body), NOW)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (410, errors.NotFound),
        (451, errors.NotFound),
        (301, errors.NotFound),
        (400, errors.Invalid),
        (405, errors.Invalid),
        (409, errors.Invalid),
        (413, errors.Invalid),
        (422, errors.Invalid),
        (429, errors.RateLimited),
        (408, errors.RetryLater),
        (500, errors.RetryLater),
        (502, errors.RetryLater),
        (304, errors.RetryLater),
    ],
)
def test_a_status_means_one_class_for_a_read(status: int, kind: type[Exception]) -> None:
    assert isinstance(_fault(READ, status), kind)
    assert not isinstance(_fault(READ, status), errors.OutcomeUnknown)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_a_write_that_github_failed_on_may_have_landed(status: int) -> None:
    assert isinstance(_fault(WRITE, status), errors.OutcomeUnknown)


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (403, {"retry_after": "60"}, 60),
        (429, {"retry_after": "7"}, 7),
        (429, {}, None),
        (403, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "{reset}"}, 120),
        (403, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "soon"}, None),
        (403, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1"}, 1),
        (429, {"retry_after": "99999999"}, 3_900),
        (429, {"retry_after": "0"}, 1),
        (429, {"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        (429, {"retry_after": "²"}, None),
    ],
)
def test_a_limit_says_how_long_to_wait(status: int, headers: dict[str, str], seconds: float | None) -> None:
    reset = str(int((NOW + timedelta(minutes=2)).timestamp()))
    filled = {name: value.format(reset=reset) for name, value in headers.items()}
    error = _fault(WRITE, status, **filled)
    assert isinstance(error, errors.RateLimited) and error.after_seconds == seconds


@pytest.mark.parametrize("words", ["You have exceeded a secondary rate limit", "Abuse detection mechanism"])
def test_a_secondary_limit_without_headers_is_known_by_its_words(words: str) -> None:
    error = _fault(READ, 403, {"message": words})
    assert isinstance(error, errors.RateLimited) and error.after_seconds is None


def test_a_refusal_says_which_permissions_github_accepts() -> None:
    error = _fault(
        WRITE, 403, {"message": "Resource not accessible"}, x_accepted_github_permissions="issues=write"
    )
    assert isinstance(error, errors.Forbidden) and "issues=write" in str(error)
    assert "Resource not accessible" in str(error)


def test_an_overloaded_github_says_when_to_come_back() -> None:
    error = _fault(READ, 503, retry_after="30")
    assert isinstance(error, errors.RetryLater) and error.after_seconds == 30


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            {"message": "Validation Failed", "errors": [{"field": "head", "code": "invalid"}, "odd", 3]},
            "head invalid; odd",
        ),
        ({"message": "Bad", "errors": "one sentence"}, "Bad; one sentence"),
        ({"message": None}, "o/r"),
        (["list"], "o/r"),
        ({"message": "two\nlines  here"}, "two lines here"),
    ],
)
def test_githubs_own_words_become_one_line(message: object, words: str) -> None:
    assert str(_fault(READ, 422, message)).endswith(words)


def test_a_page_of_html_adds_no_words() -> None:
    error = fault(READ, Answer(502, {"content-type": "text/html"}, b"<html>Unicorn!</html>"), NOW)
    assert str(error) == "GitHub answered 502: GET /repos/o/r"


def test_long_words_are_clipped() -> None:
    assert len(str(_fault(READ, 422, {"message": "x" * 5_000}))) < 400
