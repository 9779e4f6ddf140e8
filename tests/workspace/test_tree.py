"""What a hostile commit may do to us when it is checked out: nothing."""

import os
import resource
from pathlib import Path

import pytest

from bot.errors import Permanent, RetryLater
from bot.workspace import listing
from bot.workspace.toolhost.confine import files_uid
from bot.workspace.workspace import Checkout, Workspace
from tests.workspace.conftest import FILES, REPOSITORY
from tests.workspace.githttp import TOKEN, GitServer, git

NAME = REPOSITORY.full_name


async def check_out(
    server: GitServer, workspace: Workspace, files: dict[str, tuple[str, bytes | str]]
) -> Checkout:
    """The checkout of a commit of *files*."""
    return await workspace.checkout(REPOSITORY, server.commit(NAME, server.tree(NAME, files)), TOKEN, "job")


async def test_the_tree_is_the_commit_and_belongs_to_the_file_server(checkout: Checkout) -> None:
    for path, content in FILES.items():
        expected = content.encode() if isinstance(content, str) else content
        assert (checkout.tree / path).read_bytes() == expected
        assert (checkout.tree / path).stat().st_uid == files_uid()
    assert checkout.tree.stat().st_uid == files_uid()
    assert sorted(path.name for path in checkout.tree.parent.iterdir()) == ["tree"]
    assert checkout.tree.parent.stat().st_mode & 0o777 == 0o700


async def test_modes_and_links_are_kept_and_links_are_not_followed(
    server: GitServer, workspace: Workspace
) -> None:
    checkout = await check_out(
        server,
        workspace,
        {"run": ("100755", "#!/bin/sh\n"), "passwd": ("120000", "/etc/passwd"), "up": ("120000", "../../..")},
    )
    assert (checkout.tree / "run").stat().st_mode & 0o111
    assert (checkout.tree / "passwd").readlink() == Path("/etc/passwd")


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".GIT/hooks/x",
        "deep/er/.Git/x",
        "git~1/config",
        ".g\u200cit/config",
        ".git./x",
        "a/.git \\x",
    ],
)
async def test_a_path_like_gits_own_directory_is_not_checked_out(
    server: GitServer, workspace: Workspace, path: str
) -> None:
    with pytest.raises(Permanent, match="named like git's own directory"):
        await check_out(server, workspace, {path: ("100644", "[core]\n\tfsmonitor = touch /tmp/marker\n")})


async def test_no_attribute_filter_hook_or_submodule_does_anything(
    server: GitServer, workspace: Workspace, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12\n"
    attributes = (
        "*.lfs filter=lfs diff=lfs merge=lfs -text\n*.txt text eol=crlf\n*.id ident\n"
        "*.u16 working-tree-encoding=UTF-16 text\n*.x filter=evil\n[attr]evil filter=evil\n* evil\n"
    )
    files: dict[str, tuple[str, bytes | str]] = {
        ".gitattributes": ("100644", attributes),
        ".gitmodules": ("100644", f'[submodule "s\r"]\n\tpath = sub\n\turl = ext::touch {marker}\n'),
        ".gitconfig": ("100644", f"[core]\n\tfsmonitor = touch {marker}\n\thooksPath = hooks\n"),
        ".lfsconfig": ("100644", "[lfs]\n\turl = http://127.0.0.1:1/\n"),
        "big.lfs": ("100644", pointer),
        "a.txt": ("100644", "one\ntwo\n"),
        "b.id": ("100644", "$Id$\n"),
        "c.u16": ("100644", "plain\n"),
        "d.x": ("100644", "x\n"),
        "hooks/post-checkout": ("100755", f"#!/bin/sh\ntouch {marker}\n"),
        "bare/HEAD": ("100644", "ref: refs/heads/main\n"),
        "bare/config": ("100644", f"[core]\n\tfsmonitor = touch {marker}\n"),
        "sub": ("160000", "1" * 40),
    }
    checkout = await check_out(server, workspace, files)
    for path, (mode, content) in files.items():
        if mode != "160000":
            assert (checkout.tree / path).read_bytes().decode() == content, path
    assert list((checkout.tree / "sub").iterdir()) == []
    assert not marker.exists()
    await workspace.checkout(REPOSITORY, checkout.base_sha, TOKEN, "again")
    assert not marker.exists()


async def test_hooks_and_configuration_of_the_machine_are_not_used(
    server: GitServer, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "marker"
    config = tmp_path / "gitconfig"
    config.write_text(
        f"[core]\n\tfsmonitor = touch {marker}\n\thooksPath = {tmp_path}\n"
        f'[credential]\n\thelper = "!touch {marker}"\n'
        '[url "http://127.0.0.1:1/"]\n\tinsteadOf = http://127.0.0.1\n[http]\n\tproxy = http://127.0.0.1:1\n'
    )
    for name in ("reference-transaction", "post-checkout", "post-index-change"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {marker}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    await check_out(server, workspace, {"a": ("100644", "x")})
    assert not marker.exists()


async def test_a_leftover_of_the_same_job_is_removed_first(server: GitServer, workspace: Workspace) -> None:
    checkout = await check_out(server, workspace, {"a": ("100644", "x")})
    (checkout.tree / "left").mkdir()
    (checkout.tree / "left" / "over").touch()
    (checkout.tree / "left").chmod(0)
    again = await workspace.checkout(REPOSITORY, checkout.base_sha, TOKEN, "job")
    assert [path.name for path in again.tree.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("limit", "value"), [("MAX_TREE_FILES", 1), ("MAX_TREE_BYTES", 10), ("MAX_LISTING_BYTES", 50)]
)
async def test_a_tree_that_is_too_big_is_refused_in_words(
    server: GitServer, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(listing, limit, value)
    with pytest.raises(Permanent, match="too big"):
        await check_out(server, workspace, {"a": ("100644", "12345678"), "b": ("100644", "12345678")})


async def test_a_tree_that_unfolds_without_end_is_refused_in_bounded_time(
    server: GitServer, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MAX_LISTING_BYTES", 1024 * 1024)
    bare = server.bare(NAME)
    tree = server.tree(NAME, {"leaf": ("100644", "x")})
    for _ in range(9):
        lines = "".join(f"040000 tree {tree}\tbranch{number}\n" for number in range(10))
        tree = git("mktree", cwd=bare, stdin=lines.encode())
    with pytest.raises(Permanent, match="too big"):
        await workspace.checkout(REPOSITORY, server.commit(NAME, tree), TOKEN, "job")


def test_a_link_longer_than_any_path_is_refused() -> None:
    with pytest.raises(Permanent, match="longer than any path"):
        listing.check_sizes({"link": listing.Entry("120000", "a" * 40)}, {"a" * 40: 5000})


@pytest.mark.parametrize("path", [b"a/../b", b"a//b", b"./a"])
def test_a_path_that_climbs_is_refused(path: bytes) -> None:
    with pytest.raises(Permanent):
        listing.parsed(b"100644 blob " + b"a" * 40 + b"\t" + path + b"\0")


async def test_a_disk_that_refuses_is_for_later_and_the_mirror_stays(
    server: GitServer, workspace: Workspace, tmp_path: Path
) -> None:
    sha = server.repository(NAME, {"a": "x", "big": "x" * 300_000, "c": "y" * 300_000})
    await workspace.checkout(REPOSITORY, sha, TOKEN, "job")
    count, soft = server.fetches, resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, soft[1]))
        with pytest.raises(RetryLater, match="the checkout failed: File too large"):
            await workspace.checkout(REPOSITORY, sha, TOKEN, "two")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, soft)
    assert list((tmp_path / "data" / "jobs").glob("two*")) == []
    checkout = await workspace.checkout(REPOSITORY, sha, TOKEN, "two")
    assert (checkout.tree / "c").stat().st_size == 300_000
    assert server.fetches == count


@pytest.mark.parametrize("first", [("120000", "/etc"), ("100644", "x")])
async def test_a_path_that_is_a_link_and_a_directory_at_once_is_refused(
    server: GitServer, workspace: Workspace, first: tuple[str, str]
) -> None:
    bare = server.bare(NAME)
    inner = server.tree(NAME, {"issuewright-marker": ("100644", "x")})
    line = server._blob_line(bare, "d", *first)
    tree = git("mktree", cwd=bare, stdin=f"{line}\n040000 tree {inner}\td\n".encode())
    with pytest.raises(Permanent, match="a file and a directory at once"):
        await workspace.checkout(REPOSITORY, server.commit(NAME, tree), TOKEN, "job")
    assert not os.path.exists("/etc/issuewright-marker")  # noqa: PTH110, ASYNC240


async def test_an_object_that_is_no_file_is_not_written(server: GitServer, workspace: Workspace) -> None:
    bare = server.bare(NAME)
    inner = server.tree(NAME, {"x": ("100644", "x")})
    tree = git("mktree", "--missing", cwd=bare, stdin=f"040000 tree {inner}\ta\n".encode())
    raw = b"100644 a\0" + bytes.fromhex(inner)
    liar = git("hash-object", "-t", "tree", "-w", "--stdin", "--literally", cwd=bare, stdin=raw)
    await workspace.checkout(REPOSITORY, server.commit(NAME, tree), TOKEN, "job")
    with pytest.raises((RetryLater, Permanent)):
        await workspace.checkout(REPOSITORY, server.commit(NAME, liar), TOKEN, "job")


@pytest.mark.parametrize("job", ["", "../x", "a/b", "a" * 65, "a b"])
async def test_a_job_id_is_no_path(workspace: Workspace, job: str) -> None:
    with pytest.raises(Permanent, match="no job id"):
        await workspace.checkout(REPOSITORY, "a" * 40, TOKEN, job)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives trees away")
async def test_names_that_are_no_text_are_checked_out_too(server: GitServer, workspace: Workspace) -> None:
    checkout = await check_out(server, workspace, {os.fsdecode(b"bad\xff"): ("100644", "x")})
    assert [os.fsencode(path.name) for path in checkout.tree.iterdir()] == [b"bad\xff"]
