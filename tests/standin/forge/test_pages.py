"""The links of the forge lead to something that people can read."""

import aiohttp

from bot.standin.forge.forge import Forge
from tests.standin.forge.conftest import REPO, Api


async def page(forge: Forge, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"{forge.git_url}/{REPO}/{path}") as response:
        return response.status, await response.text()


async def test_an_issue_can_be_read(forge: Forge) -> None:
    number = await forge.open_issue(REPO, "ann", "Sums are wrong", "1 + 1 is 0", ["bug"])
    await forge.comment(REPO, number, "bob", "Indeed.")
    status, text = await page(forge, f"issues/{number}")
    assert status == 200
    for words in ("Sums are wrong", "by ann", "labels: bug", "1 + 1 is 0", "bob on", "Indeed."):
        assert words in text


async def test_a_pull_request_shows_its_diff(api: Api) -> None:
    await api.forge.commit(REPO, "topic", {"src/calc.py": "def add(a, b):\n    return a + b\n"}, "ann")
    body = {"title": "Fix", "head": "topic", "base": "main", "draft": True}
    link = (await api.call("POST", "/pulls", body)).json["html_url"]
    _, text = await page(api.forge, link.partition(f"{REPO}/")[2])
    assert "draft pull request: topic" in text
    assert "-    return a - b\n+    return a + b" in text


async def test_a_page_that_is_not_there_says_so(forge: Forge) -> None:
    assert await page(forge, "issues/9") == (404, "Not Found\n")
