"""A process that migrates the database of its first argument and dies by SIGKILL half way.

It dies when it is about to make the table of its second argument.
"""

import asyncio
import os
import signal
import sys
from typing import Any

from sqlalchemy import Engine, event

from bot.db import migrate


@event.listens_for(Engine, "before_cursor_execute")
def die(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
    if "CREATE TABLE" in statement and sys.argv[2] in statement:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(migrate.upgrade(sys.argv[1]))
