"""How much disk a command may take: its copy of the tree lies beside the service's own database."""

import os
from pathlib import Path

MAX_TAKEN_BYTES = 8 * 1024**3
MAX_TAKEN_FILES = 1_000_000
CHECK_SECONDS = 0.5


class Room:
    """What is free where a command writes: it may take a bounded part, and never more than half of it."""

    def __init__(self, folder: Path) -> None:
        """Note what is free below *folder* now."""
        self._folder = folder
        found = os.statvfs(folder)
        self._least_blocks = found.f_bavail - min(MAX_TAKEN_BYTES // found.f_frsize, found.f_bavail // 2)
        self._least_files = found.f_favail - min(MAX_TAKEN_FILES, found.f_favail // 2)

    def is_used_up(self) -> bool:
        """Whether less is free than must be left; whoever else wrote meanwhile counts too."""
        found = os.statvfs(self._folder)
        return found.f_bavail < self._least_blocks or found.f_favail < self._least_files
