"""Commands in created issue bodies and comments (TR-05 to TR-08, TR-12)."""

from dataclasses import replace

import pytest

from bot.domain.enums import ThreadKind
from bot.domain.intents import Intent, PostHelp, Speak, StartJob
from bot.domain.values import Actor, Json, RepositoryRef, Snapshot
from bot.handlers.router import route
from tests import payloads

REPOSITORY = RepositoryRef(id=500, full_name="octo/shop", default_branch="main", is_private=False)
MONA = Actor(100, "mona")
STRANGER = payloads.user("stranger", 900)
BOT = payloads.user("helper[bot]", 901, "Bot")


def commented(payload: Json) -> list[Intent]:
    return route(payloads.event("issue_comment", payload), own_app_id=payloads.OWN_APP_ID)


def opened(payload: Json) -> list[Intent]:
    return route(payloads.event("issues", payload), own_app_id=payloads.OWN_APP_ID)


def test_a_command_in_a_comment_starts_a_job_with_the_text_of_the_event() -> None:
    issue = payloads.issue("Totals", "Off by one", labels=("bug",), author=STRANGER)
    assert commented(payloads.comment_event("/agent fix only the sum", of=issue)) == [
        StartJob(
            repository=REPOSITORY,
            installation_id=77,
            number=7,
            kind=ThreadKind.ISSUE,
            verb="fix",
            actor=MONA,
            trigger="comment:8000001",
            trigger_key="500:7:fix:comment:8000001",
            snapshot=Snapshot("Totals", "Off by one", "only the sum", ("bug",), "stranger"),
            comment_id=8_000_001,
        )
    ]


def test_a_command_in_the_body_of_an_opened_issue_starts_a_job() -> None:
    issue = payloads.issue("Totals", "Off by one\n\n/agent implement it")
    assert opened(payloads.issues_event("opened", of=issue)) == [
        StartJob(
            repository=REPOSITORY,
            installation_id=77,
            number=7,
            kind=ThreadKind.ISSUE,
            verb="fix",
            actor=MONA,
            trigger="body:9000007",
            trigger_key="500:7:fix:body:9000007",
            snapshot=Snapshot("Totals", "Off by one\n\n/agent implement it", "it", (), "mona"),
        )
    ]


def test_help_is_answered_on_issues_and_pull_requests() -> None:
    expected = [PostHelp(REPOSITORY, 77, 7, MONA, 8_000_001)]
    assert commented(payloads.comment_event("/agent help")) == expected
    on_pull = payloads.comment_event("/agent help", of=payloads.issue(is_pull_request=True))
    assert commented(on_pull) == expected
    in_body = payloads.issues_event("opened", of=payloads.issue(body="/agent help"))
    assert opened(in_body) == [PostHelp(REPOSITORY, 77, 7, MONA, None)]


def test_an_unknown_command_is_answered_with_the_place_and_the_nearest_form() -> None:
    found = commented(payloads.comment_event("Hello\n/agent fxi"))
    assert isinstance(found[0], PostHelp) and len(found) == 1
    assert found[0].problem is not None
    assert "Line 2, column 8" in found[0].problem and "`/agent fix`" in found[0].problem


def test_fix_on_a_pull_request_is_answered_with_what_it_works_on() -> None:
    found = commented(payloads.comment_event("/agent fix", of=payloads.issue(is_pull_request=True)))
    problem = "`fix` works on issues so far, not on pull requests."
    assert found == [PostHelp(REPOSITORY, 77, 7, MONA, 8_000_001, problem)]


@pytest.mark.parametrize(
    ("name", "payload", "acts"),
    [
        # TR-05: who is a bot says the account's type, never its name.
        ("a bot", payloads.comment_event("/agent fix", sender=BOT), False),
        ("our own app for a person", payloads.comment_event("/agent fix", app_id=payloads.OWN_APP_ID), False),
        ("another app for a person", payloads.comment_event("/agent fix", app_id=1), True),
        (
            "a person named [bot]",
            payloads.comment_event("/agent fix", sender=payloads.user("x[bot]", 902)),
            True,
        ),
        ("nobody", payloads.comment_event("/agent fix", sender={}, author=payloads.user()), False),
        # TR-06: edits run nothing.
        ("an edit", payloads.comment_event("/agent fix", action="edited"), False),
        ("a deletion", payloads.comment_event("/agent fix", action="deleted"), False),
        # TR-07: places that are not a person's own words.
        ("a fence", payloads.comment_event("```\n/agent fix\n```"), False),
        ("an HTML comment", payloads.comment_event("<!--\n/agent fix\n-->"), False),
        ("a link's text", payloads.comment_event("[x\n/agent fix](https://example.com)"), False),
        ("an address", payloads.comment_event("me@agent fix"), False),
        ("another name", payloads.comment_event("/agent-other fix"), False),
        # TR-08: a quoted stranger.
        ("a quote", payloads.comment_event("> /agent fix\n\nShould we?"), False),
        ("a quote and an answer", payloads.comment_event("> /agent fix\n\n/agent fix"), True),
        # A text counts for its writer alone.
        ("a stranger's comment", payloads.comment_event("/agent fix", author=STRANGER), False),
        ("no installation", payloads.comment_event("/agent fix", installation_id=None), False),
    ],
)
def test_who_and_where_decide_for_comments(name: str, payload: Json, acts: bool) -> None:
    assert any(not isinstance(intent, Speak) for intent in commented(payload)) is acts, name


@pytest.mark.parametrize(
    ("name", "payload", "acts"),
    [
        ("a person", payloads.issues_event("opened", of=payloads.issue(body="/agent fix")), True),
        ("no body", payloads.issues_event("opened", of=payloads.issue(body=None)), False),
        ("an edit", payloads.issues_event("edited", of=payloads.issue(body="/agent fix")), False),
        ("a reopening", payloads.issues_event("reopened", of=payloads.issue(body="/agent fix")), False),
        (
            "a bot",
            payloads.issues_event("opened", of=payloads.issue(body="/agent fix", author=BOT), sender=BOT),
            False,
        ),
        (
            "our own app",
            payloads.issues_event("opened", of=payloads.issue(body="/agent fix", app_id=payloads.OWN_APP_ID)),
            False,
        ),
        (
            "a maintainer moves a stranger's issue",
            payloads.issues_event("opened", of=payloads.issue(body="/agent fix", author=STRANGER)),
            False,
        ),
        (
            "a person moves an own issue",
            payloads.issues_event(
                "opened",
                of=payloads.issue(body="/agent fix"),
                extra={"changes": {"old_issue": payloads.issue()}},
            ),
            False,
        ),
        (
            "an author who is gone",
            payloads.issues_event("opened", of=payloads.issue(body="/agent fix", author={})),
            False,
        ),
    ],
)
def test_who_and_where_decide_for_issue_bodies(name: str, payload: Json, acts: bool) -> None:
    assert bool(opened(payload)) is acts, name


def test_twenty_commands_in_one_comment_are_one_intent() -> None:
    found = commented(payloads.comment_event("/agent fix a\n\n/agent help\n" * 10))
    assert [intent.snapshot.words for intent in found if isinstance(intent, StartJob)] == ["a"]
    assert len(found) == 1


def test_long_texts_are_clipped_in_the_snapshot_and_hold_no_command() -> None:
    issue = payloads.issue("t" * 5_000, "/agent fix\n" + "b" * 300_000)
    assert opened(payloads.issues_event("opened", of=issue)) == []
    found = commented(payloads.comment_event("/agent fix", of=issue))
    assert isinstance(found[0], StartJob)
    assert (len(found[0].snapshot.title), len(found[0].snapshot.body)) == (1_024, 65_536)


def test_text_that_no_database_stores_is_replaced() -> None:
    issue = payloads.issue("a\0b", "c\ud800d", labels=("\0",))
    found = commented(payloads.comment_event("/agent fix e\0\udfff", of=issue))
    assert isinstance(found[0], StartJob)
    assert found[0].snapshot == Snapshot("a\ufffdb", "c\ufffdd", "e\ufffd\ufffd", ("\ufffd",), "mona")


SAID = Speak(REPOSITORY, 77, 7, MONA, 8_000_001, None, "It is the rounding.")


def test_a_comment_without_a_command_may_be_words_for_the_threads_job() -> None:
    assert commented(payloads.comment_event("It is the rounding.")) == [SAID]


def test_a_comment_on_a_pull_request_is_no_word_for_an_issues_job() -> None:
    pull = payloads.issue(is_pull_request=True)
    assert commented(payloads.comment_event("It is the rounding.", of=pull)) == []


@pytest.mark.parametrize("verb", ["retry", "continue", "cancel"])
def test_a_command_about_a_job_is_no_request_of_its_own(verb: str) -> None:
    found = commented(payloads.comment_event(f"/agent {verb} with the old parser"))
    assert found == [replace(SAID, verb=verb, words="with the old parser")]


@pytest.mark.parametrize("sender", [BOT, STRANGER])
def test_words_count_for_the_person_who_wrote_them_alone(sender: Json) -> None:
    event = payloads.comment_event("It is the rounding.", author=payloads.user(), sender=sender)
    assert commented(event) == []


def test_a_new_issue_has_no_job_that_a_command_could_be_about() -> None:
    (found,) = opened(payloads.issues_event("opened", of=payloads.issue(body="/agent retry")))
    assert isinstance(found, PostHelp)
    assert "has none yet" in (found.problem or "")
