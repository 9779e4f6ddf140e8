"""Numbers that GitHub and Anthropic set, each with the page that says so; ours to obey, not to choose."""

from typing import Final

# ── GitHub: webhooks ─────────────────────────────────────────────────────────────────────────────
WEBHOOK_MAX_BYTES: Final = 25 * 1024 * 1024
"""Larger events are never sent: https://docs.github.com/en/webhooks/webhook-events-and-payloads"""

WEBHOOK_ANSWER_SECONDS: Final = 10.0
"""A later answer counts as a failed delivery:
https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks"""

WEBHOOK_REDELIVERY_DAYS: Final = 3
"""How long a delivery can be asked for again:
https://docs.github.com/en/webhooks/using-webhooks/handling-failed-webhook-deliveries"""

# ── GitHub: requests ─────────────────────────────────────────────────────────────────────────────
API_VERSION: Final = "2022-11-28"
"""Sent as X-GitHub-Api-Version: https://docs.github.com/en/rest/about-the-rest-api/api-versions"""

APP_JWT_MAX_SECONDS: Final = 600
"""The farthest that `exp` may lie ahead; `iat` should lie 60 s back:
https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app"""

APP_JWT_DRIFT_SECONDS: Final = 60
"""How far `iat` is set back, against clocks that run apart (the same page)."""

INSTALLATION_TOKEN_SECONDS: Final = 3_600
"""Life of an installation token:
https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-an-installation-access-token-for-a-github-app"""

REQUEST_MAX_SECONDS: Final = 10.0
"""GitHub ends a request that takes longer:
https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#timeouts"""

RATE_LIMIT_WAIT_SECONDS: Final = 60.0
"""The least wait when a limit answer says neither `retry-after` nor a reset:
https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api"""

RATE_LIMIT_MAX_WAIT_SECONDS: Final = 3_900.0
"""A primary limit is reset within the hour (the same page); anything longer is a clock that is wrong."""

WRITE_GAP_SECONDS: Final = 1.0
"""The least time between two writes:
https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api"""

CONTENT_WRITES_PER_MINUTE: Final = 80
"""Comments, reviews, pull requests and the like:
https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api"""

CONTENT_WRITES_PER_HOUR: Final = 500
"""The same, by the hour (the same page)."""

PAGE_SIZE: Final = 100
"""The most that `per_page` gives:
https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api"""

# ── GitHub: texts and files ──────────────────────────────────────────────────────────────────────
BODY_MAX_CHARS: Final = 65_536
"""Issue, pull request, comment and review bodies; more is answered 422 "body is too long":
https://github.com/orgs/community/discussions/27190"""

COMMENTS_PER_ISSUE: Final = 2_500
"""https://docs.github.com/en/repositories/creating-and-managing-repositories/repository-limits"""

CONTENTS_MAX_BYTES: Final = 1_000_000
"""Larger files come without their content in JSON:
https://docs.github.com/en/rest/repos/contents#get-repository-content"""

# ── Anthropic ────────────────────────────────────────────────────────────────────────────────────
MODEL_REQUEST_MAX_BYTES: Final = 32 * 1024 * 1024
"""A larger request is answered 413 (stated as 32 MB):
https://docs.claude.com/en/api/overview#request-size-limits"""

CACHE_BREAKPOINTS: Final = 4
"""The most `cache_control` marks in one request:
https://docs.claude.com/en/docs/build-with-claude/prompt-caching"""
