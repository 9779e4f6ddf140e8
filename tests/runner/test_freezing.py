"""From an outcome to what is frozen: every text harmless, every key fixed, everything in order."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.effects import Proposal
from bot.domain.enums import ArtifactType, Cause, OperationKind, Phase, ThreadKind, Tier, When
from bot.domain.values import (
    Actor,
    ClaimedJob,
    CommandRecord,
    FileChange,
    Origin,
    RepositoryRef,
    Snapshot,
)
from bot.publish.drafts import Draft
from bot.publish.writes import WRITES, referred_keys
from bot.runner.freezing import (
    Voice,
    artifacts_of,
    branch_of,
    key_of,
    living,
    operations_of,
    withheld,
)
from bot.runner.outcome import Outcome, Record

SECRET = "canary-secret-4711-never-to-be-seen"
VOICE = Voice((SECRET,), "https://github.com/octo/pets", "Install bubblewrap.", b"marker key of a test")
ORIGIN = Origin(
    repository_id=1,
    number=7,
    kind=ThreadKind.ISSUE,
    verb="fix",
    actor=Actor(9, "maria"),
    trigger="label:agent",
    trigger_key="k",
    snapshot=Snapshot("t", "b"),
    installation_id=2,
)
JOB = ClaimedJob(
    id="01JOB",
    issue_id="01ISSUE",
    organization_id="01ORG",
    agent_type="code.fix",
    model="sonnet",
    attempts=1,
    max_attempts=3,
    fence=1,
    phase=Phase.WORK,
    lease_until=datetime(2026, 11, 22, tzinfo=UTC),
    origin=ORIGIN,
    repository=RepositoryRef(1, "octo/pets", "trunk"),
)
CHANGE = FileChange(
    "dog.py",
    "woof\n",
    is_new=False,
    is_executable=False,
    patch="--- a/dog.py\n+++ b/dog.py\n@@ -1 +1 @@\n-meow\n+woof\n",
    added_lines=1,
    removed_lines=1,
)
PULL = Outcome(
    Cause.PULL_REQUEST,
    next_step="Review the draft.",
    summary="Done.",
    proposal=Proposal("Let the dog bark", "It meowed."),
    changes=(CHANGE,),
    records=(Record(When.AFTER, CommandRecord("make test", 0, 1_200, "", Tier.SANDBOX)),),
    base_sha="c0ffee",
)
HOSTILE = f"@octo/all fixes #3 /merge {SECRET} <!-- hidden --> ![x](https://evil.example/p.png)"


def bodies(outcome: Outcome, *, has_living: bool = True) -> str:
    """Everything that would be published, as one text."""
    return json.dumps([one.payload for one in operations_of(JOB, outcome, VOICE, has_living=has_living)])


def test_a_pull_request_is_published_in_order_and_told_of_last() -> None:
    frozen = operations_of(JOB, PULL, VOICE, has_living=True)
    assert [one.kind for one in frozen] == [
        OperationKind.BRANCH,
        OperationKind.PULL_REQUEST,
        OperationKind.ASSIGN,
        OperationKind.COMMENT_EDIT,
    ]
    assert [one.sequence for one in frozen] == sorted({one.sequence for one in frozen})
    assert [one.key for one in frozen] == [
        key_of(JOB, name) for name in ("branch", "pull", "assign", "final")
    ]


def test_the_branch_stands_on_the_frozen_base_and_names_its_job() -> None:
    branch = operations_of(JOB, PULL, VOICE, has_living=True)[0].payload
    assert (branch["branch"], branch["base_sha"], branch["job_id"]) == (branch_of(JOB), "c0ffee", "01JOB")
    assert branch["files"] == [{"path": "dog.py", "content": "woof\n", "is_executable": False}]
    assert "Issuewright-Job: 01JOB" in branch["message"].splitlines()


def test_the_pull_request_goes_to_the_default_branch_and_closes_the_issue() -> None:
    pull = operations_of(JOB, PULL, VOICE, has_living=True)[1].payload
    assert (pull["head"], pull["base"], pull["title"]) == (branch_of(JOB), "trunk", "Let the dog bark")
    assert "Closes #7" in pull["body"]
    assert "make test" in pull["body"]


def test_the_last_word_names_the_pull_request_by_a_link_that_nobody_can_guess() -> None:
    frozen = operations_of(JOB, PULL, VOICE, has_living=True)
    last = frozen[-1].payload
    ((place, key),) = last["links"].items()
    assert (key, place in last["body"]) == (key_of(JOB, "pull"), True)
    assert referred_keys(last) == {key_of(JOB, "pull"), key_of(JOB, "living")}
    text = Draft("k", last, {key: 12, key_of(JOB, "living"): 5}).text("body")
    assert "#12" in text and place not in text
    other = operations_of(JOB, PULL, replace(VOICE, marker_key=b"another"), has_living=True)[-1].payload
    assert set(other["links"]) != set(last["links"])


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause is not Cause.PULL_REQUEST])
@pytest.mark.parametrize("has_living", [False, True])
def test_every_other_end_is_one_last_word(cause: Cause, has_living: bool) -> None:
    (last,) = operations_of(JOB, Outcome(cause, "Because.", "Ask again."), VOICE, has_living=has_living)
    assert last.kind is (OperationKind.COMMENT_EDIT if has_living else OperationKind.COMMENT)
    assert (last.key, last.payload["number"], last.payload["links"]) == (key_of(JOB, "final"), 7, {})
    assert "Because." in last.payload["body"]
    assert ("comment_key" in last.payload) is has_living


def test_every_kind_that_is_frozen_can_be_sent() -> None:
    frozen = [living(JOB, "Reading"), *operations_of(JOB, PULL, VOICE, has_living=True)]
    assert {one.kind for one in frozen} <= set(WRITES)


@pytest.mark.parametrize("cause", list(Cause))
def test_words_of_the_model_are_made_harmless_everywhere(cause: Cause) -> None:
    outcome = replace(
        PULL,
        cause=cause,
        sentence=HOSTILE,
        summary=HOSTILE,
        analysis=HOSTILE,
        proposal=Proposal(HOSTILE[:60], HOSTILE),
    )
    text = bodies(outcome)
    assert SECRET not in text
    assert "<!-- hidden" not in text
    assert "](https://evil.example" not in text


@given(st.text(max_size=200), st.text(max_size=200))
def test_no_words_of_the_model_keep_the_end_from_being_frozen(title: str, body: str) -> None:
    outcome = replace(PULL, proposal=Proposal(title, body), summary=body, analysis=title)
    branch, pull, _, last = operations_of(JOB, outcome, VOICE, has_living=True)
    assert len(pull.payload["title"]) < 70
    assert "\n" not in pull.payload["title"]
    assert "Issuewright-Job: 01JOB" in branch.payload["message"].splitlines()
    assert len(last.payload["body"]) <= 65_536


def test_a_diff_that_holds_a_secret_is_not_shown() -> None:
    leaky = replace(CHANGE, patch=CHANGE.patch + f" {SECRET}\n")
    text = bodies(Outcome(Cause.VERIFY_FAILED, "It fails.", changes=(leaky,)))
    assert SECRET not in text
    assert "woof" not in text
    assert "woof" in bodies(Outcome(Cause.VERIFY_FAILED, "It fails.", changes=(CHANGE,)))


def test_a_failure_says_whether_something_is_kept() -> None:
    assert "Nothing was changed." in bodies(Outcome(Cause.MODEL_ERROR, "Busy."))
    kept = Outcome(Cause.MODEL_ERROR, "Busy.", changes=(CHANGE,))
    assert "kept with the job" in bodies(kept)


@pytest.mark.parametrize(
    ("change", "is_withheld"),
    [
        (CHANGE, False),
        (replace(CHANGE, patch=CHANGE.patch + f"+key = '{SECRET}'\n"), True),
        (replace(CHANGE, patch=CHANGE.patch + f"-key = '{SECRET}'\n"), False),
        (replace(CHANGE, path=f"{SECRET}.py"), True),
        (replace(CHANGE, patch=CHANGE.patch + "+AKIAIOSFODNN7EXAMPL3\n"), True),
    ],
)
def test_a_change_that_adds_a_secret_is_withheld(change: FileChange, is_withheld: bool) -> None:
    assert bool(withheld(replace(PULL, changes=(change,)), VOICE)) is is_withheld


def test_the_words_and_every_file_are_kept() -> None:
    gone = replace(CHANGE, path="old.py", content=None)
    words, change, deleted = artifacts_of(replace(PULL, changes=(CHANGE, gone)))
    assert (words.type, words.content) == (ArtifactType.ANALYSIS, "Done.")
    assert (change.file_path, change.diff_patch) == ("dog.py", CHANGE.patch)
    assert change.meta == {"baseSha": "c0ffee", "isNew": False, "isDeleted": False}
    assert (deleted.content, deleted.meta) == ("", {"baseSha": "c0ffee", "isNew": False, "isDeleted": True})
    assert artifacts_of(Outcome(Cause.DENIED, "No.")) == []
    assert artifacts_of(replace(PULL, analysis="Whole."))[0].content == "Whole."


def test_everything_is_named_by_the_request_and_by_the_id_only_where_people_look_the_job_up() -> None:
    lives = [replace(JOB, id=id_, request_name="0badcafe") for id_ in ("01FIRST", "01SECOND")]
    first, second = (operations_of(job, PULL, VOICE, has_living=True) for job in lives)
    assert [one.key for one in first] == [one.key for one in second]
    assert {one.key.rsplit(":", 1)[0] for one in first} == {"job:0badcafe"}
    assert first[0] == second[0]
    assert "Issuewright-Job: 0badcafe" in first[0].payload["message"].splitlines()
    assert ("01FIRST" in first[1].payload["body"], first[1].payload["head"]) == (True, branch_of(lives[1]))


def test_a_branch_is_named_by_numbers_and_a_hash_alone() -> None:
    assert branch_of(JOB) == branch_of(JOB) != branch_of(replace(JOB, id="01OTHER"))
    assert branch_of(JOB).startswith("issuewright/7-")
    assert len(branch_of(JOB)) == len("issuewright/7-") + 8


def test_the_living_comment_says_who_works_for_whom() -> None:
    frozen = living(JOB, "Reading the repository")
    assert (frozen.kind, frozen.sequence) == (OperationKind.COMMENT, 0)
    assert "maria" in frozen.payload["body"] and "@maria" not in frozen.payload["body"]
