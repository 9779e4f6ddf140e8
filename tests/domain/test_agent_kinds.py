"""What kind of work an agent does stands in its id."""

import pytest

from bot.domain.agent_kinds import KINDS, answers, kind_of, writes


@pytest.mark.parametrize(
    ("agent_type", "kind", "is_writer"),
    [
        ("code.fix", "code", True),
        ("docs.write", "docs", True),
        ("meta.research", "meta", False),
        ("code.our.own-one", "code", True),
    ],
)
def test_an_agent_writes_files_or_answers(agent_type: str, kind: str, is_writer: bool) -> None:
    assert kind_of(agent_type) == kind and kind in KINDS
    assert (writes(agent_type), answers(agent_type)) == (is_writer, not is_writer)


def test_what_no_agent_is_called_does_neither() -> None:
    assert not any((writes(""), answers(""), writes("codex.fix"), answers("metal.work")))
