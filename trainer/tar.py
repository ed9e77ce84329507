"""A plain reader of webdataset tars: headers only, so that members can be read by range. Runs no code of the data.

Format: POSIX.1-2001 (ustar with pax headers) and GNU long names, as webdataset and img2dataset write them.
"""

import re
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from trainer.errors import ShardError
from trainer.files import opened

BLOCK_BYTES = 512
MAX_HEADER_BYTES = 1 << 20  # of a pax or long-name record: a name is never this long
MEMBER_NAME = re.compile(r"^((?:.*/|)[^.]+)[.]([^/]*)$")  # webdataset's: key, then extension
PAX_RECORD = re.compile(rb"(\d{1,9}) ([^=]+)=")
REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)


class Member(NamedTuple):
    """A regular file in a tar."""

    name: str
    offset: int  # bytes, of the payload
    size: int  # bytes


class TarError(ShardError):
    """The archive is damaged, or holds what no shard may hold. `offset`: bytes, of the header."""

    def __init__(self, path: str, offset: int, what: str) -> None:
        super().__init__(f"{path}: {what} (at byte {offset})")
        self.offset, self.what = offset, what


def read_members(path: str) -> Iterator[Member]:
    """The regular files of a tar, in order. Raises TarError for damage, links, devices and unsafe names; OSError."""
    with opened(path) as file:
        offset, long_name = 0, ""
        while (header := _header_at(file, path, offset)) is not None:
            data = offset + BLOCK_BYTES
            after = data + _padded(header.size)
            if header.type in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
                long_name = _long_name(file, path, data, header) or long_name
            elif header.type in REGULAR:
                name, long_name = long_name or header.name, ""
                unsafe = name.startswith("/") or ".." in name.split("/") or not name.isprintable() or len(name) > 1000
                if unsafe:
                    raise TarError(path, offset, f"unsafe member name {name[:80]!r}")
                if file.seek(0, 2) < data + header.size:
                    raise TarError(path, offset, "the archive is cut off inside a member")
                yield Member(name, data, header.size)
            elif header.type not in (tarfile.DIRTYPE, tarfile.XGLTYPE):
                raise TarError(path, offset, f"member {header.name!r} is a link or a device")
            offset = after


def _header_at(file: BinaryIO, path: str, offset: int) -> tarfile.TarInfo | None:
    """The header at `offset`, or None at the end mark."""
    file.seek(offset)
    block = file.read(BLOCK_BYTES)
    if len(block) < BLOCK_BYTES:
        raise TarError(path, offset, "the archive ends without its end mark: it is cut off or no tar")
    if block == bytes(BLOCK_BYTES):
        return None
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise TarError(path, offset, f"broken member header: {error}") from error
    if header.size < 0:  # GNU's binary form has a sign, and the next header would be one that was read already
        raise TarError(path, offset, f"broken member header: a size of {header.size} bytes")
    return header


def _padded(size: int) -> int:
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def _long_name(file: BinaryIO, path: str, offset: int, header: tarfile.TarInfo) -> str:
    """The name that a pax or GNU record gives to the member behind it; "" where a pax record names none."""
    if header.size > MAX_HEADER_BYTES:
        raise TarError(path, offset, f"an extended header of {header.size} bytes")
    file.seek(offset)
    data = file.read(header.size)
    if header.type == tarfile.GNUTYPE_LONGNAME:
        return data.rstrip(b"\0").decode("utf-8", "surrogateescape")
    return _pax(path, offset, data)


def _pax(path: str, offset: int, data: bytes) -> str:
    name, offset = b"", 0
    while offset < len(data) and (match := PAX_RECORD.match(data, offset)):
        length = int(match[1])
        value = data[match.end() : offset + length - 1]
        if match[2] == b"size" or match[2].startswith(b"GNU.sparse."):
            raise TarError(path, offset, "a member of more than 8 GiB or a sparse one")
        name = value if match[2] == b"path" else name
        offset += max(length, 1)
    return name.decode("utf-8", "surrogateescape")


def split_name(name: str) -> tuple[str, str] | None:
    """(key, extension in lower case) as webdataset splits a member's name, or None where it finds no key."""
    match = MEMBER_NAME.match(name)
    return (match[1], match[2].lower()) if match else None


def end_of(path: str) -> list[str]:
    """What is wrong behind the last member of a readable tar: expected are two empty blocks, then only zeros."""
    with opened(path) as file:
        offset = 0
        while (header := _header_at(file, path, offset)) is not None:
            offset += BLOCK_BYTES + _padded(header.size)
        file.seek(offset)
        blocks = 0
        while block := file.read(BLOCK_BYTES):
            if block.strip(b"\0"):
                return [f"bytes behind the end mark (at byte {offset + blocks * BLOCK_BYTES})"]
            blocks += 1
    return [] if blocks >= 2 else ["the end mark is cut off"]
