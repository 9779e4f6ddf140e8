"""Work on a checkout goes behind whoever answers people: the processes that do it are of low priority."""

import contextlib
import os
from pathlib import Path
from typing import Final

NICENESS: Final = 10


def lower(pid: int) -> None:
    """Let the session that *pid* leads, and what it starts, run behind other processes.

    Where the kernel shares the processors by session, it is the session's priority that counts
    (https://man7.org/linux/man-pages/man7/sched.7.html, "The autogroup feature").
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(NICENESS), "ascii")
