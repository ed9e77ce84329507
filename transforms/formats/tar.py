"""Plain ustar archives (POSIX.1-1988) with known offsets and no clock in them. Members are regular files, mode 0644."""

from transforms.storage import Sink

BLOCK_BYTES = 512
MAX_NAME_BYTES = 100
MAX_BYTES = 8**11 - 1  # of a member: what eleven octal digits hold
_ZEROS = bytes(BLOCK_BYTES)
# Mode, uid, gid; then mtime, checksum (as blanks), type, name of a link, magic and version, and what only others need.
_BEFORE_SIZE = b"0000644\0" + b"0000000\0" * 2
_AFTER_SIZE = b"00000000000\0" + b" " * 8 + b"0" + bytes(100) + b"ustar\00000" + bytes(247)
_CHECKSUM = slice(148, 156)
_SUM = sum(_BEFORE_SIZE) + sum(_AFTER_SIZE)


class TarWriter:
    """Appends members to `file`; each call returns where the payload lies, so that it can be read by range."""

    def __init__(self, file: Sink) -> None:
        self._file = file
        self._place = 0

    def add(self, name: str, data: bytes) -> int:
        """Write a member; returns the offset of its payload in bytes. Raises ValueError where it does not fit."""
        header = header_of(name, len(data))
        padding = -len(data) % BLOCK_BYTES
        self._file.write(header)
        self._file.write(data)
        self._file.write(_ZEROS[:padding])
        offset = self._place + BLOCK_BYTES
        self._place = offset + len(data) + padding
        return offset

    def close(self) -> None:
        """Write the end mark: two empty blocks. The file stays open."""
        self._file.write(_ZEROS * 2)


def header_of(name: str, size_bytes: int) -> bytes:
    """The block before a member. `name`: at most 100 ASCII characters."""
    named = name.encode("ascii")
    if len(named) > MAX_NAME_BYTES or size_bytes > MAX_BYTES:
        raise ValueError(f"{name[:200]}, {size_bytes} bytes: too large for a ustar member")
    size = b"%011o\0" % size_bytes
    header = named + bytes(MAX_NAME_BYTES - len(named)) + _BEFORE_SIZE + size + _AFTER_SIZE
    checksum = b"%06o\0 " % (_SUM + sum(named) + sum(size))
    return header[: _CHECKSUM.start] + checksum + header[_CHECKSUM.stop :]
