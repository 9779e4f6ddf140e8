"""Everything the forge refuses, as one exception with GitHub's status codes and words."""

from collections.abc import Mapping
from typing import Any

DOCUMENTATION_URL = "https://docs.github.com/rest"


class Refusal(Exception):
    """An error answer: status, message, the `errors` list of a 422, extra headers."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        errors: list[dict[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The JSON body that GitHub would send."""
        found: dict[str, Any] = {"message": self.message, "documentation_url": DOCUMENTATION_URL}
        if self.errors is not None:
            found["errors"] = self.errors
        found["status"] = str(self.status)
        return found


def bad_request(message: str) -> Refusal:
    """400: the request cannot be read."""
    return Refusal(400, message)


def unauthorized(message: str = "Bad credentials") -> Refusal:
    """401: no credentials, or unknown, expired or revoked ones."""
    return Refusal(401, message)


def forbidden(
    message: str = "Resource not accessible by integration", accepted: str | None = None
) -> Refusal:
    """403; *accepted* becomes `X-Accepted-GitHub-Permissions`."""
    headers = {"X-Accepted-GitHub-Permissions": accepted} if accepted else None
    return Refusal(403, message, headers=headers)


def not_found(message: str = "Not Found") -> Refusal:
    """404: not there, or not to be seen with this token."""
    return Refusal(404, message)


def conflict(message: str) -> Refusal:
    """409: the repository is not in a state that allows this."""
    return Refusal(409, message)


def gone(message: str) -> Refusal:
    """410: it was there and was deleted."""
    return Refusal(410, message)


def invalid(
    resource: str, field: str | None = None, code: str = "invalid", message: str | None = None
) -> Refusal:
    """422 with one entry in `errors`."""
    error: dict[str, Any] = {"resource": resource, "code": code}
    if field is not None:
        error["field"] = field
    if message is not None:
        error["message"] = message
    return Refusal(422, "Validation Failed", errors=[error])


def unprocessable(message: str) -> Refusal:
    """422 in plain words, as the Git Data API gives it."""
    return Refusal(422, message)
