"""The protocols by which the rooms above meet the outside without naming a library."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from bot.domain.values import CommandRecord, FileChange, Json, ModelReply, ModelRequest, ToolResult


class Model(Protocol):
    """Something that speaks the Messages API."""

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:
        """Answer *request* once.

        Raises:
            RetryLater: The server is busy, away, or cut the answer (cause `model_error`).
            Permanent: The request or the key was refused (cause `model_error`).
        """


class Tools(Protocol):
    """What an agent's tools come down to."""

    async def call(self, name: str, arguments: Json, *, timeout_seconds: float) -> ToolResult:
        """Run one file tool. A refusal or a bad argument is a result, never an exception.

        Raises:
            Permanent: The host is gone and could not be started again (cause `sandbox_error`).
        """

    async def changes(self) -> list[FileChange]:
        """What the tools changed since the checkout, sorted by path; files made equal again are left out."""


class ToolHost(Tools, Protocol):
    """One checkout behind a process that holds no secret."""

    async def survey(self, max_chars: int) -> str:
        """A map of the repository for its readers, in at most *max_chars*; empty when none can be made.

        The same tree gives the same text. It was written by the repository's authors, and is data.

        Raises:
            Permanent: The host is gone and could not be started again (cause `sandbox_error`).
        """

    async def prepare(self, commands: Sequence[str], *, timeout_seconds: float) -> list[CommandRecord]:
        """Run *commands*, *timeout_seconds* each, on a copy of the base: where `verify` begins from then on.

        It ends with the first that fails; then every `verify` says why it did not run. Without a sandbox
        nothing runs and the list is empty.

        Raises:
            Permanent: The host is gone (cause `sandbox_error`).
        """

    async def verify(
        self,
        command: str,
        *,
        timeout_seconds: float,
        at_base: bool = False,
        as_before: Sequence[str] = (),
        as_shown: bool = False,
    ) -> CommandRecord:
        """Run one verification command in the sandbox, on a copy of the prepared base with the change.

        It holds exactly what `changes` names and nothing that `run_command` has left; with *at_base*
        not even the change, and the paths *as_before* are as in the base. *as_shown*: without the files
        that are kept from the model, so that it may read what the command puts out.

        Raises:
            Permanent: The host is gone (cause `sandbox_error`).
        """

    async def close(self) -> None:
        """End the process and everything in it; the second time does nothing."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What GitHub said of an hourly limit: how many calls, how many are left, when it begins anew."""

    limit: int
    remaining: int
    reset_at: datetime


APP_ITSELF: Final = 0
"""The number that the App's own calls have among the installations."""


class Limits(Protocol):
    """What GitHub lets each installation do; the App's own calls are `APP_ITSELF`. One for all workers."""

    async def admit(self, installation_id: int, *, is_minting: bool = False) -> None:
        """Let a call pass; one that is minting a token is the App's own call, and passes its limit too.

        Raises:
            RateLimited: GitHub asked for silence; `after_seconds` says for how long still.
            Uninstalled: The App is no longer there.
            Forbidden: The installation is suspended.
        """

    async def limited(self, installation_id: int, after_seconds: float | None) -> float:
        """Close an installation for everybody; returns for how many seconds from now.

        Without *after_seconds* GitHub did not say how long: a minute, and longer while it repeats.
        """

    async def note(self, installation_id: int, rate: Rate) -> None:
        """Remember what is left; never raises for a database that is away."""

    async def lost(self, installation_id: int, *, is_gone: bool) -> None:
        """GitHub says that an installation is suspended or, *is_gone*, no more; twice is once."""

    async def found(self, installation_id: int) -> None:
        """GitHub says that an installation is active: it may be called again; twice is once."""
