"""Plays the list of faults with its numbers, and says how often each was played and what came of it."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from rich.table import Table

from tests.chaos.everywhere import PYTEST, ROOT
from tests.chaos.faults_list import Blows, Fault, InSuite
from tests.chaos.faults_model import FAULTS
from tests.chaos.plan import Tally
from tests.chaos.playing import cases, play

LIST: Final = "list"
# The newer family has no place for what a test records.
_REPORT: Final = ("-o", "junit_family=xunit1")
_SECONDS: Final = "_seconds"
Say = Callable[[str], None]


@dataclass(slots=True)
class Score:
    """What came of one row: plays, what failed in words, and the longest of each time that was measured."""

    fault: Fault
    plays: int = 0
    failed: list[str] = field(default_factory=list)
    minutes: float = 0.0
    worst: dict[str, float] = field(default_factory=dict)

    def took(self, name: str, seconds: float) -> None:
        """Keep the longest of its kind."""
        self.worst[name] = max(self.worst.get(name, 0.0), seconds)


def play_list(only: Sequence[str], seed: str, most: int | None, say: Say) -> list[Score]:
    """Play the rows whose number is in *only* (all without it), each at most *most* times."""
    scores = []
    for fault in FAULTS:
        if only and not set(fault.number.split(", ")) & set(only):
            continue
        score, began = Score(fault), time.monotonic()
        for each in fault.plays:
            n = each.n if most is None else min(most, each.n)
            if isinstance(each, InSuite):
                _test(each, n, seed, score)
            else:
                _blow(each, n, seed, score, say)
        score.minutes = (time.monotonic() - began) / 60
        say("\n".join([_line(score), *score.failed]))
        scores.append(score)
    return scores


def _test(tests: InSuite, n: int, seed: str, score: Score) -> None:
    """Play tests in a process of pytest; one that is left out counts as failed."""
    environment = {**os.environ, "ISSUEWRIGHT_TEST_PLAYS": str(n), "ISSUEWRIGHT_TEST_SEED": seed}
    with tempfile.TemporaryDirectory(prefix="chaos-list-") as folder:
        report = Path(folder) / "report.xml"
        ended = subprocess.run(
            [*PYTEST, *_REPORT, f"--junitxml={report}", *tests.nodes],
            cwd=ROOT,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            check=False,
        )
        if ended.returncode > 1 or not report.exists():
            score.failed.append(f"pytest ended with {ended.returncode}: {ended.stdout[-2_000:]}")
            return
        for played in ET.parse(report).iter("testcase"):
            _count(played, score)


def _count(played: ET.Element, score: Score) -> None:
    score.plays += 1
    for kind in ("failure", "error", "skipped"):
        for found in played.iter(kind):
            name = f"{played.get('classname')}::{played.get('name')}"
            score.failed.append(f"{kind}: {name}: {(found.text or '')[-4_000:]}")
    for one in played.iter("property"):
        name = one.get("name", "")
        if name.endswith(_SECONDS):
            score.took(name.removesuffix(_SECONDS), float(one.get("value", "0")))


def _blow(blows: Blows, n: int, seed: str, score: Score, say: Say) -> None:
    tally = Tally(blows.scenario, blows.stack)
    for case in cases(blows.scenario, blows.stack, seed, n):
        play(case, tally, say)
        say(f"{blows.scenario} on {blows.stack}: {tally.kills} of {n}, {len(tally.found.all)} wrong")
    score.plays += tally.kills
    score.failed += tally.found.all
    for name, number in tally.notes.items():
        if name.endswith(" ms"):
            score.took(name.removesuffix(" ms"), number / 1_000)


def _line(score: Score) -> str:
    word = "ok" if not score.failed else f"{len(score.failed)} FAILED"
    return f"{score.fault.number}: {score.plays} plays, {word} ({score.minutes:.1f} min){_worst(score, ', ')}"


def _worst(score: Score, before: str = "") -> str:
    words = ", ".join(f"{name} ≤ {seconds:.2f} s" for name, seconds in sorted(score.worst.items()))
    return f"{before}{words}" if words else ""


def list_table(scores: Sequence[Score], seed: str) -> Table:
    """Row by row: asked for, played, failed."""
    shown = Table(title=f"seed {seed}")
    for name in ("fault", "what", "asked for", "played", "failed", "minutes", "longest"):
        shown.add_column(name, justify="right" if name in {"played", "failed", "minutes"} else "left")
    for score in scores:
        counts = (str(score.plays), str(len(score.failed)), f"{score.minutes:.1f}")
        shown.add_row(score.fault.number, score.fault.what, score.fault.wanted, *counts, _worst(score))
    return shown
