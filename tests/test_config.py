"""Settings: what each role needs, which forms count, and what a mistake is told like."""

import contextlib
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config import SETTINGS, Role, Secret, Settings, from_json, load, masked_url, report, to_json
from bot.errors import ConfigError, Problem
from tests.keys import new_key

HOOK_SECRET = "0123456789abcdef"
MODEL_KEY = "sk-ant-canary-0001"


@pytest.fixture
def full(tmp_path: Path) -> dict[str, str]:
    """An environment in which every role may start."""
    return {
        "GITHUB_APP_ID": "12345",
        "GITHUB_PRIVATE_KEY": new_key(),
        "GITHUB_WEBHOOK_SECRET": HOOK_SECRET,
        "ANTHROPIC_API_KEY": MODEL_KEY,
        "ISSUEWRIGHT_DATA_DIR": str(tmp_path / "data"),
    }


def problems_of(environ: dict[str, str], role: Role = Role.MIGRATE) -> dict[str, Problem]:
    """The problems of a start, by key."""
    with pytest.raises(ConfigError) as caught:
        load(environ, role=role)
    found = {problem.key: problem for problem in caught.value.problems}
    assert len(found) == len(caught.value.problems), "a key is reported once"
    return found


def only_problem(key: str, value: str) -> Problem:
    """The problem of an environment that holds nothing but *key*."""
    found = problems_of({key: value})
    assert list(found) == [key]
    return found[key]


# ── roles ────────────────────────────────────────────────────────────────────────────────────────
def test_a_full_environment_fills_every_part(full: dict[str, str], tmp_path: Path) -> None:
    settings = load(full, role=Role.ALL)
    assert settings.github_app_id == 12345
    assert settings.anthropic_api_key == Secret(MODEL_KEY)
    assert [secret.reveal() for secret in settings.github_webhook_secrets] == [HOOK_SECRET]
    assert settings.data_dir == tmp_path / "data"
    assert settings.database_url == f"sqlite+aiosqlite:///{tmp_path}/data/issuewright.db"


def test_migrate_needs_nothing_and_gets_the_defaults() -> None:
    settings = load({}, role=Role.MIGRATE)
    assert settings == Settings(data_dir=Path(".issuewright").absolute(), database_url=settings.database_url)


def test_what_is_written_as_default_has_the_effect_of_leaving_it_out() -> None:
    written = {option.name: option.default for option in SETTINGS if option.default}
    assert load(written, role=Role.MIGRATE) == load({}, role=Role.MIGRATE)


def test_every_field_but_the_host_has_its_option() -> None:
    assert {option.field for option in SETTINGS} == {item.name for item in fields(Settings)} - {"host"}


@pytest.mark.parametrize(
    ("role", "missing"),
    [
        (Role.WEB, {"GITHUB_WEBHOOK_SECRET"}),
        (Role.WORKER, {"GITHUB_APP_ID", "GITHUB_PRIVATE_KEY", "ANTHROPIC_API_KEY"}),
        (
            Role.ALL,
            {"GITHUB_APP_ID", "GITHUB_PRIVATE_KEY", "GITHUB_WEBHOOK_SECRET", "ANTHROPIC_API_KEY"},
        ),
    ],
)
def test_all_that_a_role_lacks_is_reported_at_once(role: Role, missing: set[str]) -> None:
    assert set(problems_of({}, role)) == missing


def test_in_pull_mode_no_webhook_secret_is_needed() -> None:
    settings = load({"ISSUEWRIGHT_PULL": "true"}, role=Role.WEB)
    assert settings.is_pulling
    assert settings.github_webhook_secrets == ()


def test_web_starts_with_the_webhook_secret_alone() -> None:
    settings = load({"GITHUB_WEBHOOK_SECRET": HOOK_SECRET}, role=Role.WEB)
    assert settings.github_private_keys == ()


def test_a_switched_off_agent_needs_no_model_key(full: dict[str, str]) -> None:
    del full["ANTHROPIC_API_KEY"]
    assert load({**full, "AGENT_ENABLED": "false"}, role=Role.ALL).agent_enabled is False


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("half", ["GITHUB_APP_ID", "GITHUB_PRIVATE_KEY"])
def test_half_an_app_is_a_mistake_in_every_role(full: dict[str, str], role: Role, half: str) -> None:
    del full[half]
    assert list(problems_of(full, role)) == [half]


def test_a_bad_value_is_not_also_reported_as_missing(full: dict[str, str]) -> None:
    found = problems_of({**full, "GITHUB_APP_ID": "issuewright"}, Role.ALL)
    assert found["GITHUB_APP_ID"].remedy == "write a whole number, 1 or more"


def test_the_report_has_a_line_for_each_problem_and_no_secret() -> None:
    text = report(problems_of({"PORT": "http", "GITHUB_WEBHOOK_SECRET": "short"}, Role.WEB).values())
    head, secret, port = text.splitlines()
    assert head == "The configuration has 2 problems; nothing was started."
    assert secret.startswith(
        "  GITHUB_WEBHOOK_SECRET: a secret has fewer than 8 characters. To mend it, make"
    )
    assert port == "  PORT: 'http' cannot be used here. To mend it, write a whole number from 0 to 65535."


def test_one_problem_is_called_one_problem() -> None:
    assert "one problem" in report([Problem("PORT", "it is odd", "change it")])


# ── where values come from ───────────────────────────────────────────────────────────────────────
def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=9000\nAGENT_DEBUG=true\n")
    settings = load({"PORT": "9001"}, role=Role.MIGRATE, env_file=tmp_path / ".env")
    assert (settings.port, settings.agent_debug) == (9001, True)


def test_a_missing_env_file_is_no_problem(tmp_path: Path) -> None:
    assert load({}, role=Role.MIGRATE, env_file=tmp_path / ".env").port == 8000


def test_an_empty_value_counts_as_not_set(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=\nAGENT_DEBUG\n")
    assert load({"AGENT_ENABLED": " "}, role=Role.MIGRATE, env_file=tmp_path / ".env").port == 8000


def test_a_secret_can_come_from_a_file(full: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{MODEL_KEY}\n")
    full["ANTHROPIC_API_KEY_FILE"] = str(tmp_path / "key")
    del full["ANTHROPIC_API_KEY"]
    assert load(full, role=Role.ALL).anthropic_api_key == Secret(MODEL_KEY)


def test_the_environment_wins_also_where_the_file_names_a_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ANTHROPIC_API_KEY_FILE=/nowhere\n")
    settings = load({"ANTHROPIC_API_KEY": MODEL_KEY}, role=Role.MIGRATE, env_file=tmp_path / ".env")
    assert settings.anthropic_api_key == Secret(MODEL_KEY)


def test_a_secret_and_its_file_at_once_is_a_mistake() -> None:
    found = problems_of({"ANTHROPIC_API_KEY": "a", "ANTHROPIC_API_KEY_FILE": "/b"})
    assert "both" in found["ANTHROPIC_API_KEY"].wrong


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"])
def test_a_secret_file_that_is_missing_empty_or_no_text_is_named(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    found = problems_of({"ANTHROPIC_API_KEY_FILE": str(path)})
    assert str(path) in found["ANTHROPIC_API_KEY"].wrong


def test_a_file_is_not_asked_for_what_is_no_secret(tmp_path: Path) -> None:
    assert load({"PORT_FILE": str(tmp_path)}, role=Role.MIGRATE).port == 8000


def test_the_example_file_starts_as_it_is() -> None:
    example = Path(__file__).parent.parent / ".env.example"
    assert load({}, role=Role.MIGRATE, env_file=example) == load({}, role=Role.MIGRATE)


# ── forms ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(("text", "value"), [("TRUE", True), ("1", True), ("no", False), ("off", False)])
def test_switches_have_their_usual_spellings(text: str, value: bool) -> None:
    assert load({"AGENT_DEBUG": text}, role=Role.MIGRATE).agent_debug is value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("AGENT_DEBUG", "maybe"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "٣"),
        ("AGENT_MAX_CONCURRENCY", "0"),
        ("AGENT_DEFAULT_MODEL", "a model"),
        ("ISSUEWRIGHT_LEASE_SECONDS", "soon"),
        ("ISSUEWRIGHT_LEASE_SECONDS", "0"),
        ("ISSUEWRIGHT_LEASE_SECONDS", "inf"),
        ("ISSUEWRIGHT_BACKOFF_SECONDS", "-1"),
        ("GITHUB_WEBHOOK_SECRET", ","),
        ("GITHUB_WEBHOOK_SECRET", f"{HOOK_SECRET},short"),
        ("ISSUEWRIGHT_URL", "bot.example"),
        ("ISSUEWRIGHT_URL", "https://"),
        ("ISSUEWRIGHT_URL", "https://[::1"),
        ("ISSUEWRIGHT_URL", "https://host:port"),
        ("ANTHROPIC_BASE_URL", "https://user:password@host"),
        ("ANTHROPIC_BASE_URL", "https://host/?key=1"),
    ],
)
def test_a_value_without_its_form_is_refused(key: str, value: str) -> None:
    assert only_problem(key, value).remedy


def test_a_long_bad_value_is_shown_in_part() -> None:
    assert MODEL_KEY * 2 not in only_problem("PORT", MODEL_KEY * 2).wrong


def test_zero_seconds_are_fine_where_nothing_needs_time() -> None:
    settings = load(
        {"ISSUEWRIGHT_WRITE_PACE_SECONDS": "0", "ISSUEWRIGHT_BACKOFF_SECONDS": ".5"}, role=Role.MIGRATE
    )
    assert (settings.write_pace_seconds, settings.backoff_seconds) == (0, 0.5)


def test_the_heartbeat_must_fit_into_the_lease_twice() -> None:
    assert "half of the lease" in only_problem("ISSUEWRIGHT_HEARTBEAT_SECONDS", "16").wrong


def test_a_bad_lease_does_not_hide_behind_the_heartbeat() -> None:
    assert only_problem("ISSUEWRIGHT_LEASE_SECONDS", "-30").wrong.startswith("'-30'")


@pytest.mark.parametrize(
    ("key", "value"),
    [("GITHUB_URL", "https://ghe.example/"), ("GITHUB_API_URL", "https://ghe.example/api/v3")],
)
def test_one_half_of_an_enterprise_server_is_a_mistake(key: str, value: str) -> None:
    found = problems_of({key: value})
    assert [problem.wrong for problem in found.values()] == [
        "GITHUB_URL and GITHUB_API_URL name different servers"
    ]
    assert key not in found, "the half that is missing is named"


def test_both_halves_of_an_enterprise_server_go_together() -> None:
    settings = load(
        {"GITHUB_URL": "https://ghe.example/", "GITHUB_API_URL": "https://ghe.example/api/v3"},
        role=Role.MIGRATE,
    )
    assert settings.github_url == "https://ghe.example"


def test_tokens_go_over_plain_http_on_this_machine_only() -> None:
    here = {"GITHUB_URL": "http://127.0.0.1:9000", "GITHUB_API_URL": "http://localhost:9000/api"}
    assert load(here, role=Role.MIGRATE).github_url == "http://127.0.0.1:9000"
    found = problems_of({**here, "GITHUB_URL": "http://ghe.example"})
    assert found["GITHUB_URL"].wrong == "http to ghe.example would send tokens in clear text"


def test_a_model_server_in_a_private_network_may_speak_plain_http() -> None:
    settings = load({"ANTHROPIC_BASE_URL": "http://gateway:4000"}, role=Role.MIGRATE)
    assert settings.anthropic_base_url == "http://gateway:4000"


def test_the_data_folder_may_not_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "is a file" in only_problem("ISSUEWRIGHT_DATA_DIR", str(tmp_path / "file")).wrong


def test_the_data_folder_may_not_upset_the_database_address(tmp_path: Path) -> None:
    assert "holds ?, # or %" in only_problem("ISSUEWRIGHT_DATA_DIR", str(tmp_path / "what?")).wrong


# ── secrets stay secret ──────────────────────────────────────────────────────────────────────────
def test_no_printed_form_shows_a_secret(full: dict[str, str]) -> None:
    full["DATABASE_URL"] = "postgresql://me:canary-password@db/issues"
    settings = load(full, role=Role.ALL)
    shown = f"{settings!r} {settings} {settings.anthropic_api_key} {settings.github_private_keys!r}"
    for secret in (MODEL_KEY, HOOK_SECRET, "canary-password", full["GITHUB_PRIVATE_KEY"][40:60]):
        assert secret not in shown


def test_secrets_are_equal_by_content() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


def test_each_role_is_given_only_its_own_secrets(full: dict[str, str]) -> None:
    settings = load(full, role=Role.ALL)
    web, worker, migrate = (settings.for_role(role) for role in (Role.WEB, Role.WORKER, Role.MIGRATE))
    assert (web.anthropic_api_key, web.github_private_keys) == (None, ())
    assert web.github_webhook_secrets == settings.github_webhook_secrets
    assert worker.github_webhook_secrets == ()
    assert worker.anthropic_api_key == settings.anthropic_api_key
    assert worker.github_private_keys == settings.github_private_keys
    assert MODEL_KEY not in to_json(migrate)
    assert HOOK_SECRET not in to_json(migrate)
    assert settings.for_role(Role.ALL) == settings


def test_settings_survive_the_pipe(full: dict[str, str]) -> None:
    settings = load(full, role=Role.ALL)
    assert from_json(to_json(settings)) == settings


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"data_dir": 1}', '{"data_dir": "a", "odd": 1}'])
def test_anything_else_in_the_pipe_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own error is one of them
        from_json(text)


def test_a_masked_address_keeps_all_but_the_password() -> None:
    assert (
        masked_url("postgresql+asyncpg://me:p@ss@db:5432/x") == "postgresql+asyncpg://me:********@db:5432/x"
    )
    assert masked_url("sqlite+aiosqlite:////data/x.db") == "sqlite+aiosqlite:////data/x.db"


@given(st.dictionaries(st.sampled_from([option.name for option in SETTINGS]), st.text(max_size=40)))
def test_no_value_whatsoever_breaks_the_reading(environ: dict[str, str]) -> None:
    settings = None
    with contextlib.suppress(ConfigError):
        settings = load(environ, role=Role.MIGRATE)
    assert settings is None or from_json(to_json(settings)) == settings


def test_reading_settings_loads_nothing_heavy() -> None:
    code = (
        "import sys; from bot.config import load, Role; load({}, role=Role.MIGRATE); "
        "print([name for name in ('aiohttp', 'sqlalchemy', 'cryptography', 'dotenv') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
