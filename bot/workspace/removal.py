"""Remove a directory that strangers' code has filled: any depth, any permissions, no link followed."""

import subprocess
from pathlib import Path

_PATH = "/usr/local/bin:/usr/bin:/bin"
TIMEOUT_SECONDS = 300
ATTEMPTS = 5
"""A process that is just being killed may still write once."""


def remove_tree(path: Path, *, is_patient: bool = False) -> None:
    """Remove *path* and everything in it; the second time does nothing. *is_patient*: behind everybody else.

    `rm` and `chmod` of coreutils go down without recursion and without following links.

    Raises:
        OSError: Something is left.
    """
    before = ("nice", "-n", "10") if is_patient else ()
    for _ in range(ATTEMPTS):
        if not path.is_symlink() and not path.exists():
            return
        if not path.is_symlink() and path.is_dir():
            _quietly(*before, "chmod", "-R", "u+rwX", "--", str(path))
        _quietly(*before, "rm", "-rf", "--", str(path))
    if path.is_symlink() or path.exists():
        raise OSError(f"{path.name} could not be removed")


def _quietly(*argv: str) -> None:
    subprocess.run(
        argv,
        env={"PATH": _PATH},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
