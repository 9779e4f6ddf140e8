"""The protocols by which the rooms above meet the outside without naming a library."""

from typing import Protocol

from bot.domain.values import CommandRecord, FileChange, Json, ModelReply, ModelRequest, ToolResult


class Model(Protocol):
    """Something that speaks the Messages API."""

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:
        """Answer *request* once.

        Raises:
            RetryLater: The server is busy, away, or cut the answer (cause `model_error`).
            Permanent: The request or the key was refused (cause `model_error`).
        """


class ToolHost(Protocol):
    """One checkout behind a process that holds no secret."""

    async def call(self, name: str, arguments: Json, *, timeout_seconds: float) -> ToolResult:
        """Run one file tool. A refusal or a bad argument is a result, never an exception.

        Raises:
            Permanent: The host is gone and could not be started again (cause `sandbox_error`).
        """

    async def changes(self) -> list[FileChange]:
        """What the tools changed since the checkout, sorted by path; files made equal again are left out."""

    async def verify(self, command: str, *, timeout_seconds: float) -> CommandRecord:
        """Run one verification command in the sandbox, on a private copy of the tree."""

    async def close(self) -> None:
        """End the process and everything in it; the second time does nothing."""
