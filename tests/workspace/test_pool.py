"""A tree that served one job serves the next, and nothing of the first is left in it."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.workspace import reset
from bot.workspace.record import Record
from bot.workspace.toolhost.confine import files_uid
from bot.workspace.workspace import Checkout, Workspace
from tests.workspace.conftest import REPOSITORY
from tests.workspace.githttp import TOKEN, GitServer

NAME = REPOSITORY.full_name
FIRST: dict[str, tuple[str, bytes | str]] = {
    "a.txt": ("100644", "one\n"),
    "run": ("100755", "#!/bin/sh\n"),
    "link": ("120000", "a.txt"),
    "src/deep/er/x.py": ("100644", "x = 1\n"),
    "src/y.py": ("100644", "y = 1\n"),
    "turns": ("100644", "a file\n"),
    "folds/inner": ("100644", "inner\n"),
    "sub": ("160000", "1" * 40),
}
SECOND: dict[str, tuple[str, bytes | str]] = {
    **{path: entry for path, entry in FIRST.items() if path not in {"turns", "folds/inner", "src/y.py"}},
    "a.txt": ("100644", "two\n"),
    "run": ("100644", "#!/bin/sh\n"),
    "link": ("120000", "src"),
    "turns/into/a": ("100644", "directory\n"),
    "folds": ("120000", "/etc"),
    "new.txt": ("100755", "new\n"),
}
Trick = Callable[[Path], object]


def look(tree: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Everything in *tree*: type and permissions, owner, links, content."""
    found = {}
    for path in sorted(tree.rglob("*")):
        status = path.lstat()
        content = b""
        if stat.S_ISLNK(status.st_mode):
            content = os.fsencode(path.readlink())
        elif stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        links = 1 if stat.S_ISDIR(status.st_mode) else status.st_nlink
        found[os.fsencode(path.relative_to(tree)).decode("latin-1")] = (
            status.st_mode,
            status.st_uid,
            links,
            content,
        )
    return found


def idle(tmp_path: Path) -> list[Path]:
    """The trees that wait."""
    return sorted((tmp_path / "data" / "pool").glob("7/*/tree"))


async def used(workspace: Workspace, sha: str, job: str = "job") -> Checkout:
    """A checkout of *sha*."""
    return await workspace.checkout(REPOSITORY, sha, TOKEN, job)


async def fresh(server: GitServer, tmp_path: Path, sha: str) -> dict[str, tuple[int, int, int, bytes]]:
    """What a tree of *sha* looks like that no job has ever used."""
    other = Workspace(tmp_path / "other", git_url=server.url, verify_timeout_seconds=1)
    return look((await used(other, sha)).tree)


async def test_a_tree_of_another_commit_becomes_exactly_this_one(
    server: GitServer, workspace: Workspace, tmp_path: Path
) -> None:
    first, second = (server.commit(NAME, server.tree(NAME, files)) for files in (FIRST, SECOND))
    for sha in (second, first, second):
        checkout = await used(workspace, first)
        inode = checkout.tree.stat().st_ino
        await workspace.discard(checkout)
        checkout = await used(workspace, sha)
        assert checkout.tree.stat().st_ino == inode, "it is the same tree"
        assert look(checkout.tree) == await fresh(server, tmp_path, sha)
        await workspace.discard(checkout)
    assert len(idle(tmp_path)) == 1


def _same_size_and_time(tree: Path) -> None:
    before = (tree / "a.txt").stat()
    (tree / "a.txt").write_text("ONE\n")
    os.utime(tree / "a.txt", ns=(before.st_atime_ns, before.st_mtime_ns))


def _swap_directory_for_link(tree: Path) -> None:
    outside = tree.parent.parent.parent / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "y.py").write_text("outside\n")
    (tree / "src").rename(tree / "moved")
    (tree / "src").symlink_to(outside)


def _hard_link_to_outside(tree: Path) -> None:
    outside = tree.parent.parent.parent / "precious"
    outside.write_text("precious\n")
    (tree / "a.txt").unlink()
    os.link(outside, tree / "a.txt")


def _deep(tree: Path) -> None:
    os.chdir(tree)
    try:
        for _ in range(3000):
            Path("d" * 20).mkdir()
            os.chdir("d" * 20)
    finally:
        os.chdir("/")


def both(first: Trick, second: Trick) -> Trick:
    """One after the other."""
    return lambda tree: [trick(tree) for trick in (first, second)]


TRICKS: dict[str, Trick] = {
    "content with equal size and time": _same_size_and_time,
    "a directory swapped for a link": _swap_directory_for_link,
    "a hard link to a file outside": _hard_link_to_outside,
    "a hard link kept elsewhere": lambda tree: os.link(tree / "a.txt", tree.parent.parent / "kept"),
    "a very deep directory": _deep,
    "git's directory": lambda tree: (tree / ".git" / "hooks").mkdir(parents=True),
    "git's directory in capitals": lambda tree: (tree / "src" / ".GIT").mkdir(),
    "git's short name": lambda tree: (tree / "git~1").write_text("gitdir: /"),
    "a fifo": lambda tree: os.mkfifo(tree / "src" / "pipe"),
    "a fifo for a file": both(lambda tree: (tree / "a.txt").unlink(), lambda tree: os.mkfifo(tree / "a.txt")),
    "a setuid file": lambda tree: (tree / "run").chmod(0o6755),
    "a new setuid file": both(lambda tree: (tree / "s").touch(), lambda tree: (tree / "s").chmod(0o6755)),
    "a directory with odd bits": lambda tree: (tree / "src").chmod(0o7777),
    "a closed directory": both(
        lambda tree: (tree / "shut" / "in").mkdir(parents=True), lambda tree: (tree / "shut").chmod(0)
    ),
    "an ignored file": both(
        lambda tree: (tree / ".gitignore").write_text("*\n"), lambda tree: (tree / "cache").touch()
    ),
    "empty directories": lambda tree: (tree / "src" / "deep" / "empty" / "er").mkdir(parents=True),
    "a name with a line end": lambda tree: (tree / "a\nb").touch(),
    "a name that is no text": lambda tree: (tree / os.fsdecode(b"bad\xff")).touch(),
    "a file for a directory": both(
        lambda tree: (tree / "src").rename(tree / "other"), lambda tree: (tree / "src").touch()
    ),
    "a directory for a file": both(
        lambda tree: (tree / "a.txt").unlink(),
        lambda tree: (tree / "a.txt" / "b").mkdir(parents=True),
    ),
    "another link": both(
        lambda tree: (tree / "link").unlink(), lambda tree: (tree / "link").symlink_to("/etc/passwd")
    ),
    "a dangling link": lambda tree: (tree / "src" / "none").symlink_to("/nowhere"),
    "a deleted file": lambda tree: (tree / "src" / "y.py").unlink(),
    "something in a submodule": lambda tree: (tree / "sub" / "x").touch(),
    "a lost submodule": lambda tree: (tree / "sub").rmdir(),
    "the same file anew": both(
        lambda tree: (tree / "a.txt").unlink(), lambda tree: (tree / "a.txt").write_text("one\n")
    ),
}


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS.keys())
@pytest.mark.parametrize("target", ["same", "other"])
async def test_nothing_that_a_job_left_is_seen_by_the_next(
    server: GitServer, workspace: Workspace, tmp_path: Path, trick: Trick, target: str
) -> None:
    first, second = (server.commit(NAME, server.tree(NAME, files)) for files in (FIRST, SECOND))
    checkout = await used(workspace, first, "one")
    trick(checkout.tree)
    await workspace.discard(checkout)
    wanted = first if target == "same" else second
    again = await used(workspace, wanted, "two")
    assert look(again.tree) == await fresh(server, tmp_path, wanted)
    left = [path for path in (tmp_path / "data" / "jobs").iterdir() if path.is_dir()]
    assert left == [again.tree.parent]
    for name, content in {"outside/y.py": "outside\n", "precious": "precious\n"}.items():
        path = tmp_path / "data" / name
        assert not path.exists() or path.read_text() == content


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_a_change_that_leaves_size_and_time_is_found_late_too(
    server: GitServer, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, is_trusted: bool
) -> None:
    """Once with the change time as the only witness, once with the content (a file system without one)."""
    monkeypatch.setattr(reset, "is_ctime_trusted", lambda _: is_trusted)
    if is_trusted:
        monkeypatch.setattr("bot.workspace.record.TRUSTED_AFTER_NS", -(10**18))
    sha = server.commit(NAME, server.tree(NAME, FIRST))
    for number in range(3):
        checkout = await used(workspace, sha, f"job{number}")
        assert (checkout.tree / "a.txt").read_text() == "one\n"
        _same_size_and_time(checkout.tree)
        await workspace.discard(checkout)


async def test_a_file_system_without_change_times_is_looked_at_by_content(
    server: GitServer, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As where a mapped file is written on tmpfs: nothing that stat says has changed."""
    monkeypatch.setattr(reset, "is_ctime_trusted", lambda _: False)
    monkeypatch.setattr("bot.workspace.record.Kept.is_same", lambda *_: True)
    sha = server.commit(NAME, server.tree(NAME, {"a.txt": ("100644", "one\n")}))
    checkout = await used(workspace, sha)
    (checkout.tree / "a.txt").write_text("ONE\n")
    await workspace.discard(checkout)
    assert (idle(tmp_path)[0] / "a.txt").read_text() == "one\n"


async def test_a_tree_that_was_touched_while_it_waited_is_thrown_away(
    server: GitServer, workspace: Workspace, tmp_path: Path
) -> None:
    sha = server.commit(NAME, server.tree(NAME, FIRST))
    await workspace.discard(await used(workspace, sha))
    (idle(tmp_path)[0] / "late").touch()
    checkout = await used(workspace, sha)
    assert look(checkout.tree) == await fresh(server, tmp_path, sha)
    assert idle(tmp_path) == []


@pytest.mark.parametrize("spoil", ["garbage", "an earlier start of the machine", "no record"])
async def test_a_tree_without_a_record_to_trust_is_thrown_away(
    server: GitServer, workspace: Workspace, tmp_path: Path, spoil: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = server.commit(NAME, server.tree(NAME, FIRST))
    checkout = await used(workspace, sha)
    await workspace.discard(checkout)
    record = idle(tmp_path)[0].parent / "record"
    inode = record.parent.stat().st_ino
    if spoil == "garbage":
        record.write_text("[[1")
    elif spoil == "no record":
        record.unlink()
    else:
        boot = tmp_path / "boot"
        boot.write_text("another\n")
        monkeypatch.setattr("bot.workspace.record._BOOT_ID", boot)
    assert look((await used(workspace, sha)).tree) == await fresh(server, tmp_path, sha)
    slots = list((tmp_path / "data" / "pool" / "7").iterdir())
    assert inode not in [slot.stat().st_ino for slot in slots]


async def test_trees_of_one_repository_never_serve_another(
    server: GitServer, workspace: Workspace, tmp_path: Path
) -> None:
    sha = server.commit(NAME, server.tree(NAME, FIRST))
    await workspace.discard(await used(workspace, sha))
    other = type(REPOSITORY)(8, NAME)
    await workspace.checkout(other, sha, TOKEN, "other")
    assert len(idle(tmp_path)) == 1


async def test_a_tree_of_which_too_much_has_changed_is_thrown_away(
    server: GitServer, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.workspace.tree.MAX_REWRITTEN_FILES", 1)
    first, second = (server.commit(NAME, server.tree(NAME, files)) for files in (FIRST, SECOND))
    await workspace.discard(await used(workspace, first, "one"))
    checkout = await used(workspace, second, "two")
    assert look(checkout.tree) == await fresh(server, tmp_path, second)
    assert len(idle(tmp_path)) == 1, "the other tree waits on"
    for name in ("a.txt", "run"):
        (checkout.tree / name).unlink()
    await workspace.discard(checkout)
    assert len(idle(tmp_path)) == 1


async def test_too_many_strays_are_not_worth_the_tree(
    server: GitServer, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.workspace.sight.MAX_STRAYS", 3)
    checkout = await used(workspace, server.commit(NAME, server.tree(NAME, FIRST)))
    for number in range(4):
        (checkout.tree / f"stray{number}").touch()
    await workspace.discard(checkout)
    assert idle(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="Linux only")
async def test_a_directory_with_attributes_of_its_own_is_thrown_away(
    server: GitServer, workspace: Workspace, tmp_path: Path
) -> None:
    checkout = await used(workspace, server.commit(NAME, server.tree(NAME, FIRST)))
    try:
        os.setxattr(checkout.tree / "src", "user.note", b"for the next job")
    except OSError:
        pytest.skip("this file system keeps no attributes")
    await workspace.discard(checkout)
    assert idle(tmp_path) == []


async def test_the_tree_that_waits_belongs_to_the_file_server_and_is_shut_in(
    server: GitServer, workspace: Workspace, tmp_path: Path
) -> None:
    await workspace.discard(await used(workspace, server.commit(NAME, server.tree(NAME, FIRST))))
    (tree,) = idle(tmp_path)
    assert tree.stat().st_uid == files_uid()
    assert stat.S_IMODE(tree.parent.stat().st_mode) == 0o700
    assert Record.load(tree.parent / "record").files.keys() == FIRST.keys()
