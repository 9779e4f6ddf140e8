"""The web application: every route in one table; nothing happens at import."""

from http import HTTPStatus
from typing import Final

from aiohttp import web

from bot.web import health, metrics
from bot.web.answers import Refused, errors_as_json, set_headers
from bot.web.bodies import Bodies
from bot.web.deps import DEPS, WebDeps
from bot.web.hooks import GitHubHooks

# Above the limit that `bodies` answers itself, so that its sentence is the one that people see.
_MAX_REQUEST_BYTES: Final = 26 * 1024 * 1024


def make_app(deps: WebDeps, *, bodies: Bodies | None = None) -> web.Application:
    """The application on *deps*.

    Raises:
        ValueError: No webhook secret is given, and everybody could send webhooks.
    """
    has_secret = any(secret.reveal() for secret in deps.webhook_secrets)
    if not has_secret and not deps.is_pulling:
        raise ValueError("the web application needs a webhook secret")
    receive = GitHubHooks(bodies or Bodies()).receive if has_secret else _takes_none
    app = web.Application(middlewares=[errors_as_json], client_max_size=_MAX_REQUEST_BYTES)
    app[DEPS] = deps
    app.on_response_prepare.append(set_headers)
    app.router.add_post("/webhooks/github", receive)
    app.router.add_get("/healthz", health.is_alive)
    app.router.add_get("/readyz", health.is_ready)
    app.router.add_get("/api/agents/health", health.agents_health)
    app.router.add_get("/metrics", metrics.scrape)
    return app


async def _takes_none(_request: web.Request) -> web.Response:
    """Pull mode without a secret: nothing that is posted could be believed, so nothing is taken."""
    message = "webhooks are fetched from GitHub's log here (pull mode); none are taken at this address"
    raise Refused(HTTPStatus.NOT_FOUND, message)
