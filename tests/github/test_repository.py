"""Every call on a repository, against the forge."""

import json

import pytest

from bot.errors import Forbidden, Invalid, NotFound, OutcomeUnknown, RetryLater, Unauthorized
from bot.github.values import Permission, TreeEntry
from bot.standin.forge.faults import Drop, Reply
from tests.github.conftest import REPOSITORY, Hub

JSON = {"Content-Type": "application/json"}


async def _branch(hub: Hub, name: str = "issuewright/1-abc") -> str:
    """A branch of ours with one changed, one new and one deleted file; gives its commit."""
    base = await hub.api.branch_sha("main")
    assert base is not None
    tree = await hub.api.create_tree(
        (await hub.api.commit(base)).tree_sha,
        [
            TreeEntry("README.md", "100644", "# Pets bark\n"),
            TreeEntry("bin/run", "100755", "#!/bin/sh\n"),
            TreeEntry("logo.png", "100644", None),
        ],
    )
    sha = await hub.api.create_commit("Bark\n\nIssuewright-Job: 1", tree, [base])
    await hub.api.create_ref(name, sha)
    return sha


async def test_the_repository_is_told_by_its_id(hub: Hub) -> None:
    info = await hub.api.info()
    assert (info.id, info.full_name, info.default_branch) == (hub.repository_id, REPOSITORY, "main")
    assert not info.is_private and not info.is_archived


@pytest.mark.parametrize(
    ("level", "coarse"),
    [("admin", "admin"), ("maintain", "write"), ("write", "write"), ("triage", "read"), ("read", "read")],
)
async def test_a_permission_is_coarse_and_bound_to_a_numeric_id(hub: Hub, level: str, coarse: str) -> None:
    hub.forge.set_permission(REPOSITORY, "maria", level)
    assert await hub.api.permission("maria") == Permission(coarse, hub.forge.account("maria").id)


async def test_an_unknown_login_may_do_nothing(hub: Hub) -> None:
    assert await hub.api.permission("nobody-here") == Permission("none", 0)


@pytest.mark.parametrize("login", ["", "..", "a/b", "a?b", "octo/../../app", "a b", "-x", "x" * 200])
async def test_a_login_that_cannot_exist_is_not_even_asked_for(hub: Hub, login: str) -> None:
    before = len(hub.forge.requests)
    assert await hub.api.permission(login) == Permission("none", 0)
    assert len(hub.forge.requests) == before


async def test_an_issue_is_read(hub: Hub) -> None:
    issue = await hub.api.issue(hub.issue)
    assert (issue.title, issue.body, issue.state) == ("The dog meows", "It should bark.", "open")
    assert not issue.is_locked and not issue.is_pull_request and issue.url.endswith(f"/issues/{hub.issue}")


async def test_a_deleted_issue_is_not_found(hub: Hub) -> None:
    await hub.forge.delete_issue(REPOSITORY, hub.issue, "octo")
    with pytest.raises(NotFound, match="410"):
        await hub.api.issue(hub.issue)


async def test_a_file_comes_as_its_bytes(hub: Hub) -> None:
    assert await hub.api.file("README.md") == b"# Pets\n"
    assert await hub.api.file("logo.png", "main") == b"\x89PNG\xff\x00"
    assert await hub.api.file("src/a b#c.py") == b"x = 1\n"
    assert await hub.api.file("data.json") == b"{}\n"


@pytest.mark.parametrize("path", ["no/such", "src"])
async def test_where_no_file_is_there_is_none(hub: Hub, path: str) -> None:
    assert await hub.api.file(path) is None
    assert await hub.api.file("README.md", "no-such-branch") is None


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../../b", "a//b", "./a", ".git/config", "x/.GIT/hooks", "a\x00b"]
)
async def test_a_path_cannot_lead_elsewhere(hub: Hub, path: str) -> None:
    before = len(hub.forge.requests)
    with pytest.raises(Invalid, match="not a path"):
        await hub.api.file(path)
    assert len(hub.forge.requests) == before


async def test_a_file_above_one_mebibyte_is_refused(hub: Hub) -> None:
    await hub.forge.commit(
        REPOSITORY, "main", {"big.txt": "x" * (1024 * 1024 + 1), "just.txt": "x" * 1024 * 1024}, "octo"
    )
    with pytest.raises(Invalid, match="larger than"):
        await hub.api.file("big.txt")
    assert len(await hub.api.file("just.txt") or b"") == 1024 * 1024


async def test_the_tip_of_a_branch_or_none(hub: Hub) -> None:
    sha = await hub.api.branch_sha("main")
    assert sha is not None and (await hub.api.commit(sha)).sha == sha
    assert await hub.api.branch_sha("mai") is None


async def test_an_empty_repository_has_no_branch(hub: Hub) -> None:
    empty_id = await hub.forge.create_repository("octo/empty", {})
    async with hub.app.lend(hub.installation_id, empty_id, {"contents": "read"}) as loan:
        assert await hub.app.repository("octo/empty", loan).branch_sha("main") is None


@pytest.mark.parametrize(
    "branch", ["", "a..b", "a b", "/a", "a/", "-x", "a~1", "x.lock", "a\nb", "@", "a//b", "a@{1}"]
)
async def test_a_branch_that_git_would_refuse_is_refused_here(hub: Hub, branch: str) -> None:
    with pytest.raises(Invalid, match="not a branch"):
        await hub.api.branch_sha(branch)


@pytest.mark.parametrize(
    "name", ["octo", "octo/", "/pets", "octo/../x", "octo/..", "octo/pets/x", "oc to/pets", "a/b?c"]
)
async def test_a_repository_has_two_plain_names(hub: Hub, name: str) -> None:
    async with hub.app.lend(hub.installation_id, hub.repository_id, {"issues": "read"}) as loan:
        with pytest.raises(Invalid, match="repository's name"):
            hub.app.repository(name, loan)


async def test_all_comments_of_all_pages_are_read(hub: Hub) -> None:
    for number in range(205):
        await hub.forge.comment(REPOSITORY, hub.issue, "maria", f"comment {number}")
    found = await hub.api.comments(hub.issue)
    assert [one.body for one in found] == [f"comment {number}" for number in range(205)]
    assert {one.author_id for one in found} == {hub.forge.account("maria").id}


async def test_when_a_page_fails_no_part_is_given_for_the_whole(hub: Hub) -> None:
    for number in range(101):
        await hub.forge.comment(REPOSITORY, hub.issue, "maria", str(number))
    link = f'<{hub.forge.api_url}/repos/{REPOSITORY}/issues/{hub.issue}/comments?page=2>; rel="next"'
    hub.forge.faults.add("GET", "/comments", Reply(200, "[]", {"Link": link, **JSON}))
    hub.forge.faults.add("GET", "/comments", Reply(502))
    with pytest.raises(RetryLater):
        await hub.api.comments(hub.issue)


async def test_a_comment_is_written_and_edited_in_place(hub: Hub) -> None:
    made = await hub.api.create_comment(hub.issue, "Working on it")
    changed = await hub.api.edit_comment(made.id, "Done")
    assert (changed.id, changed.body) == (made.id, "Done")
    assert made.author_id == (await hub.app.identity(hub.api)).bot_user_id
    assert [one.body for one in await hub.api.comments(hub.issue)] == ["Done"]


async def test_a_locked_thread_is_forbidden_not_retried(hub: Hub) -> None:
    await hub.forge.lock_issue(REPOSITORY, hub.issue, "octo")
    assert (await hub.api.issue(hub.issue)).is_locked
    hub.forge.faults.add("POST", "/comments", Reply(403, headers={}))
    with pytest.raises(Forbidden):
        await hub.api.create_comment(hub.issue, "x")


async def test_the_same_reaction_twice_is_one(hub: Hub) -> None:
    comment = await hub.forge.comment(REPOSITORY, hub.issue, "maria", "/agent fix")
    assert await hub.api.react(None, comment, "eyes") == await hub.api.react(None, comment, "eyes")
    assert await hub.api.react(hub.issue, None, "eyes") == await hub.api.react(hub.issue, None, "eyes")


async def test_a_reaction_needs_a_known_name_and_a_place(hub: Hub) -> None:
    with pytest.raises(Invalid):
        await hub.api.react(hub.issue, None, "thumbs")
    with pytest.raises(Invalid):
        await hub.api.react(None, None, "eyes")


async def test_a_change_becomes_one_tree_one_commit_one_branch(hub: Hub) -> None:
    base = await hub.api.branch_sha("main")
    sha = await _branch(hub)
    assert await hub.api.branch_sha("issuewright/1-abc") == sha
    commit = await hub.api.commit(sha)
    assert commit.parents == (base,) and "Issuewright-Job: 1" in commit.message
    assert await hub.api.file("README.md", sha) == b"# Pets bark\n"
    assert await hub.api.file("logo.png", sha) is None
    assert await hub.api.file("bin/run", sha) == b"#!/bin/sh\n"


async def test_a_branch_that_exists_is_never_moved(hub: Hub) -> None:
    sha = await _branch(hub)
    with pytest.raises(Invalid, match="Reference already exists"):
        await hub.api.create_ref("issuewright/1-abc", sha)


@pytest.mark.parametrize("mode", ["120000", "160000", "040000", "100600"])
async def test_a_tree_holds_plain_files_only(hub: Hub, mode: str) -> None:
    with pytest.raises(Invalid, match="mode"):
        await hub.api.create_tree("a" * 40, [TreeEntry("x", mode, "y")])


async def test_an_object_is_named_by_its_whole_id(hub: Hub) -> None:
    with pytest.raises(Invalid, match="object id"):
        await hub.api.commit("main")


async def test_a_pull_request_is_a_draft_and_found_by_its_head(hub: Hub) -> None:
    sha = await _branch(hub)
    made = await hub.api.create_pull("Bark", "Closes #1", "issuewright/1-abc", "main")
    assert made.is_draft and made.state == "open" and made.head_sha == sha
    assert await hub.api.pulls_with_head("issuewright/1-abc") == [made]
    assert await hub.api.pulls_with_head("issuewright/2-abc") == []
    assert (await hub.api.issue(made.number)).is_pull_request
    with pytest.raises(Invalid, match="already exists"):
        await hub.api.create_pull("Bark", "", "issuewright/1-abc", "main")


async def test_a_head_that_github_ignores_does_not_find_other_peoples_pull_requests(hub: Hub) -> None:
    await _branch(hub)
    made = await hub.api.create_pull("Bark", "", "issuewright/1-abc", "main")
    listed = next(one for one in hub.forge.requests if one.path.endswith("/pulls")).response_body
    theirs = json.loads(listed)
    theirs["head"]["repo"] = {"id": 5}
    gone = json.loads(listed)
    gone["head"]["repo"] = None
    hub.forge.faults.add("GET", "/pulls$", Reply(200, json.dumps([theirs, gone, json.loads(listed)]), JSON))
    assert [one.number for one in await hub.api.pulls_with_head("issuewright/1-abc")] == [made.number]


async def test_the_requester_is_assigned_and_odd_names_are_left_out(hub: Hub) -> None:
    hub.forge.set_permission(REPOSITORY, "maria", "write")
    await hub.api.assign(hub.issue, ["maria", "../x"])
    assert json.loads(hub.forge.requests[-1].request_body) == {"assignees": ["maria"]}


async def test_a_write_that_landed_without_an_answer_is_an_unknown_outcome(hub: Hub) -> None:
    hub.forge.faults.add("POST", "/comments", Drop(is_after=True))
    with pytest.raises(OutcomeUnknown):
        await hub.api.create_comment(hub.issue, "once")
    assert [one.body for one in await hub.api.comments(hub.issue)] == ["once"]


async def test_a_token_that_github_never_takes_is_unauthorized(hub: Hub) -> None:
    hub.forge.faults.add("GET", "/issues/", Reply(401), times=None)
    with pytest.raises(Unauthorized):
        await hub.api.issue(hub.issue)


async def test_a_comment_of_an_account_that_is_gone_has_no_author(hub: Hub) -> None:
    ghost = {"id": 5, "user": None, "body": None, "html_url": "https://x"}
    hub.forge.faults.add("GET", "/comments", Reply(200, json.dumps([ghost]), JSON))
    assert [(one.author_id, one.body) for one in await hub.api.comments(hub.issue)] == [(0, "")]


async def test_an_unknown_level_or_nobody_is_no_permission(hub: Hub) -> None:
    for answer in ({"permission": "owner", "user": {"id": 1}}, {"permission": "admin", "user": None}):
        hub.forge.faults.add("GET", "/permission", Reply(200, json.dumps(answer), JSON))
        assert await hub.api.permission("maria") == Permission("none", 0)


async def test_an_issue_that_answers_with_another_number_has_moved(hub: Hub) -> None:
    other = await hub.forge.open_issue(REPOSITORY, "maria", "Other")
    await hub.api.issue(other)
    body = hub.forge.requests[-1].response_body.decode()
    hub.forge.faults.add("GET", f"/issues/{hub.issue}$", Reply(200, body, JSON))
    with pytest.raises(NotFound, match="moved"):
        await hub.api.issue(hub.issue)


async def test_the_plain_files_of_a_folder_are_listed(hub: Hub) -> None:
    sha = await hub.api.branch_sha("main")
    assert sha is not None
    assert await hub.api.folder("src", sha) == ["src/a b#c.py"]
    assert await hub.api.folder("no/such", sha) == []
    assert await hub.api.folder("README.md", sha) == []
