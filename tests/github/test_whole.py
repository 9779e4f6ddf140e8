"""A whole list: as many pages as allowed, and never a part of it."""

import pytest

from bot.errors import Invalid
from bot.github.whole import whole


class Pages:
    """So many pages of one item each."""

    def __init__(self, count: int) -> None:
        self.count = count

    async def __call__(self, place: str) -> tuple[list[int], str | None]:
        number = int(place)
        return [number], str(number + 1) if number < self.count else None


async def test_a_list_of_exactly_as_many_pages_as_allowed_is_whole() -> None:
    assert await whole(Pages(3), "1", 3) == [1, 2, 3]


async def test_a_list_of_one_page_more_is_refused() -> None:
    with pytest.raises(Invalid, match="more than 3 pages: GET 1"):
        await whole(Pages(4), "1", 3)
