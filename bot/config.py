"""One frozen Settings, read once at the start; nothing else reads the environment.

The order is: environment, then `.env`, then default; an empty value counts as not set. For each
secret, `NAME_FILE` may name a file that holds it. All mistakes of a start are reported together.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from bot.config_database import default_database_url, masked_url
from bot.config_forms import MODEL_NAMES, BadValue, Option, Secret
from bot.config_options import SETTINGS
from bot.config_provider import KEYLESS
from bot.config_provider import problems as provider_problems
from bot.config_queue import upstash_url
from bot.domain.budget import BudgetKind, Budgets
from bot.errors import ConfigError, Problem
from bot.limits import CONTENT_WRITES_PER_HOUR

__all__ = [
    "SETTINGS",
    "Option",
    "Role",
    "Secret",
    "Settings",
    "from_json",
    "load",
    "masked_url",
    "report",
    "to_json",
]

_GITHUB_URL = "https://github.com"
_GITHUB_API_URL = "https://api.github.com"
_MAX_FILE_BYTES = 65_536
_FIND_APP = "see the App's page on GitHub: Settings, Developer settings, GitHub Apps"
_NEEDS = {
    "GITHUB_APP_ID": "without it nobody can act as the GitHub App",
    "GITHUB_PRIVATE_KEY": "without it nobody can act as the GitHub App",
    "GITHUB_WEBHOOK_SECRET": "without it anybody could send webhooks",
    "ANTHROPIC_API_KEY": "without it no agent can run",
}
_REMEDIES = {
    "GITHUB_APP_ID": f"set the number called App ID ({_FIND_APP})",
    "GITHUB_PRIVATE_KEY": f"set the text or the path of the .pem file ({_FIND_APP}, Private keys)",
    "GITHUB_WEBHOOK_SECRET": f"set the secret that the App signs with ({_FIND_APP}, Webhook secret), "
    "or fetch webhooks with ISSUEWRIGHT_PULL=true",
    "ANTHROPIC_API_KEY": "set a key of https://console.anthropic.com, or AGENT_ENABLED=false",
}


class Role(StrEnum):
    """What the process that reads the settings is going to do."""

    WEB = "web"
    WORKER = "worker"
    ALL = "all"
    MIGRATE = "migrate"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a start was told; printing it shows no secret."""

    data_dir: Path
    database_url: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 8000
    anthropic_api_key: Secret | None = None
    anthropic_base_url: str | None = None
    anthropic_provider: str = "anthropic"
    anthropic_region: str = ""
    anthropic_project: str = ""
    anthropic_resource: str = ""
    anthropic_idle_seconds: float = 90.0
    agent_enabled: bool = True
    agent_debug: bool = False
    agent_max_concurrency: int = 5
    agent_default_model: str = "sonnet"
    agent_triage: bool = True
    agent_model_haiku: str = MODEL_NAMES["haiku"]
    agent_model_sonnet: str = MODEL_NAMES["sonnet"]
    agent_model_opus: str = MODEL_NAMES["opus"]
    agent_models: str = ""
    budget_job_micro_usd: int = 3_000_000
    budget_user_day_micro_usd: int = 10_000_000
    budget_repository_day_micro_usd: int = 0
    budget_organization_day_micro_usd: int = 25_000_000
    budget_organization_month_micro_usd: int = 200_000_000
    budget_minute_micro_usd: int = 20_000_000
    github_app_id: int | None = None
    github_private_keys: tuple[Secret, ...] = ()
    github_webhook_secrets: tuple[Secret, ...] = ()
    github_api_url: str = _GITHUB_API_URL
    github_url: str = _GITHUB_URL
    issuewright_url: str | None = None
    lease_seconds: float = 30.0
    heartbeat_seconds: float = 10.0
    look_window_seconds: float = 60.0
    write_pace_seconds: float = 1.0
    content_writes_per_hour: int = CONTENT_WRITES_PER_HOUR
    backoff_seconds: float = 5.0
    poll_seconds: float = 1.0
    redis_url: Secret | None = None
    upstash_redis_rest_url: str | None = None
    upstash_redis_rest_token: Secret | None = None
    metrics_token: Secret | None = None
    workspace_gib: int = 20
    keep_payloads_days: int = 14
    keep_steps_days: int = 30
    keep_logs_days: int = 30
    sweep_seconds: float = 300.0
    pull_seconds: float = 5.0
    reconcile_seconds: float = 300.0
    is_pulling: bool = False
    sandbox_timeout_seconds: float = 600.0
    toolchains: tuple[str, ...] = ()

    @property
    def database_key(self) -> str:
        """The setting that says where the database is: the folder, unless an address was given."""
        is_own = self.database_url != default_database_url(self.data_dir)
        return "DATABASE_URL" if is_own else "ISSUEWRIGHT_DATA_DIR"

    @property
    def budgets(self) -> Budgets:
        """What may be spent, before an agent's own limits."""
        return Budgets(**{kind.value: getattr(self, f"budget_{kind.value}_micro_usd") for kind in BudgetKind})

    def for_role(self, role: Role) -> "Settings":
        """Return a copy without the secrets that a process of *role* must not hold."""
        taken: dict[str, Any] = {}
        if role in {Role.WEB, Role.MIGRATE}:
            taken |= {"github_private_keys": (), "anthropic_api_key": None}
            taken |= {"redis_url": None, "upstash_redis_rest_token": None}
        if role in {Role.WORKER, Role.MIGRATE}:
            taken |= {"github_webhook_secrets": (), "metrics_token": None}
        return replace(self, **taken)


def load(environ: Mapping[str, str], *, role: Role, env_file: Path | None = None) -> Settings:
    """Read *environ* (and *env_file*, where it exists) for a process of *role*.

    Raises:
        ConfigError: With every problem that was found, never only the first.
    """
    texts = _layered({name: text for name, text in environ.items() if text.strip()}, _dotenv(env_file))
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for option in SETTINGS:
        try:
            text = _text_of(option, texts) or _fallback(option, values)
            if text:
                values[option.field] = option.read(text)
        except BadValue as bad:
            problems += bad.problems(option.name)
    known_bad = {problem.key for problem in problems}
    problems += [problem for problem in _missing(values, role) if problem.key not in known_bad]
    problems += _contradictions(values)
    if problems:
        raise ConfigError(*problems)
    if "redis_url" not in values and "upstash_redis_rest_url" in values:
        values["redis_url"] = upstash_url(
            values["upstash_redis_rest_url"], values["upstash_redis_rest_token"]
        )
    return Settings(**values)


def report(problems: Iterable[Problem], *, is_start: bool = True) -> str:
    """Return one block for the terminal: a heading, then a line for each problem.

    *is_start*: something was to be started.
    """
    lines = [f"  {problem.key}: {problem.wrong}. To mend it, {problem.remedy}." for problem in problems]
    count = "one problem" if len(lines) == 1 else f"{len(lines)} problems"
    ending = "; nothing was started." if is_start else "."
    return "\n".join([f"The configuration has {count}{ending}", *lines])


def to_json(settings: Settings) -> str:
    """Return *settings*, secrets in clear text, for the pipe to a child process and nothing else."""
    return json.dumps({item.name: _plain(getattr(settings, item.name)) for item in fields(settings)})


def from_json(text: str) -> Settings:
    """Return what `to_json` was given.

    Raises:
        ValueError: *text* is no JSON of ours.
    """
    try:
        values = {name: _rich(value) for name, value in json.loads(text).items()}
        return Settings(**(values | {"data_dir": Path(values["data_dir"])}))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("these are not settings that to_json wrote") from error


def _plain(value: object) -> object:
    if isinstance(value, Secret):
        return {"secret": value.reveal()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _rich(value: Any) -> Any:
    if isinstance(value, dict):
        return Secret(value["secret"])
    return tuple(_rich(item) for item in value) if isinstance(value, list) else value


def _dotenv(path: Path | None) -> dict[str, str]:
    if path is None or not path.is_file():
        return {}
    from dotenv import dotenv_values  # noqa: PLC0415 - most starts have no such file

    return {name: text for name, text in dotenv_values(path, interpolate=False).items() if text}


def _layered(environ: Mapping[str, str], file: Mapping[str, str]) -> dict[str, str]:
    """Let the environment win over the file, also where one says NAME and the other NAME_FILE."""
    said = {name.removesuffix("_FILE") for name in environ}
    return {
        **{name: text for name, text in file.items() if name.removesuffix("_FILE") not in said},
        **environ,
    }


def _text_of(option: Option, texts: Mapping[str, str]) -> str:
    """Return what was said about *option*, from NAME or NAME_FILE, or "" when nothing was."""
    text = texts.get(option.name, "").strip()
    file_name = texts.get(f"{option.name}_FILE", "").strip() if option.is_secret else ""
    if not file_name:
        return text
    if text:
        raise BadValue(f"both {option.name} and {option.name}_FILE are set", "leave one of them out")
    try:
        with Path(file_name).expanduser().open("rb") as file:
            text = file.read(_MAX_FILE_BYTES).decode().strip()
    except (OSError, ValueError):
        wrong = f"{option.name}_FILE names {file_name!r}, which cannot be read as text"
        raise BadValue(wrong, "name a file that this user may read") from None
    if not text:
        raise BadValue(f"{option.name}_FILE names {file_name!r}, which is empty", "put the secret into it")
    return text


def _fallback(option: Option, values: Mapping[str, Any]) -> str:
    """Return the default text; that of the database follows the data folder."""
    if option.field == "database_url" and "data_dir" in values:
        return default_database_url(values["data_dir"])
    return option.default


def _missing(values: Mapping[str, Any], role: Role) -> list[Problem]:
    wanted: list[str] = []
    has_app_part = "github_app_id" in values or "github_private_keys" in values
    if role in {Role.WORKER, Role.ALL} or has_app_part:
        wanted += ["GITHUB_APP_ID", "GITHUB_PRIVATE_KEY"]
    if role in {Role.WEB, Role.ALL} and not values.get("is_pulling", False):
        wanted += ["GITHUB_WEBHOOK_SECRET"]
    is_keyless = values.get("anthropic_provider") in KEYLESS
    if role in {Role.WORKER, Role.ALL} and values.get("agent_enabled", True) and not is_keyless:
        wanted += ["ANTHROPIC_API_KEY"]
    have = {option.name for option in SETTINGS if option.field in values}
    return provider_problems(values) + [
        Problem(name, f"it is not set, and {_NEEDS[name]}", _REMEDIES[name])
        for name in wanted
        if name not in have
    ]


def _contradictions(values: Mapping[str, Any]) -> list[Problem]:
    problems: list[Problem] = []
    heartbeat, lease = values.get("heartbeat_seconds", 0), values.get("lease_seconds", 0)
    if lease and heartbeat * 2 > lease:
        wrong = f"{heartbeat} s is more than half of the lease of {lease} s"
        remedy = "make it at most half of ISSUEWRIGHT_LEASE_SECONDS"
        problems.append(Problem("ISSUEWRIGHT_HEARTBEAT_SECONDS", wrong, remedy))
    url, api_url = values.get("github_url"), values.get("github_api_url")
    if url and api_url and (url == _GITHUB_URL) != (api_url == _GITHUB_API_URL):
        key = "GITHUB_API_URL" if api_url == _GITHUB_API_URL else "GITHUB_URL"
        wrong = "GITHUB_URL and GITHUB_API_URL name different servers"
        problems.append(Problem(key, wrong, "set both, like https://host and https://host/api/v3"))
    data_dir = values.get("data_dir", Path.cwd())
    for place in values.get("toolchains", ()):
        if data_dir.is_relative_to(place) or Path(place).is_relative_to(data_dir):
            wrong = f"{place} and the data folder lie in each other"
            remedy = "keep toolchains apart from ISSUEWRIGHT_DATA_DIR"
            problems.append(Problem("SANDBOX_TOOLCHAINS", wrong, remedy))
    upstash = ("UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN")
    given = [name for name in upstash if name.lower() in values]
    if len(given) == 1:
        (missing,) = set(upstash) - set(given)
        problems.append(Problem(missing, f"{given[0]} is set without it", "set both, or use REDIS_URL"))
    return problems
