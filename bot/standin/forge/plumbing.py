"""Git plumbing on a bare repository: every SHA that the forge names is a real one."""

import asyncio
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ZERO_SHA = "0" * 40
_TIMEOUT_SECONDS = 60.0
_SERVED = """[uploadpack]
	allowFilter = true
	allowAnySHA1InWant = true
[http]
	receivepack = true
"""


class GitRefused(Exception):
    """git ended with an error; the text is what it said."""


def git_binary() -> str:
    """The path of git; raises FileNotFoundError when there is none."""
    found = shutil.which("git")
    if found is None:
        raise FileNotFoundError("git is not installed")
    return found


def environment(root: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """A closed environment: nobody's configuration, no prompts."""
    return {
        "PATH": f"{Path(git_binary()).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(root),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C.UTF-8",
        **(extra or {}),
    }


class Bare:
    """One bare repository."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def run(self, *arguments: str, stdin: bytes = b"", extra: Mapping[str, str] | None = None) -> bytes:
        """The standard output of one git command; raises GitRefused when it fails."""
        process = await asyncio.create_subprocess_exec(
            git_binary(),
            *arguments,
            cwd=self.path,
            env=environment(self.path, extra),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(stdin), _TIMEOUT_SECONDS)
        if process.returncode != 0:
            raise GitRefused(err.decode(errors="replace").strip())
        return out

    async def text(self, *arguments: str, stdin: bytes = b"") -> str:
        """The standard output of one git command as text without the last newline."""
        return (await self.run(*arguments, stdin=stdin)).decode(errors="replace").rstrip("\n")

    async def create(self, default_branch: str) -> None:
        """Make the repository on disk, set for partial clones and for pushes."""
        self.path.mkdir(parents=True)
        await self.run("init", "--quiet", "--bare", f"--initial-branch={default_branch}", ".")
        self._allow_partial_clones_and_pushes()

    def _allow_partial_clones_and_pushes(self) -> None:
        with Path(self.path, "config").open("a", encoding="utf-8") as config:
            config.write(_SERVED)

    async def is_empty(self) -> bool:
        """Whether there is no ref at all."""
        return not await self.run("for-each-ref", "--count=1")

    async def sha(self, revision: str, kind: str = "commit") -> str | None:
        """The SHA that *revision* peels to as commit, tree or blob; None when it is no such thing."""
        try:
            return await self.text(
                "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{{kind}}}"
            )
        except GitRefused:
            return None

    async def object_sha(self, sha: str, kind: str) -> str | None:
        """The SHA when it is the full name of an object of exactly that kind, else None."""
        if len(sha) != len(ZERO_SHA) or not set(sha) <= set("0123456789abcdef"):
            return None
        try:
            return sha if await self.text("cat-file", "-t", sha) == kind else None
        except GitRefused:
            return None

    async def branch(self, name: str) -> str | None:
        """The commit of a branch, or None."""
        return await self.sha(f"refs/heads/{name}")

    async def branches(self) -> dict[str, str]:
        """All branches and their commits."""
        lines = (
            await self.text("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads")
        ).splitlines()
        return {
            ref.removeprefix("refs/heads/"): sha for sha, _, ref in (line.partition(" ") for line in lines)
        }

    async def write_blobs(self, contents: Sequence[bytes]) -> list[str]:
        """Store blobs and return their SHAs in the same order."""
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder, str(position)) for position in range(len(contents))]
            for path, content in zip(paths, contents, strict=True):
                path.write_bytes(content)
            names = "\n".join(map(str, paths)).encode()
            found = await self.text("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=names)
        return found.split()

    async def read_blob(self, sha: str) -> bytes:
        """The bytes of a blob; raises GitRefused when it is none."""
        return await self.run("cat-file", "blob", sha)

    async def update_ref(self, ref: str, new: str, old: str) -> None:
        """Move a ref from *old* (ZERO_SHA: it must not exist) to *new*; raises GitRefused."""
        await self.run("update-ref", ref, new, old)

    async def delete_ref(self, ref: str) -> None:
        """Remove a ref."""
        await self.run("update-ref", "-d", ref)
