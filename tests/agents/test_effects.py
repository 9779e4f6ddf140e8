"""What an agent may ask for, checked before it is kept."""

import pytest

from bot.agents.effects import Effects
from bot.domain.effects import Proposal


def propose(effects: Effects, title: str = "Fix it", body: str = "Why.", *, has_changes: bool = True) -> str:
    return effects.apply("propose_change", {"title": title, "body": body}, has_changes=has_changes).text


def test_a_proposal_is_kept_with_its_title_trimmed() -> None:
    effects = Effects()
    propose(effects, title="  Fix it ")
    assert effects.proposal == Proposal("Fix it", "Why.")


@pytest.mark.parametrize(
    ("title", "body", "words"),
    [
        ("  ", "Why.", "must not be blank"),
        ("Fix it", " \n", "must not be blank"),
        ("Fix\nit", "Why.", "one line"),
        ("Fix\u2028it", "Why.", "one line"),
    ],
)
def test_an_unfit_proposal_is_not_kept_and_not_counted(title: str, body: str, words: str) -> None:
    effects = Effects()
    for _ in range(5):
        assert words in propose(effects, title, body)
    assert effects.proposal is None and not effects.has_result


def test_a_blank_analysis_is_not_kept() -> None:
    effects = Effects()
    assert effects.apply("post_analysis", {"text": " "}, has_changes=False).is_error
    assert effects.analysis is None


def test_giving_up_ends_the_work_whatever_stands() -> None:
    effects = Effects()
    propose(effects)
    effects.apply("give_up", {"reason": "Cannot."}, has_changes=False)
    assert (effects.is_over, effects.has_given_up, effects.summary) == (True, True, "Cannot.")
