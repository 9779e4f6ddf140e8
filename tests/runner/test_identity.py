"""A repository is its number; its name may pass to somebody else."""

from dataclasses import replace

import pytest

from bot.domain.values import RepositoryRef
from bot.errors import Permanent
from bot.runner.base import check_identity

ASKED = RepositoryRef(500, "octo/shop", "main", is_private=False)


def test_a_renamed_repository_is_still_the_same() -> None:
    check_identity(replace(ASKED, full_name="octo/store", default_branch="trunk", is_private=True), ASKED)


def test_a_name_that_somebody_else_has_taken_is_refused() -> None:
    with pytest.raises(Permanent, match="octo/shop belongs to another repository"):
        check_identity(replace(ASKED, id=501), ASKED)
