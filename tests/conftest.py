"""What every test may use, and which tests begin."""

from pathlib import Path

import pytest

pytest_plugins = ["tests.postgres", "tests.valkey"]
_SLOW = [Path(__file__).parent / name for name in ("chaos", "system")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests through real processes: they take longest, so the quick ones fill the gaps."""
    items.sort(key=lambda item: not any(item.path.is_relative_to(folder) for folder in _SLOW))
