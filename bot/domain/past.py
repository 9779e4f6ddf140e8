"""What earlier attempts of a job have recorded, as far as going on needs it."""

import hashlib
import json
from dataclasses import asdict, dataclass, field

from bot.domain.values import Json


@dataclass(frozen=True, slots=True)
class PastStep:
    """One recorded turn of the model and, unless the attempt died between them, our answer to it.

    `turn`: content (blocks), stopReason, requestId, usage, elapsedSeconds. `answer`: content (blocks), edits,
    said (blocks), state, elapsedSeconds; see `bot.agents.steps`.
    """

    number: int
    turn: Json
    answer: Json | None


@dataclass(frozen=True, slots=True)
class Segment:
    """The part of a conversation that one job had: its step 0 and its steps from 1, without a gap.

    `prompt["continued"]` holds the references to the parts before it, oldest first: its edits hold places in
    the conversation that these and it make together, and in no other.
    """

    prompt: Json
    steps: tuple[PastStep, ...] = ()
    job_id: str = ""

    def reference(self) -> Json:
        """What tells this part from each other one, and from itself once a row of it is gone."""
        content = json.dumps([self.prompt, [asdict(step) for step in self.steps]])
        return {"job": self.job_id, "digest": hashlib.sha256(content.encode()).hexdigest()}


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A file as an agent left it; `content` is None when it was deleted."""

    path: str
    content: str | None
    is_executable: bool = False


@dataclass(frozen=True, slots=True)
class Restore:
    """The tree to go on with: the commit `base_sha`, and over it all files that were changed since.

    `files` is None when the change was too large to be kept: then nothing can be gone on with, and the job
    starts anew (`Past()`); what was spent still counts.
    """

    base_sha: str
    files: tuple[ChangedFile, ...] | None = ()


@dataclass(frozen=True, slots=True)
class Past:
    """All that was before: the jobs that this one continues (oldest first), and its own attempts.

    With `restore` alone the job begins a new conversation on a tree that others have changed. `lost` says why
    less is gone on with than there was; empty where nothing is missing.
    """

    earlier: tuple[Segment, ...] = ()
    own: Segment | None = None
    restore: Restore | None = None
    lost: str = field(default="", compare=False)
