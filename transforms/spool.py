"""Where bodies wait until they are written: a bounded share of memory, and a file of this machine for the rest."""

import tempfile
from types import TracebackType
from typing import BinaryIO

from transforms import storage


class Memory:
    """What several spools may hold together."""

    def __init__(self, limit_bytes: int) -> None:
        self.left_bytes = limit_bytes


class Spool:
    """Bodies as they arrive, by key: in memory while there is some left, else in a temporary file."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._held: dict[bytes, bytes] = {}
        self._file: BinaryIO | None = None
        self._places: dict[bytes, tuple[int, int]] = {}
        self._end = 0

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._memory.left_bytes += sum(map(len, self._held.values()))
        self._held.clear()
        if self._file is not None:
            with storage.scratch_errors():
                self._file.close()

    def put(self, key: bytes, data: bytes) -> None:
        """Raises StorageError where the disk is full."""
        if len(data) <= self._memory.left_bytes:
            self._memory.left_bytes -= len(data)
            self._held[key] = data
        else:
            self._write(key, data)

    def _write(self, key: bytes, data: bytes) -> None:
        with storage.scratch_errors():
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
            self._file.seek(self._end)  # `get` may have been elsewhere
            self._file.write(data)
        self._places[key] = (self._end, len(data))
        self._end += len(data)

    def get(self, key: bytes) -> bytes:
        if key in self._held:
            return self._held[key]
        assert self._file is not None
        offset, length = self._places[key]
        self._file.seek(offset)
        return self._file.read(length)
