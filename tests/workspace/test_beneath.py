"""Opening files beneath one directory, by the kernel and by the walk: the same attacks, the same answers."""

import errno
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.domain.paths import RefusedPath, split
from bot.workspace.toolhost.beneath import (
    MAX_FILE_BYTES,
    Missing,
    Opener,
    Tree,
    Trouble,
    best_opener,
    open_by_kernel,
    open_by_walk,
)

CANARY = b"canary-outside"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory with a secret that no tool may see."""
    place = tmp_path / "outside"
    place.mkdir()
    (place / "secret").write_bytes(CANARY)
    return place


@pytest.fixture
def root(tmp_path: Path, outside: Path) -> Path:
    """A tree with every trap that a repository can hold."""
    root = tmp_path / "tree"
    (root / "dir").mkdir(parents=True)
    (root / "plain").write_bytes(b"plain")
    (root / "dir" / "inner").write_bytes(b"inner")
    (root / "big").write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    (root / "to_secret").symlink_to(outside / "secret")
    (root / "to_relative").symlink_to("../outside/secret")
    (root / "to_dir").symlink_to(outside)
    (root / "to_root").symlink_to("/")
    (root / "to_plain").symlink_to("plain")
    (root / "to_inner_dir").symlink_to("dir")
    (root / "to_environ").symlink_to("/proc/self/environ")
    (root / "dangling").symlink_to("nowhere")
    (root / "hard").hardlink_to(outside / "secret")
    os.mkfifo(root / "fifo")
    return root


@pytest.fixture(params=[open_by_kernel, open_by_walk], ids=["openat2", "walk"])
def tree(root: Path, request: pytest.FixtureRequest) -> Iterator[Tree]:
    """The tree behind each of the two ways of opening."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    opener: Opener = request.param
    yield Tree(fd, opener)
    os.close(fd)


def test_plain_files_are_read_with_their_mode(tree: Tree, root: Path) -> None:
    (root / "plain").chmod(0o755)
    assert tree.read(("plain",)) == (b"plain", 0o755)
    assert tree.read(("dir", "inner"))[0] == b"inner"


@pytest.mark.parametrize(
    "path",
    [
        "to_secret",
        "to_relative",
        "to_dir/secret",
        "to_root/etc/passwd",
        "to_plain",
        "to_inner_dir/inner",
        "to_environ",
        "dangling",
        "hard",
        "fifo",
    ],
)
def test_links_hard_links_and_special_files_are_refused(tree: Tree, path: str) -> None:
    with pytest.raises(RefusedPath):
        tree.read(split(path))


@pytest.mark.parametrize("path", ["to_dir", "to_root", "to_inner_dir", "to_plain", "dangling"])
def test_a_link_is_no_directory_to_enter(tree: Tree, path: str) -> None:
    with pytest.raises(RefusedPath), tree.directory(split(path)):
        raise AssertionError(path)


def test_a_socket_is_refused(tree: Tree, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(RefusedPath):
            tree.read(("socket",))


def test_what_is_not_there_is_said(tree: Tree) -> None:
    with pytest.raises(Missing, match="nothing at 'absent'"):
        tree.read(("absent",))
    with pytest.raises(Missing, match="not a directory"):
        tree.read(("plain", "x"))
    assert tree.read_if_there(("absent", "deep")) is None
    assert tree.read_if_there(("absent",)) is None
    assert tree.read_if_there(("plain",)) == (b"plain", 0o644)


def test_directories_and_big_files_are_errors_in_words(tree: Tree) -> None:
    with pytest.raises(Trouble, match="list_directory"):
        tree.read(("dir",))
    with pytest.raises(Trouble, match="list_directory"):
        tree.read(())
    with pytest.raises(Trouble, match="1048577 bytes"):
        tree.read(("big",))


def test_a_name_too_long_is_an_error_in_words(tree: Tree) -> None:
    with pytest.raises(Trouble, match="cannot be opened"):
        tree.read(("x" * 300,))


def test_the_root_can_be_listed(tree: Tree) -> None:
    with tree.directory(()) as fd:
        assert os.stat("plain", dir_fd=fd).st_size == 5


def test_even_an_unsplit_path_stays_beneath(root: Path) -> None:
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for parts in (("..", "outside", "secret"), ("/etc/passwd",)):
        with pytest.raises(OSError, match="cross-device") as caught:
            open_by_kernel(fd, parts, os.O_RDONLY)
        assert caught.value.errno == errno.EXDEV
    os.close(fd)


def test_the_kernel_is_asked_first_and_the_walk_stands_in(root: Path) -> None:
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    assert best_opener(fd) in {open_by_kernel, open_by_walk}
    assert Tree(fd).resolver in {"open_by_kernel", "open_by_walk"}
    os.close(fd)
    assert best_opener(fd) is open_by_walk


@pytest.mark.parametrize("name", ["file", "dir"])
def test_swapping_for_a_link_500_times_never_shows_the_outside(
    tree: Tree, root: Path, outside: Path, name: str
) -> None:
    honest, link, raced = root / "honest", root / "link", root / "raced"
    honest.mkdir()
    (honest / "secret").write_bytes(b"inside")
    link.symlink_to(outside)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            honest.rename(raced)
            raced.rename(honest)
            link.rename(raced)
            raced.rename(link)

    swapper = threading.Thread(target=swap)
    swapper.start()
    seen = set()
    for _ in range(500):
        try:
            seen.add(tree.read(("raced", "secret"))[0])
        except (RefusedPath, Trouble):
            seen.add(b"refused")
    stop.set()
    swapper.join()
    assert seen <= {b"inside", b"refused"}
