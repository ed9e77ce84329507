"""ARC files, and WARC files whose field names fastwarc does not know: read record by record, without ranges.

ARC is the Internet Archive's format before WARC (version 1 and 2, plain or a gzip member a record). WARC's field names
are of any case (ISO 28500, 4), and some tools write `content-length`.
"""

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import zstandard

from filters.reasons import Drop, Reason

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_LINE_BYTES, _HEAD_LINES = 1 << 16, 1_000
_ARC_LINE = re.compile(rb"([a-z][a-z0-9+.-]*:\S+)[ \t].*?[ \t](\d{1,15})[ \t]*\r?\n", re.I)  # url ... length

_DESCRIPTION_END = re.compile(rb"\n\r?\n(?=[a-z][a-z0-9+.-]*:)", re.I)


class Fields(dict[str, str]):
    """Header fields by lower-case name, looked up by any."""

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        return super().get(name.lower(), default)


class PlainRecord(NamedTuple):
    """What `transforms.formats.warc` asks of a record."""

    headers: Fields
    content_length: int
    reader: io.BytesIO

    def consume(self) -> None:
        """Its block was read already."""


def kind_of(file: BinaryIO) -> str:
    """WAT or WET where a file is one of Common Crawl's extracts, which hold no page; "" else."""
    head = _first_bytes(file)
    if re.search(rb"(?i)^WARC-Type:[ \t]*conversion[ \t]*\r?$", head, re.M):
        return "WET"
    return "WAT" if b"WARC-Type: metadata" in head and b'"Container"' in head else ""


def needs_reading_by_hand(file: BinaryIO) -> bool:
    """Whether a file is an ARC, or a WARC with a length that fastwarc would take for 0. Leaves `file` at its start."""
    head = _first_bytes(file)
    if head.startswith(b"filedesc:"):
        return True
    first = re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0]
    lengths = re.findall(rb"(?im)^content-length(?=[ \t]*:)", first)
    return head.startswith(b"WARC/") and bool(lengths) and b"Content-Length" not in lengths


def records_by_hand(file: BinaryIO, max_body_bytes: int) -> Iterator[PlainRecord | Drop]:
    """Every record; a Drop for each stretch that is none, and as the last one where the file breaks."""
    file.seek(0)
    stream, in_junk, kept = _plain(file), False, b""
    try:
        while line := kept + stream.readline(_LINE_BYTES):
            kept = b""
            if not line.strip():
                continue
            found = _head(line, stream)
            if found is None:
                if not in_junk:
                    yield Drop(Reason.ARCHIVE_BROKEN, None, "bytes between two records that are no record")
                in_junk = True
                continue
            in_junk = False
            fields, length = found
            block = stream.read(min(length, max_body_bytes))
            left = length - len(block)
            while left > 0 and (skipped := len(stream.read(min(left, 1 << 20)))):
                left -= skipped
            if line.startswith(b"filedesc:"):
                kept = _behind_description(block)
            if left:
                yield Drop(Reason.ARCHIVE_BROKEN, None, "the file ends inside a record; what comes before is read")
                return
            yield PlainRecord(fields, length, io.BytesIO(block))
    except (OSError, EOFError, ValueError, zlib.error, zstandard.ZstdError) as error:
        yield Drop(Reason.ARCHIVE_BROKEN, None, str(error))


def _behind_description(block: bytes) -> bytes:
    """What an ARC's description holds of the next record: some tools give it too large a length."""
    found = _DESCRIPTION_END.search(block)
    return block[found.end() :] if found else b""


def _first_bytes(file: BinaryIO) -> bytes:
    """Decompressed; none where that cannot be done. Leaves `file` at its start."""
    file.seek(0)
    try:
        return _plain(file).read(4_096)
    except (OSError, EOFError, ValueError, zlib.error, zstandard.ZstdError):
        return b""
    finally:
        file.seek(0)


def _plain(file: BinaryIO) -> BinaryIO:
    start = file.read(4)
    file.seek(0)
    if start.startswith(_GZIP):
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    if start == _ZSTD:
        frames = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=False)
        return io.BufferedReader(frames)
    return file


def _head(line: bytes, stream: BinaryIO) -> tuple[Fields, int] | None:
    """(fields, length of the block in bytes) of the record that `line` begins; None where it begins none."""
    if line.startswith(b"WARC/"):
        fields = Fields()
        for _ in range(_HEAD_LINES):
            name, colon, value = stream.readline(_LINE_BYTES).partition(b":")
            if not colon:
                break
            fields[name.strip().decode("latin-1").lower()] = value.strip().decode("utf-8", "replace")
        length = fields.get("content-length") or ""
        return (fields, int(length)) if length.isascii() and length.isdigit() and len(length) < 16 else None
    arc = _ARC_LINE.fullmatch(line)
    if arc is None:
        return None
    fields = Fields({"warc-type": "response", "warc-target-uri": arc[1].decode("utf-8", "replace")})
    return fields, int(arc[2])
