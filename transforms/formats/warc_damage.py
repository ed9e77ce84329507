"""Where reading goes on behind damage in a WARC file. Looks only where something broke: whole files pay nothing."""

import io
import re
import zlib
from typing import BinaryIO, NamedTuple

import zstandard

WINDOW_BYTES = 1 << 20
HEAD_BYTES = 512  # enough compressed bytes for the first line of a record
_STARTS = re.compile(rb"\x1f\x8b\x08[\x00-\x1f]|\x28\xb5\x2f\xfd|\r?\n\r?\nWARC/1\.")  # RFC 1952, RFC 8878, ISO 28500


class Gap(NamedTuple):
    """Bytes of a file that could not be read."""

    begin: int  # offset, bytes
    end: int  # offset where the next record begins, or the size of the file
    members: int  # how many records were lost, as far as their beginnings can be seen; at least 1


def gap_behind(file: BinaryIO, last: int, begin: int, size: int) -> Gap:
    """What is lost behind the record at offset `last`, the last good one, or behind `begin` where that is -1."""
    start = begin if last < 0 else _end_of_member(file, last, size)
    members, index = 0, start
    while (index := _next_start(file, index, size)) < size:
        if index > start and _is_whole(file, index, size):
            return Gap(start, index, max(1, members))
        members += 1
        index += 1
    return Gap(start, size, max(1, members))


def stray_bytes(file: BinaryIO, offset: int, end: int, after: int) -> int | None:
    """Where what is no record begins between the uncompressed record at `offset` and the next one at `after`, or None.

    `end`: where the record's block ends by its fields, were they written as usual; -1 where it is compressed. Two
    empty lines stand behind it: looked at is only what does not fit. `file` stays where it is.
    """
    if end < 0 or 0 <= after - end <= 4:
        return None
    where = file.tell()
    begin = _end_of_member(file, offset, after)
    file.seek(begin)
    begins = begin if offset < begin and file.read(min(after - begin, WINDOW_BYTES)).strip(b"\r\n") else None
    file.seek(where)
    return begins


def reaches_into_the_next(file: BinaryIO, offset: int, content_length: int) -> bool:
    """Whether the record at `offset`, in whose block another seems to begin, is shorter than its Content-Length."""
    where = file.tell()
    file.seek(offset)
    head = file.read(HEAD_BYTES)
    if head.startswith(b"\x1f\x8b"):
        found = _inflated_bytes(file, offset) < content_length
    else:
        end = _end_of_member(file, offset, 1 << 62)
        file.seek(end)
        behind = file.read(9)
        found = bool(behind) and not re.match(rb"(?:\r?\n){0,2}(?:WARC/|\Z)", behind)
    file.seek(where)
    return found


def _inflated_bytes(file: BinaryIO, offset: int) -> int:
    """How many bytes the gzip member at `offset` holds behind its first empty line."""
    file.seek(offset)
    member, size, head = zlib.decompressobj(wbits=31), 0, b""
    while not member.eof and (data := member.unconsumed_tail or file.read(WINDOW_BYTES)):
        part = member.decompress(data, WINDOW_BYTES)
        head, size = head or part, size + len(part)
    end = re.search(rb"\r?\n\r?\n", head)
    return size - (end.end() if end else 0)


def _next_start(file: BinaryIO, begin: int, size: int) -> int:
    """The offset of the next record whose first line can be read, whole or not; `size` where there is none."""
    while begin < size:
        file.seek(begin)
        window = file.read(WINDOW_BYTES + HEAD_BYTES)
        for found in _STARTS.finditer(window):
            if found.start() >= WINDOW_BYTES:
                break
            offset = found.end() - len(b"WARC/1.") if found.group().endswith(b"WARC/1.") else found.start()
            if _first_bytes(window[offset : offset + HEAD_BYTES]).startswith(b"WARC/"):
                return begin + offset
        begin += WINDOW_BYTES
    return size


def _first_bytes(data: bytes) -> bytes:
    """What a record begins with, decompressed where it is compressed; nothing where it is broken there already."""
    try:
        if data.startswith(b"\x1f\x8b"):
            return zlib.decompressobj(wbits=31).decompress(data, 16)
        if data.startswith(b"\x28\xb5\x2f\xfd"):
            return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read(16)
    except (zlib.error, zstandard.ZstdError):
        return b""
    return data[:16]


def _is_whole(file: BinaryIO, begin: int, size: int) -> bool:
    """Whether a compressed record can be read to its end. A plain one is judged by its own length, when it is read."""
    file.seek(begin)
    if not file.read(2).startswith(b"\x1f\x8b"):
        return True
    return _inflated_to(file, begin) >= 0


def _end_of_member(file: BinaryIO, begin: int, size: int) -> int:
    """Where the record at `begin` ends; `begin` itself where that cannot be known: it then counts as lost too."""
    file.seek(begin)
    head = file.read(HEAD_BYTES)
    if head.startswith(b"\x1f\x8b"):
        return max(begin, _inflated_to(file, begin))
    length = re.search(rb"(?i)\r?\ncontent-length:[ \t]*(\d{1,15})", head)
    end = re.search(rb"\r?\n\r?\n", head)
    if head.startswith(b"WARC/") and length and end:
        return min(size, begin + end.end() + int(length.group(1)))
    return begin


def _inflated_to(file: BinaryIO, begin: int) -> int:
    """Where the gzip member at `begin` ends; -1 where it is broken or cut off."""
    file.seek(begin)
    member, read = zlib.decompressobj(wbits=31), 0
    while data := file.read(WINDOW_BYTES):
        read += len(data)
        try:
            while data and not member.eof:
                member.decompress(data, WINDOW_BYTES)
                data = member.unconsumed_tail
        except zlib.error:
            return -1
        if member.eof:
            return begin + read - len(member.unused_data)
    return -1
