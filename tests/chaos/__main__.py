"""`python -m tests.chaos`: kill the product's processes, break its servers, and look at what stands.

    python -m tests.chaos --n 200                      # everything on both stacks
    python -m tests.chaos --scenario worker --n 50 --stack sqlite --seed 7
    python -m tests.chaos --scenario worker --stack sqlite --seed 7 --case 3   # one case again
    python -m tests.chaos --scenario list --only R-14                          # the list of faults, by number

It ends with 1 where something was lost, doubled or stuck. The seed fixes what is asked, who dies and by which
rule the moment is chosen; the moment itself also depends on how fast the machine is.
"""

import argparse
import logging
import random
import sys
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.chaos.everywhere import NAME, cut_everywhere
from tests.chaos.numbers import LIST, list_table, play_list
from tests.chaos.plan import Case, Tally
from tests.chaos.playing import cases, play
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.stacks import STACKS

BOTH: Final = ("sqlite", "postgres-redis")
# Of N worker kills: how many blows the others get where all are played; one asked for by name gets N.
SHARES: Final = {
    "web": 0.5,
    "power": 0.1,
    "frozen": 0.1,
    "leaving": 0.125,
    "faults": 0.25,
    "redis": 0.3,
    "postgres": 0.25,
    "refusals": 0.25,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Play what is asked for; 1 where anything was wrong."""
    chosen = _parser().parse_args(arguments)
    seed = chosen.seed or str(random.SystemRandom().randrange(10**6))
    logging.disable(logging.CRITICAL)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    console.print(f"seed {seed}")
    if chosen.scenario == [LIST]:
        scores = play_list(chosen.only or (), seed, chosen.at_most, console.print)
        console.print(list_table(scores, seed))
        return 1 if any(score.failed for score in scores) else 0
    tallies = _play_all(chosen, seed, console)
    console.print(table(tallies, seed))
    return 1 if any(tally.found.all for tally in tallies) else 0


def _play_all(chosen: argparse.Namespace, seed: str, console: Console) -> list[Tally]:
    stacks = BOTH if chosen.stack == "both" else (chosen.stack,)
    has_boundaries = not chosen.scenario or NAME in chosen.scenario
    tallies = [cut_everywhere(seed)] if has_boundaries and "sqlite" in stacks else []
    for stack in stacks:
        for scenario in [each for each in chosen.scenario or SCENARIOS if each != NAME]:
            share = 1.0 if chosen.scenario else SHARES.get(scenario, 1.0)
            planned = list(cases(scenario, stack, seed, max(1, round(chosen.n * share))))
            if chosen.case is not None:
                planned = [Case(scenario, stack, seed, chosen.case, chosen.n)]
            tally = Tally(scenario, stack)
            for case in planned:
                is_well = play(case, tally, console.print)
                word = "ok" if is_well else "WRONG"
                done = f"{tally.kills} blows, {tally.requests} requests, {tally.seconds / 60:.1f} min"
                console.print(f"{scenario} on {stack}, case {case.number}: {word} ({done})")
            if planned:
                tallies.append(tally)
    return tallies


def table(tallies: Sequence[Tally], seed: str) -> Table:
    """What was done and what was wrong."""
    shown = Table(title=f"seed {seed}")
    numbers = ("n", "requests", "lost", "duplicates", "stuck", "set aside", "minutes")
    for name in ("scenario", "stack", *numbers, "notes"):
        shown.add_column(name, justify="right" if name in numbers else "left")
    for tally in tallies:
        found = tally.found
        counts = (tally.kills, tally.requests, len(found.lost), len(found.duplicates), len(found.stuck))
        notes = ", ".join(f"{name} {number}" for name, number in sorted(tally.notes.items()))
        row = [*map(str, counts), str(tally.set_aside), f"{tally.seconds / 60:.1f}", notes]
        shown.add_row(tally.scenario, tally.stack, *row)
    return shown


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=200, help="worker kills (default 200; others get a share)")
    parser.add_argument("--seed", help="play an earlier run again")
    parser.add_argument("--stack", choices=[*STACKS, "both"], default="both")
    parser.add_argument(
        "--scenario", action="append", choices=[NAME, LIST, *SCENARIOS], help="may be given again"
    )
    parser.add_argument(
        "--only", action="append", metavar="R-NN", help="of the list: this row (may be given again)"
    )
    parser.add_argument(
        "--at-most", type=int, metavar="N", help="of the list: play nothing more often than that"
    )
    parser.add_argument("--case", type=int, help="play one case alone")
    return parser


if __name__ == "__main__":
    sys.exit(main())
