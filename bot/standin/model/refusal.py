"""A refusal in the form in which Anthropic gives it (https://platform.claude.com/docs/en/api/errors)."""

from typing import Any


class Refusal(Exception):
    """An answer with an error status."""

    def __init__(self, status: int, type_: str, message: str) -> None:
        """Keep the parts of the answer."""
        super().__init__(message)
        self.status = status
        self.type = type_
        self.message = message

    def body(self, request_id: str) -> dict[str, Any]:
        """The JSON of the answer."""
        return {
            "type": "error",
            "error": {"type": self.type, "message": self.message},
            "request_id": request_id,
        }


def invalid(message: str) -> Refusal:
    """A 400 with *message*."""
    return Refusal(400, "invalid_request_error", message)
