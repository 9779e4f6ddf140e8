"""Entry of the tool host process; started by `bot.workspace.host` and by nothing else."""

import sys

from bot.workspace.toolhost import broker

if __name__ == "__main__":
    sys.exit(broker.run(broker.Options.parse(sys.argv[1:])))
