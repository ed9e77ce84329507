"""Tar archives. Ours are plain ustar (POSIX.1-1988) with known offsets and no clock in them, of regular files with mode
0644. Those of other tools are read as they come, and damage in them is counted.
"""

import io
import re
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from transforms.storage import Sink

BLOCK_BYTES = 512
MAX_NAME_BYTES = 100
MAX_BYTES = 8**11 - 1  # of a member: what eleven octal digits hold
MAX_EXTENDED_BYTES = 1 << 20  # of a header that lengthens another
WINDOW_BYTES = 1 << 20  # of a search behind damage
_MAGIC = 257  # the offset of "ustar" in a header
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


class Member(NamedTuple):
    """A regular file in a tar."""

    name: str
    offset: int  # bytes, of the first header that belongs to it
    data: int  # where the payload begins
    size: int  # bytes of the payload

    @property
    def end(self) -> int:
        """Where the next header may begin."""
        return self.data + _padded(self.size)


class Gap(NamedTuple):
    """Bytes of a tar that are no member."""

    begin: int
    end: int  # where the next member begins, or the size of the file
    members: int  # how many are lost, as far as their headers can be seen; at least 1


class _Header(NamedTuple):
    """A header with those that lengthen its name or size."""

    member: Member
    is_file: bool


def read_tar(file: BinaryIO) -> Iterator[Member | Gap]:
    """The regular files of a tar of any tool, in order. Damage is passed over, and what it cost comes as a Gap.

    Python's `tarfile` ends without a word at a header that is broken. What stands behind an end mark is read too, as
    webdataset reads it: tars are joined by `cat`. Formats: POSIX.1-1988 (ustar), POSIX.1-2001 (pax), GNU.
    """
    size = file.seek(0, io.SEEK_END)
    offset = 0
    while offset < size:
        header = _header_at(file, offset, size)
        if header is None:
            gap = _gap_at(file, offset, size)
            offset = gap.end
            yield gap
        elif header == _EMPTY:
            offset += BLOCK_BYTES
        else:
            if header.is_file:
                yield header.member
            offset = header.member.end


_EMPTY = _Header(Member("", 0, 0, 0), False)  # a block of zeros: the end mark, or padding behind it


def _padded(size: int) -> int:
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def _header_at(file: BinaryIO, begin: int, size: int) -> _Header | None:
    """The header at `begin`; None where there is none, or its payload is cut off."""
    name, length = "", -1
    offset = begin
    while True:
        info = _info_at(file, offset)
        if info is None:
            return _EMPTY if offset == begin and _is_empty(file, offset) else None
        has_payload = info.isreg() or info.type not in tarfile.SUPPORTED_TYPES or info.type in _EXTENDED
        data = offset + BLOCK_BYTES
        payload = 0 if not has_payload else info.size if length < 0 or info.type in _EXTENDED else length
        if payload < 0 or data + payload > size:
            return None
        if info.type not in _EXTENDED:
            return _Header(Member(name or info.name, begin, data, payload), info.isreg())
        if payload > MAX_EXTENDED_BYTES:
            return None
        text = file.read(payload)
        if info.type == tarfile.GNUTYPE_LONGNAME:
            name = text.rstrip(b"\0").decode("utf-8", "replace")
        elif info.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
            found = dict(_pax_records(text))
            name = found.get(b"path", name.encode()).decode("utf-8", "replace")
            length = int(found[b"size"]) if re.fullmatch(rb"\d{1,18}", found.get(b"size", b"")) else length
        offset = data + _padded(payload)


# Headers that say more of the next one; the global one says nothing that we need.
_EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
             tarfile.GNUTYPE_LONGLINK)  # fmt: skip


def _info_at(file: BinaryIO, offset: int) -> tarfile.TarInfo | None:
    file.seek(offset)
    try:
        return tarfile.TarInfo.frombuf(file.read(BLOCK_BYTES), "utf-8", "replace")
    except (tarfile.HeaderError, ValueError, OverflowError):
        return None


def _is_empty(file: BinaryIO, offset: int) -> bool:
    file.seek(offset)
    return not file.read(BLOCK_BYTES).strip(b"\0")


def _pax_records(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The records `length key=value`; it ends at one that is none."""
    offset = 0
    while found := re.compile(rb"(\d{1,9}) ([^=]+)=").match(text, offset):
        end = offset + int(found[1])
        if end <= found.end() or end > len(text):
            return
        yield found[2], text[found.end() : end - 1]
        offset = end


def _gap_at(file: BinaryIO, begin: int, size: int) -> Gap:
    """What is lost from `begin` to the next header that can be read, wherever it lies."""
    lost, offset = 0, begin
    while offset < size:
        file.seek(offset)
        window = file.read(WINDOW_BYTES + BLOCK_BYTES)
        for found in re.finditer(b"ustar[\\0 ]", window):
            start = offset + found.start() - _MAGIC
            if not max(begin, offset) <= start < offset + WINDOW_BYTES:
                continue  # of another window
            if start > begin and _header_at(file, start, size) is not None:
                return Gap(begin, start, max(1, lost))
            lost += (start - begin) % BLOCK_BYTES == 0
        offset += WINDOW_BYTES
    return Gap(begin, size, max(1, lost))


def is_tar(file: BinaryIO) -> bool:
    """Whether a file is a tar at all: with a member somewhere, or with nothing in it that is none."""
    damaged = False
    for member in read_tar(file):
        if isinstance(member, Member):
            return True
        damaged = True
    return not damaged
