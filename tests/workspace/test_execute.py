"""Running a program to its end or its deadline, and removing what strangers' code has left."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.workspace.removal import remove_tree
from bot.workspace.toolhost.execute import Capped, run, status_field


@given(st.lists(st.binary(max_size=40)), st.integers(2, 30))
def test_what_is_kept_is_the_head_and_the_tail(chunks: list[bytes], most: int) -> None:
    kept = Capped(most)
    for chunk in chunks:
        kept.feed(chunk)
    whole, half = b"".join(chunks), most // 2
    result = kept.result()
    if len(whole) <= 2 * half:
        assert result == whole
    else:
        assert result.startswith(whole[:half])
        assert result.endswith(whole[-half:])
        assert f"… {len(whole) - 2 * half} bytes left out …".encode() in result


def memory() -> int:
    """An empty file in memory, for the launcher's status."""
    return os.memfd_create("status")


def test_a_program_without_a_word_of_its_own_runs_to_its_end() -> None:
    outcome = run(["/bin/echo", "x"], pass_fds=(), status_fd=memory(), timeout_seconds=10)
    assert (outcome.exit_code, outcome.output, outcome.is_timed_out) == (0, b"x\n", False)


def test_a_program_that_closes_its_output_is_still_waited_for() -> None:
    argv = ["/bin/sh", "-c", "exec >&- 2>&-; sleep 0.05; exit 5"]
    assert run(argv, pass_fds=(), status_fd=memory(), timeout_seconds=10).exit_code == 5


def test_a_word_is_answered_once_and_the_deadline_ends_it() -> None:
    argv = ["/bin/sh", "-c", "echo ready >&0; read -r word; echo $word; read -r more; sleep 100"]
    outcome = run(argv, pass_fds=(), status_fd=memory(), timeout_seconds=0.3)
    assert (outcome.output, outcome.is_timed_out, outcome.exit_code) == (b"go\n", True, -9)


def test_status_fields_are_found_in_their_lines() -> None:
    status = b'{"child-pid": 7}\n{"exit-code": 0}\n'
    assert (status_field(status, "child-pid"), status_field(status, "exit-code")) == (7, 0)
    assert status_field(status, "other") is None


def test_removing_follows_no_link_and_works_twice(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    tree = tmp_path / "tree"
    (tree / "closed" / "inner").mkdir(parents=True)
    (tree / "link").symlink_to(outside)
    (tree / "closed").chmod(0)
    remove_tree(tree)
    remove_tree(tree)
    assert not tree.exists()
    link = tmp_path / "link"
    link.symlink_to(outside)
    remove_tree(link)
    assert not link.is_symlink()
    assert (outside / "kept").exists()


def test_what_cannot_be_removed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").touch()
    monkeypatch.setattr("bot.workspace.removal._quietly", lambda *_: None)
    with pytest.raises(OSError, match="x could not be removed"):
        remove_tree(tmp_path / "x")
