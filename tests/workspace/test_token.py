"""The read token is seen by the server and by nobody else."""

import base64
from collections.abc import Iterator
from pathlib import Path

from bot.workspace.workspace import Workspace
from tests.workspace.conftest import REPOSITORY
from tests.workspace.githttp import TOKEN, GitServer

FORMS = (TOKEN, base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode(), TOKEN[::-1], TOKEN[4:-4])


def processes() -> Iterator[tuple[str, bytes]]:
    """The arguments and environment of every process of this machine."""
    for place in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                yield f"{place.name} {name}", (place / name).read_bytes()
            except OSError:
                continue


def holders(places: Iterator[tuple[str, bytes]]) -> list[str]:
    """Those *places* that hold the token in some form."""
    return [name for name, content in places if any(form.encode() in content for form in FORMS)]


def files(root: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below *root*."""
    return ((str(path), path.read_bytes()) for path in root.rglob("*") if path.is_file())


async def test_no_process_and_no_file_shows_the_token_while_it_is_used(
    server: GitServer, workspace: Workspace, tmp_path: Path
) -> None:
    seen: list[str] = []
    fetching: list[str] = []

    def look() -> None:
        seen.extend(holders(processes()))
        seen.extend(holders(files(tmp_path / "data")))
        fetching.extend(name for name, content in processes() if b"remote-http" in content)

    server.meanwhile = look
    sha = server.repository(REPOSITORY.full_name, {"a": "x"})
    await workspace.checkout(REPOSITORY, sha, TOKEN, "job")
    assert fetching, "the look came while git was fetching"
    assert all(authorization is not None for authorization in server.authorizations)
    assert seen == []
    assert holders(files(tmp_path / "data")) == []


async def test_failures_do_not_leave_it_behind(
    server: GitServer, workspace: Workspace, tmp_path: Path
) -> None:
    sha = server.repository(REPOSITORY.full_name, {"a": "x"})
    words = []
    for status in (401, 403, 404, 500):
        server.status = status
        try:
            await workspace.checkout(REPOSITORY, sha, TOKEN, "job")
        except Exception as error:
            words.append(f"{error!r} {error.__cause__!r} {error.__context__!r}")
    assert len(words) == 4
    assert holders((word, word.encode()) for word in words) == []
    assert holders(files(tmp_path / "data")) == []
