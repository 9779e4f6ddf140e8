"""The form of every answer: JSON, `{"error": …}` for refusals, and headers that give nothing away."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson
from aiohttp import web

from bot import logs
from bot.errors import UserError

SERVER_NAME: Final = "issuewright"
# What the log says of a request that a bug ends.
IDS: Final = web.RequestKey("ids", dict)
_log = logs.get(__name__)


class Refused(UserError):
    """A request that is answered with *status* and a sentence on what to change."""

    def __init__(self, status: HTTPStatus, message: str, headers: Mapping[str, str] | None = None) -> None:
        """Keep what the answer says."""
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


def answer(status: int, content: Any, headers: Mapping[str, str] | None = None) -> web.Response:
    """One JSON answer."""
    body = orjson.dumps(content)
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


@web.middleware
async def errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """The entry of every request: whatever goes wrong is answered in JSON, a bug without any detail."""
    try:
        return await handler(request)
    except Refused as refused:
        return answer(refused.status, {"error": str(refused)}, refused.headers)
    except web.HTTPException as error:
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return answer(error.status, {"error": _sentence(error.status)}, allow)
    except Exception:  # the process entry of each request: a bug must not end the process
        ids: dict[str, object] = request.get(IDS, {})
        _log.exception("request_failed", method=request.method, path=request.path, **ids)
        return answer(500, {"error": _sentence(500)})


async def set_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Name the server without its versions, and let no browser guess at types. No CORS header, ever."""
    response.headers["Server"] = SERVER_NAME
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"


def _sentence(status: int) -> str:
    """What the standard says about *status*, as one sentence."""
    known = HTTPStatus(status)
    return known.description or known.phrase
