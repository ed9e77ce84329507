"""Plain ustar archives with known offsets and no clock in them."""

import tarfile
from typing import BinaryIO

BLOCK_BYTES = 512


class TarWriter:
    """Appends members to `file`; each call tells where the payload lies, so that it can be read by range."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._place = 0

    def add(self, name: str, data: bytes) -> int:
        """Write a member; returns the offset of its payload in bytes. `name`: at most 100 ASCII characters."""
        info = tarfile.TarInfo(name)  # mtime 0, uid 0, mode 0644: the same bytes at any time for anyone
        info.size = len(data)
        header = info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
        padding = -len(data) % BLOCK_BYTES
        self._file.write(header)
        self._file.write(data)
        self._file.write(b"\0" * padding)
        offset = self._place + len(header)
        self._place = offset + len(data) + padding
        return offset

    def close(self) -> None:
        """Write the end mark: two empty blocks. The file stays open."""
        self._file.write(b"\0" * (2 * BLOCK_BYTES))
