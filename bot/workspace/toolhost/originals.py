"""What the files looked like before the tools first touched them; survives a restart of the process."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

MAX_TOUCHED_FILES = 200


@dataclass(frozen=True, slots=True)
class Original:
    """A file before the first touch: `content` is None when there was none."""

    path: str
    content: bytes | None
    mode: int


class Originals:
    """A directory beside the tree, one JSON file per touched path."""

    def __init__(self, directory_fd: int) -> None:
        """Load what an earlier process of the same job has kept in *directory_fd*."""
        self.directory_fd = directory_fd
        self._by_path: dict[str, Original] = {}
        for name in sorted(os.listdir(directory_fd)):
            if name.endswith(".json"):
                original = _parsed(self._read(name))
                self._by_path[original.path] = original

    def __iter__(self) -> Iterator[Original]:
        """All originals, by path."""
        return iter(sorted(self._by_path.values(), key=lambda original: original.path))

    def get(self, path: str) -> Original | None:
        """What *path* was before the first touch; None when it was not touched."""
        return self._by_path.get(path)

    def is_full_for(self, path: str) -> bool:
        """Whether touching *path* would be one file too many."""
        return path not in self._by_path and len(self._by_path) >= MAX_TOUCHED_FILES

    def keep(self, path: str, content: bytes | None, mode: int) -> None:
        """Remember *path* as it is now; the second time for a path does nothing."""
        if path in self._by_path:
            return
        original = Original(path, content, mode)
        self.place(_rendered(original), 0o600, f"{len(self._by_path):06}.json", self.directory_fd)
        self._by_path[path] = original

    def note(self, name: str) -> bytes | None:
        """What `keep_note` has kept under *name*, in this process or an earlier one."""
        try:
            return self._read(name)
        except FileNotFoundError:
            return None

    def keep_note(self, name: str, content: bytes) -> None:
        """Keep *content* beside the originals; the second time replaces it."""
        self.place(content, 0o600, name, self.directory_fd)

    def place(self, content: bytes, mode: int, name: str, directory_fd: int) -> None:
        """Write *content* whole and then move it to *name* in *directory_fd*; a link there is replaced."""
        draft = "draft"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(draft, flags, 0o600, dir_fd=self.directory_fd)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
        os.replace(draft, name, src_dir_fd=self.directory_fd, dst_dir_fd=directory_fd)

    def _read(self, name: str) -> bytes:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.directory_fd)
        with os.fdopen(fd, "rb") as file:
            return file.read()


def _rendered(original: Original) -> bytes:
    text = None if original.content is None else original.content.decode("utf-8")
    return json.dumps({"path": original.path, "text": text, "mode": original.mode}).encode()


def _parsed(data: bytes) -> Original:
    fields = json.loads(data)
    text = fields["text"]
    return Original(fields["path"], None if text is None else text.encode("utf-8"), fields["mode"])
