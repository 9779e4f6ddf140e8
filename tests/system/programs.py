"""Ten small programs with a failing test each, and what happens when an agent mends them well or badly.

A program is a file in `tests/samples/programs/`: the issue, the repository's files and verify commands, and
the tool calls of a right and of a wrong fix; more wrong ones have names that end with `_wrong`.
"""

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bot.standin import sample
from bot.standin.forge.plumbing import git_binary
from tests.system.effects import branches, jobs_of, our_comments, pulls
from tests.system.places import call
from tests.system.rig import Rig

FOLDER: Final = Path(__file__).parents[1] / "samples" / "programs"
ROUNDS: Final = 3
RUN_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Program:
    """One file of the folder."""

    name: str
    data: Mapping[str, Any]

    @property
    def title(self) -> str:
        return str(self.data["title"])

    @property
    def verify(self) -> list[str]:
        return list(self.data["verify"])

    @property
    def wrong(self) -> list[str]:
        """The names of its wrong fixes."""
        return [name for name in self.data if name == "wrong" or name.endswith("_wrong")]

    @property
    def has_old_failures(self) -> bool:
        """Whether its last command fails whatever is done about the issue."""
        return bool(self.data.get("has_old_failures"))

    @property
    def files(self) -> dict[str, str]:
        """The repository, with the product's own configuration."""
        commands = "".join(f"  - {command}\n" for command in self.verify)
        return {**self.data["files"], ".github/issuewright.yml": f"verify:\n{commands}"}

    def repository(self, fix: str) -> str:
        """Where an agent makes that fix."""
        return f"{sample.OWNER}/{self.name}-{fix}".replace("_", "-")

    def paths(self, fix: str) -> set[str]:
        """The files that the fix touches."""
        return {str(step["path"]) for step in self.data[fix]}

    def script(self, fix: str) -> dict[str, Any]:
        """Reads, edits, proposes, finishes; when it is asked again it insists, in other words each time."""
        steps = [dict(step) for step in self.data[fix]]
        reads = [call("read_file", path=path) for path in sorted(self.paths(fix) & set(self.files))]
        edits = [call(step.pop("tool"), **step) for step in steps]
        ends = [
            [
                call("propose_change", title=f"Mend: {self.title}"[:69], body=f"What the issue asks{words}"),
                call("finish", summary=f"It is mended{words}"),
            ]
            for words in (".", *(f", looked at {number} more times." for number in range(1, ROUNDS + 2)))
        ]
        turns = [{"content": content} for content in (reads, edits, *ends) if content]
        return {"name": f"{self.name}-{fix}", "match": self.repository(fix), "turns": turns, "repeat": True}


def load() -> list[Program]:
    """Every program of the folder, by name."""
    return [Program(path.stem, tomllib.loads(path.read_text())) for path in sorted(FOLDER.glob("*.toml"))]


def book(programs: Sequence[Program]) -> dict[str, Any]:
    """A script for each program and each of its fixes."""
    return {"scripts": [program.script(fix) for program in programs for fix in ("right", *program.wrong)]}


@dataclass(frozen=True, slots=True)
class Ended:
    """What stands in the database and on the forge when a job has ended."""

    job: dict[str, Any]
    comments: list[str]
    pulls: list[Any]
    branches: list[str]
    records: list[dict[str, Any]]
    diffs: dict[str, str]

    def why(self, when: str) -> list[str]:
        """What speaks against each command that ended so: its exit code or, where it is green, a reason."""
        return [str(row["exitCode"] or row["reason"] or "") for row in self.records if row["when"] == when]

    def exits(self, when: str) -> list[int]:
        """The exit codes of the verify commands, in their order."""
        return [row["exitCode"] for row in self.records if row["when"] == when]


async def ask(product: Rig, program: Program, fix: str) -> int:
    """A repository of its own, and a labelled issue in it; the issue's number."""
    repository = program.repository(fix)
    await product.forge.create_repository(repository, program.files)
    product.forge.set_permission(repository, sample.PERSON, "write")
    return await product.ask_by_label(program.title, program.data["body"], repository=repository)


async def ended(product: Rig, repository: str, number: int) -> Ended:
    """Everything about the only job of a thread."""
    (job,) = await jobs_of(product, number, repository)
    records = (
        'SELECT "when", command, "exitCode", tier, reason FROM verifications WHERE "jobId" = :job ORDER BY id'
    )
    patches = 'SELECT "filePath", "diffPatch" FROM agent_artifacts WHERE "jobId" = :job AND type = :type'
    diffs = await product.rows(patches, job=job["id"], type="CODE_CHANGE")
    return Ended(
        job,
        our_comments(product, number, repository),
        pulls(product, repository),
        await branches(product, repository),
        await product.rows(records, job=job["id"]),
        {row["filePath"]: row["diffPatch"] for row in diffs},
    )


def run_branch(bare: Path, branch: str, commands: Sequence[str], folder: Path) -> list[int]:
    """The exit codes of *commands* in a fresh clone of *branch*, as a person would try it."""
    clone = [git_binary(), "clone", "--quiet", "--branch", branch, str(bare), str(folder)]
    subprocess.run(clone, check=True, timeout=RUN_SECONDS, capture_output=True)
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    codes = []
    for command in commands:
        shell = ["/bin/sh", "-c", command]
        done = subprocess.run(
            shell, cwd=folder, env=environment, timeout=RUN_SECONDS, capture_output=True, check=False
        )
        codes.append(done.returncode)
    shutil.rmtree(folder)
    return codes


def added_lines(diff: str) -> Iterator[str]:
    """The text that a patch puts in."""
    return (line[1:] for line in diff.splitlines() if line.startswith("+") and not line.startswith("+++"))
