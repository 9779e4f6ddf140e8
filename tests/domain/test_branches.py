"""The name of a job's branch."""

from bot.domain.branches import branch_name


def test_a_branch_keeps_its_name_from_version_to_version() -> None:
    assert branch_name(7, "01JOB") == "issuewright/7-03c7590b"


def test_each_name_has_a_branch_of_its_own() -> None:
    assert len({branch_name(7, "one"), branch_name(7, "two"), branch_name(8, "one")}) == 3
