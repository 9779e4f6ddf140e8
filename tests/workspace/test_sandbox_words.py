"""The launcher's words for a root service and for a normal user, without starting anything."""

import os
from pathlib import Path

import pytest

from bot.workspace import sandbox
from bot.workspace.sandbox import Descriptors, Launcher, command_line, find_bwrap

DESCRIPTORS = Descriptors(passwd=3, group=4, hosts=5, seccomp=6, status=7)


@pytest.fixture(params=[0, 1000], ids=["root", "user"])
def uid(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Who the service is."""
    uid: int = request.param
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(os, "getegid", lambda: uid)
    return uid


def words(command: str = "make test", toolchains: tuple[str, ...] = ()) -> list[str]:
    """The argument list."""
    return command_line(
        Launcher("/usr/bin/bwrap", toolchains),
        Path("/job/work"),
        Path("/job/home"),
        command,
        limits=sandbox.limits(2.5),
        descriptors=DESCRIPTORS,
    )


def test_a_root_service_makes_no_user_namespace_and_drops_inside(uid: int) -> None:
    line = words()
    assert ("--unshare-all" in line) is (uid != 0)
    assert ("--unshare-net" in line) is (uid == 0)
    assert any(word.endswith("setpriv") for word in line) is (uid == 0)
    assert line.count("--cap-add") == (3 if uid == 0 else 0)
    assert line[line.index("--cap-drop") + 1] == "ALL"
    inside = uid or 1_900_000_000 + os.getpid()
    assert sandbox.sandbox_uid() == inside
    assert sandbox.passwd_line() == f"worker:x:{inside}:{inside}::/tmp/home:/bin/sh\n"
    assert sandbox.group_line() == f"worker:x:{inside}:\n"
    assert sandbox.missing_programs() == ()


def test_the_command_is_the_last_word_and_the_copy_the_only_writable_bind(uid: int) -> None:
    line = words("--version; rm -rf /")
    assert line[-4:] == ["/bin/sh", "-c", "--", "--version; rm -rf /"]
    assert [line[i + 1 : i + 3] for i, word in enumerate(line) if word == "--bind"] == [
        ["/job/home", "/tmp/home"],
        ["/job/work", "/work"],
    ]
    assert {"--die-with-parent", "--new-session", "--as-pid-1", "--clearenv"} <= set(line)
    assert line.index("--remount-ro") > line.index("--bind")
    assert not {"--dev-bind", "--share-net"} & set(line)
    assert f"--cpu={3 * (os.cpu_count() or 1)}" in line


def test_a_python_of_the_system_needs_no_bind_of_its_own() -> None:
    line = sandbox._interpreter(Path("/usr"), Path("/usr/bin/python3.11"))
    assert "--ro-bind" not in line
    assert line[-2:] == ["/usr/bin/python3.11", "/run/python/python3"]


def test_a_python_below_a_private_home_gets_passable_parents() -> None:
    line = sandbox._interpreter(Path("/secret/py/3.11"), Path("/secret/py/3.11/bin/python3.11"))
    made = [line[i + 1] for i, word in enumerate(line) if word == "--dir"]
    assert made == ["/secret", "/secret/py", "/run/python"]
    assert line[line.index("--ro-bind") + 1] == "/secret/py/3.11"


def test_a_machine_without_links_into_usr_binds_its_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "bin").symlink_to("usr/bin")
    monkeypatch.setattr(
        sandbox, "_ROOTS", tuple(f"{str(tmp_path)[1:]}/{name}" for name in ("bin", "lib", "none"))
    )
    assert sandbox._system()[3:] == [
        *("--symlink", "usr/bin", f"{tmp_path}/bin"),
        *("--ro-bind", f"{tmp_path}/lib", f"{tmp_path}/lib"),
    ]


def test_without_any_bwrap_none_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "SEARCH_PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    find_bwrap.cache_clear()
    found = find_bwrap()
    find_bwrap.cache_clear()
    assert found is None


def test_where_a_container_maps_few_uids_the_code_inside_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(Path, "read_text", lambda _path: "         0       1000      65536\n")
    assert sandbox.sandbox_uid() == 65534
