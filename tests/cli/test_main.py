"""The command line as people type it."""

import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bot import __version__
from bot.cli import main, terminal
from bot.cli.children import clean_environment
from bot.errors import UserError

HEAVY = {
    "asyncio",
    "aiohttp",
    "sqlalchemy",
    "anthropic",
    "gidgethub",
    "rich",
    "dataclasses",
    "subprocess",
    "logging",
}
ROOT = Path(__file__).parents[2]
PASSWORD = "hunter2-hunter2"
# What a supervisor needs least: it holds every secret.
FOREIGN = {
    "aiohttp",
    "sqlalchemy",
    "anthropic",
    "gidgethub",
    "structlog",
    "orjson",
    "yaml",
    "rich",
    "asyncio",
}


def modules_of(code: str) -> set[str]:
    """The modules that stand in memory after *code*."""
    words = [sys.executable, "-c", f"{code}\nimport sys; sys.stderr.write(' '.join(sys.modules))"]
    environ = {name: text for name, text in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environ)
    return set(done.stderr.split())


def test_help_loads_next_to_nothing() -> None:
    show_help = "with contextlib.suppress(SystemExit): main(['--help'])"
    loaded = modules_of(f"import contextlib\nfrom bot.cli.main import main\n{show_help}")
    assert not loaded & HEAVY
    assert {name for name in loaded if name.split(".")[0] == "bot"} == {"bot", "bot.cli", "bot.cli.main"}


def test_the_supervisor_loads_only_the_standard_library() -> None:
    assert not modules_of("import bot.cli.serve, bot.cli.worker") & FOREIGN


@pytest.mark.parametrize("command", ["serve", "worker", "migrate", "demo", "deliveries", "jobs"])
def test_each_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: issuewright {command}" in capsys.readouterr().out


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.main(["--version"])
    assert capsys.readouterr().out == f"issuewright {__version__}\n"


def test_every_command_in_the_docs_can_be_typed() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    blocks = [
        block for page in pages for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    ]
    lines = [line.partition("|")[0] for block in blocks for line in block.splitlines()]
    typed = [line for line in lines if line.startswith("issuewright ")]
    assert len(typed) > 10
    for line in typed:
        words = shlex.split(line, comments=True)[1:]
        assert main.build_parser(words).parse_args(words).command == words[0], line


@pytest.mark.parametrize("words", [[], ["unknown"], ["serve", "--port", "x"], ["serve", "--port", "65536"]])
def test_misuse_ends_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(words)
    assert ended.value.code == 2
    assert "usage: issuewright" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_start_without_settings_reports_everything_and_ends_with_2(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _use(monkeypatch, {}, tmp_path)
    assert main.main([command]) == 2
    captured = capsys.readouterr()
    assert "GITHUB_PRIVATE_KEY" in captured.err and "ANTHROPIC_API_KEY" in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("secret", ["", "   ", "short"])
def test_a_start_without_a_good_webhook_secret_is_refused(
    secret: str, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _use(monkeypatch, environ | {"GITHUB_WEBHOOK_SECRET": secret}, tmp_path)
    assert main.main(["serve", "--no-worker"]) == 2


def test_a_port_in_use_ends_with_1(
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        _use(monkeypatch, environ | {"PORT": str(taken.getsockname()[1])}, tmp_path)
        assert main.main(["serve"]) == 1
    captured = capsys.readouterr()
    assert "in use" in captured.err and "Traceback" not in captured.err


@pytest.mark.parametrize("text", ["abc", "-1", "65536", "1.5", ""])
def test_what_is_no_port_is_told_in_words(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["serve", f"--port={text}"])
    assert ended.value.code == 2
    assert f"{text!r} is no port; write a whole number from 0 to 65535" in capsys.readouterr().err


def test_ctrl_c_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("bot.cli.migrate.run", interrupted)
    assert main.main(["migrate"]) == 130


def test_a_bug_shows_its_place_but_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_arguments: object) -> int:
        raise ZeroDivisionError(f"postgresql://me:{PASSWORD}@db/x")

    monkeypatch.setattr("bot.cli.migrate.run", broken)
    assert main.main(["migrate"]) == 1
    told = capsys.readouterr().err
    assert "ZeroDivisionError" in told and "test_main.py" in told
    assert PASSWORD not in told


def test_an_error_of_ours_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert terminal.report(UserError("do this instead")) == 1
    assert capsys.readouterr().err == "issuewright: do this instead\n"


def test_migrate_makes_the_database_and_may_run_again(
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    _use(monkeypatch, environ, tmp_path)
    assert [main.main(["migrate"]) for _ in range(2)] == [0, 0]
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    assert (tmp_path / "data" / "issuewright.db").is_file()


def test_migrate_names_a_database_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _use(monkeypatch, {"DATABASE_URL": f"postgres://me:{PASSWORD}@127.0.0.1:1/x"}, tmp_path)
    assert main.main(["migrate"]) == 2
    told = capsys.readouterr().err
    assert "DATABASE_URL" in told and PASSWORD not in told


def test_a_child_sees_the_way_to_the_world_and_nothing_else() -> None:
    given = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "https_proxy": "http://proxy",
        "HTTPS_PROXY": "http://proxy",
        "SSL_CERT_FILE": "/ca.pem",
        "PYTHONPROFILEIMPORTTIME": "1",
        "ANTHROPIC_API_KEY": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "GITHUB_TOKEN": "x",
        "LD_PRELOAD": "/x.so",
        "SSH_AUTH_SOCK": "/x",
    }
    clean = clean_environment(given)
    clean.pop("PYTHONPATH", None)
    # Nobody's own passwords are added to our calls.
    assert clean.pop("NETRC") == os.devnull
    assert clean == {name: given[name] for name in list(given)[:6]}


def test_a_child_finds_a_package_that_is_not_installed() -> None:
    root = str(Path(main.__file__).parents[2])
    assert clean_environment({"PYTHONPATH": "/mine"})["PYTHONPATH"] == f"{root}{os.pathsep}/mine"


def test_an_installed_package_needs_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(Path(main.__file__).parents[2])
    monkeypatch.setattr("bot.cli.children.site.getsitepackages", lambda: [root])
    assert "PYTHONPATH" not in clean_environment({})


def _use(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], cwd: Path) -> None:
    """Let the command see *environ* alone, from a folder without `.env`."""
    monkeypatch.chdir(cwd)
    for name in list(os.environ):
        if not name.startswith("COVERAGE_"):
            monkeypatch.delenv(name)
    for name, text in environ.items():
        monkeypatch.setenv(name, text)
