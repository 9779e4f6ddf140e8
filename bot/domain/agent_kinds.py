"""What kind of work an agent does, by its id: `code` and `docs` write files, `meta` answers."""

from typing import Final

KINDS: Final = ("code", "docs", "meta")


def kind_of(agent_type: str) -> str:
    """What stands before the first dot of the id; one of `KINDS` for every agent that there is."""
    return agent_type.partition(".")[0]


def writes(agent_type: str) -> bool:
    """Whether the files that an agent of this type changes are what it is asked for."""
    return kind_of(agent_type) in {"code", "docs"}


def answers(agent_type: str) -> bool:
    """Whether an agent of this type gives an answer alone; nothing of it is verified or proposed."""
    return kind_of(agent_type) == "meta"
