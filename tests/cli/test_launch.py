"""The whole command as a real process, with stand-ins for the product's own processes."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from bot.cli.children import product_command
from bot.cli.launch import Launch, announcement, listen, log_directory
from bot.config import Settings
from bot.errors import ConfigError, UserError
from tests.cli.conftest import CANARIES, Command

Start: TypeAlias = Callable[..., Command]


def test_web_and_worker_start_as_siblings_and_say_where(start: Start) -> None:
    command = start("serve", "--port", "0")
    reports = command.reports("prepare", "web", "worker")
    assert {report["options"]["--parent-pid"] for report in reports.values()} == {str(command.process.pid)}
    told = [command.told() for _ in range(2)]
    announced = next(line for line in told if "listening" in line)
    assert re.search(r"listening on http://127\.0\.0\.1:\d+ \(webhooks: /webhooks/github\)", announced)
    assert re.search(r" · database sqlite /\S+/data/issuewright\.db · Ctrl-C stops$", announced)


def test_each_child_is_told_only_its_own_secrets(start: Start) -> None:
    reports = start("serve", "--port", "0").reports("prepare", "web", "worker")
    settings = {name: report["settings"] for name, report in reports.items()}
    has_hook = {name: bool(told["github_webhook_secrets"]) for name, told in settings.items()}
    has_keys = {name: bool(told["github_private_keys"]) for name, told in settings.items()}
    has_model = {name: told["anthropic_api_key"] is not None for name, told in settings.items()}
    assert has_hook == {"prepare": False, "web": True, "worker": False}
    assert has_keys == has_model == {"prepare": False, "web": False, "worker": True}


def test_no_secret_and_nothing_unknown_stands_in_a_child_s_environment(start: Start) -> None:
    reports = start("serve", "--port", "0").reports("prepare", "web", "worker")
    for report in reports.values():
        seen = "\n".join(report["environ"])
        assert "canary" not in seen and "PRIVATE KEY" not in seen and "ISSUEWRIGHT" not in seen
        assert not [name for name in CANARIES if f"{name}=" in seen]


def test_children_are_closed_to_their_neighbours(start: Start) -> None:
    reports = start("serve", "--port", "0").reports("prepare", "web", "worker")
    assert {name: report["dumpable"] for name, report in reports.items()} == dict.fromkeys(reports, 0)


def test_no_child_inherits_what_is_another_s(start: Start) -> None:
    reports = start("serve", "--port", "0").reports("web", "worker")
    sockets = {
        name: {link for link in report["descriptors"].values() if link.startswith("socket:")}
        for name, report in reports.items()
    }
    assert len(sockets["web"]) == 2, "the listener and its end of the doorbell"
    assert len(sockets["worker"]) == 1, "its end of the doorbell"
    assert not sockets["web"] & sockets["worker"]


def test_the_settings_pipe_is_closed_once_read(start: Start) -> None:
    reports = start("serve", "--port", "0").reports("web", "worker")
    for report in reports.values():
        inherited = [number for number in report["descriptors"] if int(number) > 2]
        assert report["options"]["--settings-fd"] not in inherited


def test_the_announced_port_takes_connections_before_web_does(start: Start) -> None:
    command = start("serve", "--port", "0")
    command.reports("web", "worker")
    told = [command.told() for _ in range(2)]
    port = int(re.findall(r"127\.0\.0\.1:(\d+)", "".join(told))[0])
    socket.create_connection(("127.0.0.1", port), timeout=10).close()


def test_no_worker_means_web_alone(start: Start) -> None:
    command = start("serve", "--no-worker", "--port", "0")
    web = command.reports("prepare", "web")["web"]
    command.process.terminate()
    assert command.line() == {"name": "web", "term": web["pid"]}
    assert command.end()[0] == 0


def test_a_worker_alone_listens_nowhere(start: Start) -> None:
    command = start("worker")
    report = command.reports("prepare", "worker")["worker"]
    assert "--socket-fd" not in report["options"]
    assert "working on jobs" in command.told() + command.told()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_to_stop_ends_the_children_and_is_no_failure(start: Start, number: signal.Signals) -> None:
    command = start("serve", "--port", "0")
    reports = command.reports("web", "worker")
    command.process.send_signal(number)
    assert {command.line()["term"] for _ in range(2)} == {report["pid"] for report in reports.values()}
    assert command.end()[0] == 0


def test_ctrl_c_in_the_terminal_ends_children_by_their_parent_alone(start: Start) -> None:
    command = start("serve", "--port", "0")
    command.reports("web", "worker")
    os.killpg(command.process.pid, signal.SIGINT)
    assert {command.line()["name"] for _ in range(2)} == {"web", "worker"}
    assert command.end()[0] == 0


def test_a_second_ctrl_c_does_not_wait(start: Start) -> None:
    command = start("worker", behaviours={"worker": "stubborn"})
    pid = command.reports("worker")["worker"]["pid"]
    command.process.send_signal(signal.SIGINT)
    assert command.line()["term"] == pid
    command.process.send_signal(signal.SIGINT)
    code, told = command.end()
    assert code == 130
    assert "ending worker at once" in told
    assert not Path(f"/proc/{pid}").exists()


def test_a_second_sigterm_changes_nothing(start: Start) -> None:
    command = start("worker", behaviours={"worker": "stubborn"})
    pid = command.reports("worker")["worker"]["pid"]
    command.process.terminate()
    assert command.line()["term"] == pid
    command.process.terminate()
    os.kill(pid, signal.SIGKILL)
    assert command.end()[0] == 0


def test_what_dies_is_started_again(start: Start, tmp_path: Path) -> None:
    command = start("serve", "--port", "0", behaviours={"worker": f"crash:{tmp_path / 'seen'}"})
    first = command.reports("worker")["worker"]
    second = command.reports("worker")["worker"]
    assert first["pid"] != second["pid"]
    assert second["settings"] == first["settings"]
    command.process.terminate()
    assert "worker ended (killed by SIGKILL); starting it again in 0.5 s" in command.end()[1]


def test_a_child_that_refuses_to_start_ends_everything_with_2(start: Start) -> None:
    code, told = start("serve", "--port", "0", behaviours={"worker": "end:2"}).end()
    assert code == 2
    assert "again" not in told


@pytest.mark.parametrize(("code_of_child", "code"), [(2, 2), (1, 1)])
def test_a_database_that_cannot_be_prepared_ends_the_start(
    start: Start, code_of_child: int, code: int
) -> None:
    command = start("serve", "--port", "0", behaviours={"prepare": f"end:{code_of_child}"})
    found, told = command.end()
    assert (found, told) == (code, "prepare talks\n")


def test_children_end_with_a_supervisor_that_is_killed(start: Start) -> None:
    command = start("serve", "--port", "0")
    command.reports("web", "worker")
    command.process.kill()
    assert {command.line()["name"] for _ in range(2)} == {"web", "worker"}


def test_each_child_s_talk_goes_to_its_own_log(start: Start, tmp_path: Path) -> None:
    command = start("serve", "--port", "0", "--log-dir", "logs")
    command.reports("web", "worker")
    command.process.terminate()
    told = command.end()[1]
    assert (tmp_path / "logs/web.log").read_text() == "web talks\n"
    assert (tmp_path / "logs/worker.log").read_text() == "worker talks\n"
    assert "web talks" not in told and "prepare talks" in told


def test_why_children_refused_to_start_is_on_the_terminal_too_once(start: Start) -> None:
    refusing = {"web": "refuse", "worker": "refuse"}
    code, told = start("serve", "--port", "0", "--log-dir", "logs", behaviours=refusing).end()
    assert code == 2
    assert told.count("no start, and why") == 1


def test_without_logs_children_say_it_on_the_terminal_themselves(start: Start) -> None:
    command = start("worker", behaviours={"worker": "refuse"})
    assert "--report-fd" not in command.reports("worker")["worker"]["options"]
    assert command.end()[0] == 2


def test_a_port_in_use_is_one_clear_sentence() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(UserError, match="is in use"):
        listen("127.0.0.1", taken.getsockname()[1])


def test_a_port_that_is_not_for_this_user_is_one_clear_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> socket.socket:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("bot.cli.launch.socket.create_server", refused)
    with pytest.raises(UserError, match="above 1023"):
        listen("127.0.0.1", 80)


def test_the_announcement_shows_where_a_database_is_but_nobody_s_name() -> None:
    url = "postgresql+asyncpg://me:hunter2@db.example:5432/issues?ssl=require"
    settings = Settings(data_dir=Path("/x"), database_url=url)
    told = announcement(Launch(settings, has_web=False, has_worker=True), None)
    assert "working on jobs · database postgresql db.example:5432/issues?ssl=require" in told
    assert "hunter2" not in told


def test_in_pull_mode_the_announcement_says_how_fresh_it_is() -> None:
    settings = Settings(
        data_dir=Path("/x"), database_url="sqlite+aiosqlite:////x/y.db", is_pulling=True, pull_seconds=7.5
    )
    with listen("127.0.0.1", 0) as listener:
        told = announcement(Launch(settings, has_web=True, has_worker=True), listener)
    assert "(pull mode: webhooks are fetched from GitHub every 7.5 s)" in told
    assert "/webhooks/github" not in told


def test_an_unknown_address_is_a_mistake_of_the_command_line() -> None:
    with pytest.raises(ConfigError) as refused:
        listen("192.0.2.1", 0)
    assert refused.value.problems[0].key == "--host"


def test_an_ipv6_address_is_listened_on() -> None:
    with listen("::1", 0) as listener:
        assert listener.family is socket.AF_INET6
        settings = Settings(data_dir=Path("/x"), database_url="sqlite+aiosqlite:////x/y.db")
        plan = Launch(settings, has_web=True, has_worker=False)
        assert f"http://[::1]:{listener.getsockname()[1]} " in announcement(plan, listener)


def test_a_log_folder_that_cannot_be_made_is_a_mistake_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError) as refused:
        log_directory(str(tmp_path / "file" / "logs"))
    assert refused.value.problems[0].key == "--log-dir"


def test_the_working_directory_is_not_on_the_path_of_a_child(tmp_path: Path) -> None:
    (tmp_path / "bot").mkdir()
    (tmp_path / "bot" / "__init__.py").write_text("raise SystemExit('hostile')")
    words = [*list(product_command("web"))[:2], "-c", "import bot; print(bot.__version__)"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip()
    assert words[0] == sys.executable
