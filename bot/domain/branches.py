"""The name of the branch that holds a job's change."""

import hashlib
from typing import Final

_HASH_CHARS: Final = 8


def branch_name(number: int, name: str) -> str:
    """The own branch of the job whose writes are named by *name*, in the thread *number*.

    It is built from a number and a hash, never from anybody's words, and the same every time.
    """
    digest = hashlib.sha256(name.encode()).hexdigest()[:_HASH_CHARS]
    return f"issuewright/{number}-{digest}"
