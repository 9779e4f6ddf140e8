"""Each kind of write on a forge: found when it has landed, made when it has not, never somebody else's."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain import markers
from bot.domain.enums import OperationKind, OperationState
from bot.errors import Forbidden, Invalid, Permanent
from bot.github.tokens import Loan, Reach
from bot.publish.drafts import Draft
from bot.publish.writes import WRITES, permissions_of
from bot.standin.forge.actions import Writer
from bot.standin.forge.faults import Action, Delay, Drop, Reply
from bot.standin.forge.pull_actions import PullRequest, open_pull
from tests.publish.conftest import BRANCH, JOB_ID, MARKER_KEY, REPOSITORY, Desk
from tests.publish.kinds import (
    KINDS,
    MESSAGE,
    WINDOW_SECONDS,
    Kind,
    branch_payload,
    each_kind,
    each_looked_for,
    frozen,
    remote_ids,
    sent,
)


@each_kind
async def test_what_is_not_there_is_sent_once_and_never_again(desk: Desk, kind: Kind) -> None:
    operation = await frozen(desk, kind.kind)

    done = await desk.perform(operation)
    again = await desk.perform(done)

    assert (done.state, done.attempts, done.error) == (OperationState.DONE, 1, None)
    assert (kind.count(desk), sent(desk, kind)) == (1, 1)
    assert again == done


@each_kind
async def test_what_landed_before_a_crash_stands_once(desk: Desk, kind: Kind) -> None:
    operation = await frozen(desk, kind.kind)
    landed = await desk.land(operation, await remote_ids(desk, operation))
    await desk.change(operation.key, state=OperationState.SENT, attempts=1, sent_at=desk.clock.now(), fence=0)

    done = await desk.perform(await desk.operation(operation.key))

    assert (done.remote_id, done.remote_url) == (landed.id, landed.url)
    assert kind.count(desk) == 1
    assert sent(desk, kind) == (1 if kind.is_looked_for else 2)


@pytest.mark.parametrize("fault", [Drop(is_after=True), Reply(502, is_after=True)], ids=["drop", "502"])
@each_kind
async def test_a_lost_answer_is_looked_for_and_the_write_stands_once(
    desk: Desk, kind: Kind, fault: Action
) -> None:
    operation = await frozen(desk, kind.kind)
    desk.forge.faults.add(*kind.request, fault)

    done = await desk.perform(operation)

    assert done.state is OperationState.DONE
    assert kind.count(desk) == 1
    assert sent(desk, kind) == (1 if kind.is_looked_for else 2)


@pytest.mark.parametrize("fault", [Drop(), Reply(200, "<html>")], ids=["drop", "html"])
@each_looked_for
async def test_what_did_not_land_is_repeated_only_after_the_look_window(
    desk: Desk, kind: Kind, fault: Action
) -> None:
    operation = await frozen(desk, kind.kind)
    desk.forge.faults.add(*kind.request, fault)

    done = await desk.perform(operation)

    first, second = desk.asked(kind.method, kind.ending)
    assert second.at - first.at >= WINDOW_SECONDS
    assert (done.state, done.attempts, kind.count(desk)) == (OperationState.DONE, 2, 1)


@each_looked_for
async def test_what_becomes_visible_late_is_waited_for(desk: Desk, kind: Kind) -> None:
    operation = await frozen(desk, kind.kind)
    desk.forge.faults.add(*kind.request, Delay(20.0))
    await desk.land(operation)
    await desk.change(operation.key, state=OperationState.SENT, attempts=1, sent_at=desk.clock.now())
    before = desk.clock.monotonic()

    done = await desk.perform(await desk.operation(operation.key))

    assert (done.state, done.attempts, sent(desk, kind)) == (OperationState.DONE, 1, 1)
    assert 20.0 <= desk.clock.monotonic() - before < WINDOW_SECONDS


@each_looked_for
async def test_the_window_is_over_for_what_was_sent_long_ago(desk: Desk, kind: Kind) -> None:
    operation = await frozen(desk, kind.kind)
    long_ago = desk.clock.now() - timedelta(hours=1)
    await desk.change(operation.key, state=OperationState.SENT, attempts=1, sent_at=long_ago)
    before = desk.clock.monotonic()

    await desk.perform(await desk.operation(operation.key))

    assert desk.clock.monotonic() - before < 2.0
    assert sent(desk, kind) == 1


@each_kind
async def test_a_refusal_is_kept_with_its_words_and_never_repeated(desk: Desk, kind: Kind) -> None:
    operation = await frozen(desk, kind.kind)
    desk.forge.faults.add(*kind.request, Reply(403), times=None)

    with pytest.raises(Forbidden):
        await desk.perform(operation)

    failed = await desk.operation(operation.key)
    assert failed.state is OperationState.FAILED
    assert failed.error is not None and "Injected failure" in failed.error
    assert await desk.perform(failed) == failed
    assert (kind.count(desk) if kind.kind is not OperationKind.BRANCH else 0) == 0
    assert sent(desk, kind) == 1


async def test_a_comment_carries_its_marker_out_of_sight(desk: Desk) -> None:
    await desk.perform(await frozen(desk, OperationKind.COMMENT))
    (comment,) = desk.thread.comments
    assert comment.body == f"Result of the work\n{markers.marker(MARKER_KEY, 'comment')}"
    assert comment.author.login == "issuewright[bot]"


async def test_a_strangers_copy_of_our_marker_is_not_our_comment(desk: Desk) -> None:
    operation = await frozen(desk, OperationKind.COMMENT)
    copied = f"I was first.\n{markers.marker(MARKER_KEY, operation.key)}"
    await desk.forge.comment(REPOSITORY, desk.issue, "mallory", copied)

    done = await desk.perform(operation)

    theirs, ours = desk.thread.comments
    assert (theirs.author.login, done.remote_id) == ("mallory", ours.id)


async def test_our_comment_for_another_operation_is_not_this_one(desk: Desk) -> None:
    await desk.perform(await desk.freeze(OperationKind.COMMENT, {"number": desk.issue, "body": "a"}, key="a"))
    await desk.perform(await desk.freeze(OperationKind.COMMENT, {"number": desk.issue, "body": "b"}, key="b"))
    assert len(desk.thread.comments) == 2


async def test_an_edited_comment_keeps_the_marker_by_which_it_is_found(desk: Desk) -> None:
    await desk.perform(await frozen(desk, OperationKind.COMMENT_EDIT))
    (comment,) = desk.thread.comments
    assert comment.body == f"Changed text\n{markers.marker(MARKER_KEY, 'comment')}"


async def test_a_branch_is_one_signed_commit_with_exactly_the_frozen_files(desk: Desk) -> None:
    done = await desk.perform(await frozen(desk, OperationKind.BRANCH))

    assert (done.remote_id, done.remote_url) == (None, await desk.api.branch_sha(BRANCH))
    commit = await desk.api.commit(str(done.remote_url))
    assert (list(commit.parents), commit.message.rstrip()) == ([desk.base_sha], MESSAGE.rstrip())
    assert await desk.api.file("dog.py", BRANCH) == b"def speak():\n    return 'woof'\n"
    assert await desk.api.file("old.py", BRANCH) is None
    (tree,) = desk.asked("POST", "/git/trees")
    assert b'"100755"' in tree.request_body
    assert await desk.api.branch_sha("main") == desk.base_sha


async def test_a_file_may_take_the_place_of_a_folder_and_a_folder_that_of_a_file(desk: Desk) -> None:
    files = [
        {"path": "box", "content": "a file now\n", "is_executable": False},
        {"path": "box/deep/inner.txt", "content": None, "is_executable": False},
        {"path": "box/inner.txt", "content": None, "is_executable": False},
        {"path": "old.py/a.py", "content": "a folder now\n", "is_executable": False},
        {"path": "old.py", "content": None, "is_executable": False},
    ]
    before = {"box/inner.txt": "x\n", "box/deep/inner.txt": "y\n"}
    base_sha = await desk.forge.commit(REPOSITORY, "main", before, "maria")
    payload = branch_payload(desk, files=files, base_sha=base_sha)

    done = await desk.perform(await desk.freeze(OperationKind.BRANCH, payload))

    assert done.state is OperationState.DONE, done.error
    assert await desk.api.file("box", BRANCH) == b"a file now\n"
    assert await desk.api.file("old.py/a.py", BRANCH) == b"a folder now\n"


async def test_a_branch_that_is_not_this_jobs_is_left_alone(desk: Desk) -> None:
    theirs = await desk.forge.commit(REPOSITORY, BRANCH, {"a.txt": "a"}, "maria", "Issuewright-Job: 01OTHER")
    operation = await frozen(desk, OperationKind.BRANCH)

    with pytest.raises(Permanent, match="is not this job's"):
        await desk.perform(operation)

    assert await desk.api.branch_sha(BRANCH) == theirs
    assert not desk.asked("POST", "/git/commits")


async def test_a_pull_request_of_somebody_else_makes_no_branch_ours(desk: Desk) -> None:
    await desk.forge.commit(REPOSITORY, BRANCH, {"a.txt": "a"}, "maria", "Issuewright-Job: 01OTHER")
    wanted = PullRequest("Mine", None, BRANCH, "main", is_draft=False)
    repository, by = desk.forge.world.repository(REPOSITORY), Writer(desk.forge.account("maria"))
    await open_pull(desk.forge.stage, repository, by, wanted)
    with pytest.raises(Permanent, match="is not this job's"):
        await desk.perform(await frozen(desk, OperationKind.BRANCH))


async def test_a_copied_trailer_above_other_files_makes_no_branch_ours(desk: Desk) -> None:
    theirs = await desk.forge.commit(REPOSITORY, BRANCH, {"a.txt": "a"}, "maria", MESSAGE)
    with pytest.raises(Permanent, match="holds another change"):
        await desk.perform(await frozen(desk, OperationKind.BRANCH))
    assert await desk.api.branch_sha(BRANCH) == theirs


async def test_a_trailer_in_the_middle_of_a_line_makes_no_branch_ours(desk: Desk) -> None:
    words = f"See Issuewright-Job: {JOB_ID}"
    await desk.forge.commit(REPOSITORY, BRANCH, {"a.txt": "a"}, "maria", words)
    with pytest.raises(Permanent, match="delete it and ask again"):
        await desk.perform(await frozen(desk, OperationKind.BRANCH))


async def test_our_own_branch_that_lands_between_look_and_ref_is_taken(desk: Desk) -> None:
    operation = await frozen(desk, OperationKind.BRANCH)
    late = await desk.land(operation)  # an earlier request of ours that arrives after the look

    found = await desk.land(operation)

    assert found == late
    assert [one.status for one in desk.asked("POST", "/git/refs")] == [201, 422]


async def test_somebodys_branch_that_lands_between_look_and_ref_is_left_alone(desk: Desk) -> None:
    operation = await frozen(desk, OperationKind.BRANCH)
    await desk.forge.commit(REPOSITORY, BRANCH, {"a.txt": "a"}, "maria", "Mine")
    with pytest.raises(Permanent, match="is not this job's"):
        await desk.land(operation)


async def test_a_refused_ref_without_any_branch_is_githubs_refusal(desk: Desk) -> None:
    operation = await frozen(desk, OperationKind.BRANCH)
    desk.forge.faults.add("POST", "/git/refs$", Reply(422))
    with pytest.raises(Invalid, match="Injected failure"):
        await desk.land(operation)


@pytest.mark.parametrize("path", [".github/workflows/ci.yml", "a/../../b", ".GIT/config", "pyproject.toml"])
async def test_a_protected_path_does_not_pass_the_last_gate(desk: Desk, path: str) -> None:
    files = [{"path": path, "content": "x", "is_executable": False}]
    operation = await desk.freeze(OperationKind.BRANCH, branch_payload(desk, files=files))

    with pytest.raises(Permanent, match="cannot be published"):
        await desk.perform(operation)

    assert (await desk.operation("branch")).state is OperationState.FAILED
    assert not desk.asked("POST", "/git/trees")


async def test_a_pull_request_is_a_draft_from_our_branch(desk: Desk) -> None:
    done = await desk.perform(await frozen(desk, OperationKind.PULL_REQUEST))
    (thread,) = desk.pulls
    assert thread.pull is not None
    assert (thread.pull.is_draft, thread.pull.head, thread.pull.base) == (True, BRANCH, "main")
    assert done.remote_id == thread.number
    assert done.remote_url is not None and done.remote_url.endswith(f"/pull/{thread.number}")


async def test_a_pull_request_that_a_person_closed_is_not_opened_again(desk: Desk) -> None:
    operation = await frozen(desk, OperationKind.PULL_REQUEST)
    landed = await desk.land(operation)
    assert landed.id is not None
    await desk.forge.close_issue(REPOSITORY, landed.id, "maria")

    done = await desk.perform(operation)

    assert (done.remote_id, len(desk.pulls)) == (landed.id, 1)


async def test_our_own_pull_request_that_lands_after_the_look_is_taken(desk: Desk) -> None:
    operation = await frozen(desk, OperationKind.PULL_REQUEST)
    late = await desk.land(operation)

    assert await desk.land(operation) == late
    assert [one.status for one in desk.asked("POST", "/pulls")] == [201, 422]


async def test_a_refused_pull_request_without_any_other_is_githubs_refusal(desk: Desk) -> None:
    operation = await frozen(desk, OperationKind.PULL_REQUEST)
    desk.forge.faults.add("POST", "/pulls$", Reply(422))
    with pytest.raises(Invalid, match="Injected failure"):
        await desk.land(operation)


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS.values() if not kind.is_looked_for], ids=lambda kind: kind.kind.value
)
async def test_what_can_be_done_twice_is_never_looked_for(desk: Desk, kind: Kind) -> None:
    operation = await frozen(desk, kind.kind)
    ids = await remote_ids(desk, operation)
    await desk.land(operation, ids)
    draft = Draft(operation.key, operation.payload, ids)
    asked = len(desk.forge.requests)
    assert await WRITES[kind.kind].look(desk.api, draft, desk.hand) is None
    assert len(desk.forge.requests) == asked


async def test_whoever_cannot_be_assigned_is_left_out(desk: Desk) -> None:
    await desk.perform(await frozen(desk, OperationKind.ASSIGN))
    (pull,) = desk.pulls
    assert [person.login for person in pull.assignees] == ["maria"]


async def test_a_link_becomes_the_number_that_github_gave(desk: Desk) -> None:
    await desk.perform(await frozen(desk, OperationKind.PULL_REQUEST))
    payload = {"number": desk.issue, "body": "See ⟦x⟧ and ⟦x⟧.", "links": {"⟦x⟧": "pull_request"}}
    await desk.perform(await desk.freeze(OperationKind.COMMENT, payload))
    (comment,) = desk.thread.comments
    assert comment.body.startswith(f"See #{desk.pulls[0].number} and #{desk.pulls[0].number}.\n")


async def test_a_reaction_stands_on_the_comment_when_there_is_one(desk: Desk) -> None:
    comment_id = await desk.forge.comment(REPOSITORY, desk.issue, "maria", "/agent fix")
    payload = {"number": desk.issue, "comment_id": comment_id, "content": "confused"}
    await desk.perform(await desk.freeze(OperationKind.REACTION, payload))
    (comment,) = desk.thread.comments
    assert [one.content for one in comment.reactions] == ["confused"]
    assert not desk.thread.reactions


@each_kind
async def test_a_token_with_just_the_permissions_of_a_kind_is_enough(desk: Desk, kind: Kind) -> None:
    operation = await frozen(desk, kind.kind)
    reach = Reach(
        desk.tenant.installation_id,
        desk.tenant.repository.id,
        tuple(permissions_of([kind.kind]).items()),
    )
    loan = Loan(reach, desk.app.token, desk.clock)
    narrow = replace(desk, api=desk.app.repository(REPOSITORY, loan))
    assert (await narrow.perform(operation)).state is OperationState.DONE
