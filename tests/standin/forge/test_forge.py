"""The forge as an object, and what people do that no API call of ours needs."""

import asyncio
from pathlib import Path

import pytest

from bot.standin.forge.clock import ForgeClock, iso
from bot.standin.forge.forge import Forge
from bot.standin.forge.plumbing import Bare, GitRefused, git_binary
from bot.standin.forge.refusals import Refusal
from tests.standin.forge.conftest import REPO, Api


async def test_a_forge_makes_its_own_folder_and_removes_it() -> None:
    forge = Forge()
    await forge.start()
    await forge.create_repository(REPO, {"a": "b"})
    path = forge.repository(REPO).path
    assert path.is_dir() and forge.api_url == forge.git_url
    await forge.stop()
    await forge.stop()
    assert not path.exists()


async def test_a_taken_port_is_an_error(forge: Forge, tmp_path: Path) -> None:
    other = Forge(root=tmp_path / "other")
    with pytest.raises(OSError, match="in use"):
        await other.start(port=int(forge.api_url.rpartition(":")[2]))
    await other.stop()


async def test_a_forge_can_start_again_where_it_was(tmp_path: Path) -> None:
    forge = Forge(root=tmp_path / "f")
    await forge.start()
    await forge.create_repository(REPO, {"a": "b"})
    await forge.stop()
    await forge.start()
    assert await Bare(forge.repository(REPO).path).branches()
    await forge.stop()


def test_the_clock_moves_with_its_source_and_by_hand() -> None:
    clock = ForgeClock(lambda: 1_000.0)
    clock.advance(60)
    assert (clock.now(), iso(clock.now())) == (1_060.0, "1970-01-01T00:17:40Z")


async def test_repositories_are_made_once_and_need_a_name(forge: Forge) -> None:
    for name in (REPO, "nameless", "a/b.git", "a/..", "/b", "a/b/c"):
        with pytest.raises(Refusal) as refused:
            await forge.create_repository(name, {})
        assert refused.value.status == 422


async def test_a_file_can_hold_bytes_and_a_commit_can_remove_one(forge: Forge) -> None:
    await forge.create_repository("acme/raw", {"blob": b"\xff\0", "gone": "x"}, default_branch="trunk")
    sha = await forge.commit("acme/raw", "trunk", {"gone": None}, "ann", "Clean")
    bare = Bare(forge.repository("acme/raw").path)
    assert await bare.branches() == {"trunk": sha}
    assert await bare.run("show", f"{sha}:blob") == b"\xff\0"
    assert await bare.text("ls-tree", "--name-only", sha) == "blob"


async def test_a_new_branch_starts_at_the_default_one(forge: Forge) -> None:
    sha = await forge.commit(REPO, "topic", {"a": "1"}, "ann")
    bare = Bare(forge.repository(REPO).path)
    assert await bare.text("rev-parse", f"{sha}^") == await bare.branch("main")


async def test_an_unknown_level_is_refused(forge: Forge) -> None:
    with pytest.raises(Refusal, match="level must be one of"):
        forge.set_permission(REPO, "ann", "god")


async def test_unknown_names_are_refused(forge: Forge) -> None:
    with pytest.raises(Refusal, match="Not Found"):
        await forge.suspend(1)
    with pytest.raises(Refusal, match="Not Found"):
        await forge.open_issue("no/where", "ann", "x")
    with pytest.raises(Refusal, match="Not Found"):
        await forge.comment(REPO, 5, "ann", "x")
    number = await forge.open_issue(REPO, "ann", "x")
    with pytest.raises(Refusal, match="Label does not exist"):
        await forge.remove_label(REPO, number, "none", "ann")


async def test_accounts_are_made_once(forge: Forge) -> None:
    assert forge.create_user("Zoe") == forge.create_user("zoe")


async def test_an_installation_on_all_takes_no_single_repositories(forge: Forge) -> None:
    installation = await forge.install("acme")
    with pytest.raises(Refusal, match="covers all"):
        await forge.change_repositories(installation, added=[REPO])


async def test_an_issue_is_not_merged_and_a_conflict_neither(api: Api) -> None:
    forge = api.forge
    issue = await forge.open_issue(REPO, "ann", "x")
    with pytest.raises(Refusal) as refused:
        await forge.merge_pull(REPO, issue, "ann")
    assert refused.value.status == 404
    await forge.commit(REPO, "topic", {"src/calc.py": "one\n"}, "ann")
    await forge.commit(REPO, "main", {"src/calc.py": "two\n"}, "ann")
    body = {"title": "P", "head": "topic", "base": "main"}
    number = (await api.call("POST", "/pulls", body)).json["number"]
    with pytest.raises(Refusal, match="not mergeable"):
        await forge.merge_pull(REPO, number, "ann")


async def test_git_that_fails_says_why(forge: Forge) -> None:
    with pytest.raises(GitRefused, match="nowhere"):
        await Bare(forge.repository(REPO).path).run("rev-parse", "nowhere")


async def test_a_broken_repository_is_a_server_error(api: Api) -> None:
    (api.forge.repository(REPO).path / "HEAD").unlink()
    assert (await api.call("GET", "/git/ref/heads/main")).status == 500


async def test_a_merged_branch_that_is_gone_cannot_be_merged(api: Api) -> None:
    await api.forge.commit(REPO, "topic", {"a": "1"}, "ann")
    body = {"title": "P", "head": "topic", "base": "main"}
    number = (await api.call("POST", "/pulls", body)).json["number"]
    await Bare(api.forge.repository(REPO).path).delete_ref("refs/heads/topic")
    with pytest.raises(Refusal, match="Validation Failed"):
        await api.forge.merge_pull(REPO, number, "ann")


def test_a_machine_without_git_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FileNotFoundError, match="git is not installed"):
        git_binary()


async def test_twenty_equal_requests_at_once_make_one_branch(api: Api) -> None:
    sha = (await api.call("GET", "/git/ref/heads/main")).json["object"]["sha"]
    body = {"ref": "refs/heads/one", "sha": sha}
    calls = [api.call("POST", "/git/refs", body) for _ in range(20)]
    statuses = [answer.status for answer in await asyncio.gather(*calls)]
    assert sorted(statuses) == [201] + [422] * 19
