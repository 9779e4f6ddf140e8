"""`issuewright serve|worker` with stand-ins for the product's processes.

Arguments: behaviours by name as JSON (`live` where none is given), then the command's own.
"""

import json
import sys
from pathlib import Path

from bot.cli import main, serve, worker

CHILD = Path(__file__).with_name("standin_child.py")
BEHAVIOURS = json.loads(sys.argv[1])
COMMANDS = {"serve": serve.run, "worker": worker.run}


def command(name: str) -> list[str]:
    """The command of the stand-in for *name*."""
    behaviour = BEHAVIOURS.get(name, "end:0" if name == "prepare" else "live")
    return [sys.executable, str(CHILD), behaviour, name]


if __name__ == "__main__":
    arguments = main.build_parser(sys.argv[2:]).parse_args(sys.argv[2:])
    sys.exit(COMMANDS[arguments.command](arguments, command=command))
