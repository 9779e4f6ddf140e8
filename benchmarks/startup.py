"""How long `issuewright --help` takes beside an empty Python that imports argparse, run by run in turn."""

import statistics
import subprocess
import sys
import time

ROUNDS = 30
GOAL = 2.0
REFERENCE = [sys.executable, "-c", "import argparse"]
OURS = [
    sys.executable,
    "-c",
    "import sys; from bot.cli.main import main; sys.argv = ['issuewright', '--help']; main()",
]


def seconds(command: list[str]) -> float:
    """One run of *command*, from start to end."""
    began_at = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began_at


def main() -> None:
    """Print the median of the ratios and both medians."""
    pairs = [(seconds(OURS), seconds(REFERENCE)) for _ in range(ROUNDS)]
    ratio = statistics.median(ours / reference for ours, reference in pairs)
    ours_ms, reference_ms = (1000 * statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"startup: --help {ours_ms:.1f} ms, empty Python {reference_ms:.1f} ms, "
        f"median ratio {ratio:.2f} of {ROUNDS} pairs (goal: at most {GOAL:.0f})"
    )


if __name__ == "__main__":
    main()
