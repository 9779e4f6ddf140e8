"""Control groups around sandboxes: found only where they count, made with limits, gone afterwards.

The files of a group are played by plain ones; where this machine lets us make one, it is ended for real.
"""

import os
import subprocess
from pathlib import Path

import pytest

from bot.workspace import sandbox
from bot.workspace.toolhost import cgroup
from bot.workspace.toolhost.cgroup import Group

OWN_MOUNT = Path("/sys/fs/cgroup/unified")


def hierarchy(place: Path, controllers: str, enabled: str) -> Path:
    """A group of the kernel's, as files."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "cgroup.controllers").write_text(controllers)
    (place / "cgroup.subtree_control").write_text(enabled)
    return place


def test_a_group_that_counts_memory_and_processes_is_ready(tmp_path: Path) -> None:
    assert cgroup.ready(hierarchy(tmp_path / "a", "hugetlb", "")) is None
    assert cgroup.ready(hierarchy(tmp_path / "b", "memory", "memory")) is None
    assert cgroup.ready(tmp_path / "absent") is None

    class Kernel(type(Path())):  # type: ignore[misc]
        """Files that keep what was switched on."""

        def write_text(self, data: str, *_: object, **__: object) -> int:
            with self.open("a") as file:
                return int(file.write(f" {data.removeprefix('+')}"))

    place = hierarchy(Kernel(tmp_path / "c"), "cpu memory pids", "")
    assert cgroup.ready(place) == place


@pytest.mark.parametrize(
    ("mounts", "own", "found"),
    [
        (
            "30 1 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
            "0::/system.slice/a.service/main\n",
            "system.slice/a.service",
        ),
        ("30 1 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n", "4:memory:/x\n", None),
        ("30 1 0:1 / /proc rw - proc proc rw\n", "0::/a/b\n", None),
    ],
)
def test_the_parent_of_our_own_group_is_asked(
    mounts: str, own: str, found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {"/proc/self/mountinfo": mounts, "/proc/self/cgroup": own}
    monkeypatch.setattr(Path, "read_text", lambda path: texts[str(path)])
    monkeypatch.setattr(cgroup, "ready", lambda place: place)
    assert cgroup.parent() == (Path("/sys/fs/cgroup") / found if found else None)


def test_a_group_is_made_with_its_limits(tmp_path: Path) -> None:
    group = cgroup.make(tmp_path, memory_bytes=1000, processes=7)
    assert group.path.name.startswith(f"issuewright-sandbox-{os.getpid()}-")
    limits = {path.name: path.read_text() for path in group.path.iterdir()}
    assert (limits["memory.max"], limits["pids.max"], limits["memory.swap.max"]) == ("1000", "7", "0")
    group.add(42)
    assert (group.path / "cgroup.procs").read_text() == "42"


def test_only_groups_of_brokers_that_are_gone_are_swept(tmp_path: Path) -> None:
    gone = subprocess.run(
        ["/bin/sh", "-c", "echo $$"], capture_output=True, text=True, check=True
    ).stdout.strip()
    for pid in (gone, str(os.getpid()), "x"):
        (tmp_path / f"issuewright-sandbox-{pid}-1").mkdir()
    swept: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Group, "close", lambda group: swept.append(group.path.name))
        cgroup.sweep(tmp_path)
    assert swept == [f"issuewright-sandbox-{gone}-1"]


@pytest.mark.skipif(not os.access(OWN_MOUNT, os.W_OK), reason="no group can be made on this machine")
def test_closing_a_real_group_ends_everything_in_it() -> None:
    path = OWN_MOUNT / f"issuewright-sandbox-{os.getpid()}-test"
    path.mkdir()
    group = Group(path)
    script = "read go; trap '' TERM; setsid sleep 100 & echo begun; sleep 100"
    pipe = subprocess.PIPE
    with subprocess.Popen(["/bin/sh", "-c", script], stdin=pipe, stdout=pipe, bufsize=0) as stubborn:
        group.add(stubborn.pid)
        assert stubborn.stdin is not None
        assert stubborn.stdout is not None
        stubborn.stdin.write(b"go\n")
        assert stubborn.stdout.readline() == b"begun\n"
        assert len((path / "cgroup.procs").read_text().split()) >= 2
        group.close()
        assert stubborn.wait(timeout=20) == -9
    assert not path.exists()
    group.close()


def test_with_a_group_no_single_process_is_bounded() -> None:
    assert any(word.startswith("--data=") for word in sandbox.limits(5))
    assert not any(word.startswith("--data=") for word in sandbox.limits(5, is_counted=True))
