"""The table of all environment variables: the source of `.env.example` and docs/configuration.md."""

from bot.config_database import database_url
from bot.config_forms import Option, base_url, directory, folders, model_name, seconds, secret, switch, whole
from bot.config_keys import private_keys, webhook_secrets
from bot.config_money import BUDGET_OPTIONS, MODEL_OPTIONS
from bot.config_provider import PROVIDER_OPTIONS
from bot.config_queue import redis_url

_MAX_PORT = 65_535
_MAX_JOBS = 100
_MAX_CONTENT_WRITES = 1_000_000
_MAX_DAYS = 3_650
_MAX_WORKSPACE_GIB = 1_000_000


GITHUB_OPTIONS = (
    Option("GITHUB_APP_ID", "github_app_id", whole(1), "", "The App's id, from its settings page."),
    Option(
        "GITHUB_PRIVATE_KEY",
        "github_private_keys",
        private_keys,
        "",
        "The App's private key: PEM text, `\\n`-escaped or base64 text, or the path of the file. "
        "Two during a change of keys, below each other (base64 and paths: with a comma).",
        is_secret=True,
    ),
    Option(
        "GITHUB_WEBHOOK_SECRET",
        "github_webhook_secrets",
        webhook_secrets,
        "",
        "The App's webhook secret, 8 characters at least, better 16. Two during a change, with a comma.",
        is_secret=True,
    ),
    Option(
        "GITHUB_URL",
        "github_url",
        base_url(plain_http=False),
        "https://github.com",
        "Where git and people find the repositories (GitHub Enterprise Server: its address).",
    ),
    Option(
        "GITHUB_API_URL",
        "github_api_url",
        base_url(plain_http=False),
        "https://api.github.com",
        "The REST API (GitHub Enterprise Server: https://host/api/v3).",
    ),
)

AGENT_OPTIONS = (
    Option("ANTHROPIC_API_KEY", "anthropic_api_key", secret, "", "Key of the model's API.", is_secret=True),
    Option(
        "ANTHROPIC_BASE_URL",
        "anthropic_base_url",
        base_url(plain_http=True),
        "",
        "Another server that speaks the Messages API; empty: Anthropic's own.",
    ),
    Option(
        "AGENT_ENABLED",
        "agent_enabled",
        switch,
        "true",
        "false: webhooks are stored and answered, no job starts, and the model's key is not needed.",
    ),
    Option("AGENT_DEBUG", "agent_debug", switch, "false", "true: also keep DEBUG rows in AgentLog."),
    Option(
        "AGENT_MAX_CONCURRENCY",
        "agent_max_concurrency",
        whole(1, _MAX_JOBS),
        "5",
        "Jobs that one worker runs at the same time.",
    ),
    Option(
        "AGENT_DEFAULT_MODEL",
        "agent_default_model",
        model_name,
        "sonnet",
        "The model of a job where neither a person nor the repository's agent names one: haiku, opus or a "
        "model's full name; `sonnet` leaves it to the first look (AGENT_TRIAGE).",
    ),
    Option(
        "AGENT_TRIAGE",
        "agent_triage",
        switch,
        "true",
        "true: a small model (haiku) looks at each request first: who works on it, with which model, and "
        "whether a question comes first. false: rules decide.",
    ),
)

SERVICE_OPTIONS = (
    Option(
        "ISSUEWRIGHT_DATA_DIR",
        "data_dir",
        directory,
        "./.issuewright",
        "Folder for the SQLite file, the mirrors of repositories and the checkouts.",
    ),
    Option(
        "ISSUEWRIGHT_WORKSPACE_GIB",
        "workspace_gib",
        whole(1, _MAX_WORKSPACE_GIB),
        "20",
        "What mirrors and checkouts may take of the disk, in GiB; what was used longest ago goes first.",
    ),
    Option(
        "DATABASE_URL",
        "database_url",
        database_url,
        "",
        "PostgreSQL (libpq's and Prisma's forms too) or SQLite; empty: issuewright.db in the data folder.",
        is_secret=True,
    ),
    Option(
        "REDIS_URL",
        "redis_url",
        redis_url,
        "",
        "Redis that carries admitted jobs to workers (BullMQ); empty: each worker looks for itself. "
        "Nothing is lost with it.",
        is_secret=True,
    ),
    Option(
        "UPSTASH_REDIS_REST_URL",
        "upstash_redis_rest_url",
        base_url(plain_http=False),
        "",
        "With the token: turned into `rediss://default:<token>@<host>:6379`. REDIS_URL wins.",
    ),
    Option(
        "UPSTASH_REDIS_REST_TOKEN", "upstash_redis_rest_token", secret, "", "Upstash's token.", is_secret=True
    ),
    Option(
        "ISSUEWRIGHT_PULL",
        "is_pulling",
        switch,
        "false",
        "true: fetch deliveries from GitHub's log instead of waiting for them (also `serve --pull`).",
    ),
    Option(
        "ISSUEWRIGHT_METRICS_TOKEN",
        "metrics_token",
        secret,
        "",
        "What a scraper of /metrics sends as `Authorization: Bearer`; empty: only this machine may ask.",
        is_secret=True,
    ),
    Option(
        "ISSUEWRIGHT_KEEP_PAYLOADS_DAYS",
        "keep_payloads_days",
        whole(1, _MAX_DAYS),
        "14",
        "How long bodies of webhooks are kept; their digests, ids and outcomes stay.",
    ),
    Option(
        "ISSUEWRIGHT_KEEP_STEPS_DAYS",
        "keep_steps_days",
        whole(1, _MAX_DAYS),
        "30",
        "How long the transcripts of ended jobs are kept.",
    ),
    Option(
        "ISSUEWRIGHT_KEEP_LOGS_DAYS",
        "keep_logs_days",
        whole(1, _MAX_DAYS),
        "30",
        "How long the AgentLog rows of ended jobs are kept.",
    ),
    Option("PORT", "port", whole(0, _MAX_PORT), "8000", "Port of the web process; 0 takes any free one."),
    Option(
        "ISSUEWRIGHT_URL",
        "issuewright_url",
        base_url(plain_http=True),
        "",
        "Where people reach this service; kept for later links, unused so far.",
    ),
)

TIMING_OPTIONS = (
    Option(
        "ISSUEWRIGHT_LEASE_SECONDS",
        "lease_seconds",
        seconds(zero_allowed=False),
        "30",
        "How long a silent worker keeps a job before another one may take it.",
    ),
    Option(
        "ISSUEWRIGHT_HEARTBEAT_SECONDS",
        "heartbeat_seconds",
        seconds(zero_allowed=False),
        "10",
        "How often a worker says that it is alive; at most half of the lease.",
    ),
    Option(
        "ISSUEWRIGHT_LOOK_WINDOW_SECONDS",
        "look_window_seconds",
        seconds(zero_allowed=True),
        "60",
        "How long to look for a write of unknown outcome before it is repeated.",
    ),
    Option(
        "ISSUEWRIGHT_WRITE_PACE_SECONDS",
        "write_pace_seconds",
        seconds(zero_allowed=True),
        "1",
        "Least time between two writes to one installation; GitHub asks for at least 1.",
    ),
    Option(
        "ISSUEWRIGHT_CONTENT_WRITES_PER_HOUR",
        "content_writes_per_hour",
        whole(1, _MAX_CONTENT_WRITES),
        "500",
        "Most comments, reviews and pull requests to one installation within an hour; GitHub.com takes 500.",
    ),
    Option(
        "ISSUEWRIGHT_BACKOFF_SECONDS",
        "backoff_seconds",
        seconds(zero_allowed=True),
        "5",
        "Wait before the first retry of a job; it doubles with each further one.",
    ),
    Option(
        "ISSUEWRIGHT_POLL_SECONDS",
        "poll_seconds",
        seconds(zero_allowed=False),
        "1",
        "How often a worker asks the database for work when nobody rang.",
    ),
    Option(
        "ISSUEWRIGHT_SWEEP_SECONDS",
        "sweep_seconds",
        seconds(zero_allowed=False),
        "300",
        "How often GitHub's log of deliveries is searched for what we missed.",
    ),
    Option(
        "ISSUEWRIGHT_PULL_SECONDS",
        "pull_seconds",
        seconds(zero_allowed=False),
        "5",
        "The same with `serve --pull`, where nothing comes in by itself.",
    ),
    Option(
        "ISSUEWRIGHT_RECONCILE_SECONDS",
        "reconcile_seconds",
        seconds(zero_allowed=False),
        "300",
        "How often what is stored is compared with GitHub: pull requests, installations, doubled comments.",
    ),
    Option(
        "ISSUEWRIGHT_VERIFY_TIMEOUT_SECONDS",
        "sandbox_timeout_seconds",
        seconds(zero_allowed=False),
        "600",
        "The longest that one command may run in the sandbox.",
    ),
    Option(
        "SANDBOX_TOOLCHAINS",
        "toolchains",
        folders,
        "",
        "Folders that code in the sandbox may read beside /usr, absolute paths with colons between, like "
        "`/opt/node-20:/opt/go`; their `bin` is on its PATH.",
    ),
)

SETTINGS: tuple[Option, ...] = (
    *GITHUB_OPTIONS,
    *AGENT_OPTIONS,
    *PROVIDER_OPTIONS,
    *MODEL_OPTIONS,
    *BUDGET_OPTIONS,
    *SERVICE_OPTIONS,
    *TIMING_OPTIONS,
)
