"""Text tables, whatever they are packed in and however they are encoded: csv, tsv, jsonl and lists of urls.

A row that cannot be read is a BrokenValue in its place and costs no other row: a quote that never closes ends with its
line. Memory is bounded by one row. What reading found out about a file is said by `encoding_of`.
"""

import bz2
import csv
import gzip
import io
import lzma
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, Literal, NamedTuple

import zstandard

from transforms import storage
from transforms.formats.values import BrokenValue, parse_json, shown
from transforms.sources.base import SourceError
from transforms.sources.encodings import HEAD_BYTES, encoding_of

Fields = dict[str, Any] | BrokenValue  # a row by column; or why it cannot be read

PACKED_BYTES = 1 << 12  # of a zstd file, read at once: they may come to 128 MiB
MAX_LINE_CHARACTERS = 1 << 24
MAX_RECORD_CHARACTERS = 1 << 20  # of a csv row of several lines; a longer one is a quote that never closes

# Endings of compressed files, which may follow any other.
PACKED_ENDINGS = (".gz", ".gzip", ".bgz", ".bz2", ".xz", ".zst", ".zstd")
A_TAR = "a tar archive; unpack it and name the tables in it, or `pairmill adopt` its folder, if it holds images"
# What other files begin with, for a message with the remedy.
_NO_TEXT = (
    (0, b"PAR1", "a Parquet file; set collect.tables.format to parquet"),
    (0, b"PK\x03\x04", "a zip archive or a spreadsheet; unpack it, or save it as csv"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a spreadsheet; save it as csv"),
    (0, b"ARROW1\0\0", "an Arrow file; save it as Parquet"),
    (0, b"Obj\x01", "an Avro file; save it as Parquet"),
    (0, b"ORC", "an ORC file; save it as Parquet"),
    (0, b"SQLite format 3\0", "a SQLite file; save the table as csv"),
    (257, b"ustar", A_TAR),
)  # fmt: skip


class TableError(SourceError):
    """A table cannot be read; the message names the file, what is wrong and the remedy."""


class TextStyle(NamedTuple):
    """How the rows of a text table are written."""

    separator: str
    quote: str | None  # None: quotation marks are signs like others
    columns: Sequence[str] | None  # None: the first line names them
    encoding: str  # a Python codec, or "auto"
    url: str  # the name for the only column of a list


def text_rows(path: str, kind: Literal["csv", "tsv", "jsonl", "txt"], style: TextStyle,
              check: Callable[[Sequence[str]], None]) -> Iterator[Fields]:  # fmt: skip
    """The rows of a text table. `check` sees the columns' names once. Raises TableError where the file breaks."""
    with storage.open_for_reading(path) as file, _breaks(path):
        head = _head(path, file)
        codec = encoding_of(head, style.encoding).codec
        plain = io.BufferedReader(_unpacked(file))
        quoted = kind in ("csv", "tsv") and style.quote is not None
        # Inside quotes a line may end in any way; elsewhere a lone carriage return is a sign, but in very old files.
        any_end = quoted or (b"\n" not in head and b"\r" in head)
        lines = _lines(io.TextIOWrapper(plain, codec, errors="replace", newline="" if any_end else "\n"))
        if kind == "txt":
            yield from ({style.url: line.strip()} if isinstance(line, str) else line for line in _filled(lines))
        elif kind == "jsonl":
            yield from _json_rows(path, lines, check)
        else:
            yield from _separated_rows(path, lines, style, check)


def text_note(path: str, encoding: str) -> str:
    """What a person should know of how a text table is decoded, or "". Raises TableError."""
    with storage.open_for_reading(path) as file, _breaks(path):
        return encoding_of(_head(path, file), encoding).words


@contextmanager
def _breaks(path: str) -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError, zlib.error, lzma.LZMAError, zstandard.ZstdError) as error:
        raise TableError(f"{path}: the file is broken or cut off ({error}); get it again") from error


def _head(path: str, file: BinaryIO) -> bytes:
    """The first bytes of the plain text; the file stands at its beginning again. Raises TableError: no text."""
    plain, head = _unpacked(file), b""
    while len(head) < HEAD_BYTES and (more := plain.read(HEAD_BYTES - len(head))):
        head += more
    file.seek(0)
    for offset, magic, words in _NO_TEXT:
        if head[offset : offset + len(magic)] == magic:
            raise TableError(f"{path}: this is {words}")
    return head


def _unpacked(file: BinaryIO) -> Any:
    """The plain bytes of a compressed file, known by how it begins: its name says nothing."""
    start = file.read(6)
    file.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        return _Zstd(file)
    if start.startswith(b"BZh"):
        return bz2.BZ2File(file)
    if start == b"\xfd7zXZ\0":
        return lzma.LZMAFile(file)
    return file


class _Zstd(io.RawIOBase):
    """The plain bytes of a zstd file of any number of frames. Zstandard's own reader ends without a word in a frame."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._frame: Any = None
        self._packed = self._plain = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._plain:
            self._packed = self._packed or self._file.read(PACKED_BYTES)
            if not self._packed:
                if self._frame is not None:
                    raise EOFError("a compressed frame has no end")
                return 0
            frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            self._plain = frame.decompress(self._packed)
            self._packed, self._frame = (frame.unused_data, None) if frame.eof else (b"", frame)
        count = min(len(buffer), len(self._plain))
        buffer[:count], self._plain = self._plain[:count], self._plain[count:]
        return count


def _lines(text: io.TextIOBase) -> Iterator[str | BrokenValue]:
    """The lines with their ends; one that is longer than any row is broken."""
    while line := text.readline(MAX_LINE_CHARACTERS):
        if len(line) < MAX_LINE_CHARACTERS or line[-1] in "\r\n":
            yield line
            continue
        start = line
        while line and line[-1] not in "\r\n":
            line = text.readline(MAX_LINE_CHARACTERS)
        yield BrokenValue(f"a line of more than {MAX_LINE_CHARACTERS:,} characters: {shown(start)}")


def _filled(lines: Iterator[str | BrokenValue]) -> Iterator[str | BrokenValue]:
    return (line for line in lines if not isinstance(line, str) or line.strip())


def _json_rows(path: str, lines: Iterator[str | BrokenValue],
               check: Callable[[Sequence[str]], None]) -> Iterator[Fields]:  # fmt: skip
    seen = False
    for number, line in enumerate(_filled(lines)):
        if number == 0 and isinstance(line, str) and (line.strip() == "[" or line.lstrip().startswith("[{")):
            raise TableError(f"{path}: row 1 is broken: the file is a JSON array; expected a JSON object a line, "
                             "as `jq -c '.[]'` makes them of it")  # fmt: skip
        row = _json_row(line)
        if isinstance(row, dict) and not seen:
            seen = True
            check(list(row))
        yield row


def _json_row(line: str | BrokenValue) -> Fields:
    try:
        row = parse_json(line) if isinstance(line, str) else line
    except BrokenValue as error:
        return error
    return row if isinstance(row, dict | BrokenValue) else BrokenValue(f"no JSON object: {shown(line)}")


def _separated_rows(path: str, lines: Iterator[str | BrokenValue], style: TextStyle,
                    check: Callable[[Sequence[str]], None]) -> Iterator[Fields]:  # fmt: skip
    records = _Records(lines, style.separator, style.quote)
    first = style.columns or next(records, [])
    if isinstance(first, BrokenValue):
        raise TableError(f"{path}: the line with the names of the columns cannot be read: {first}")
    # Spreadsheets leave empty columns at the end: they are kept under their number.
    names = [name.strip() or f"column_{number}" for number, name in enumerate(first, 1)]
    if not names:
        return
    check(names)
    records.width = len(names)
    for values in records:
        yield values if isinstance(values, BrokenValue) else dict(zip(names, values, strict=True))


class _Records(Iterator[list[str] | BrokenValue]):
    """The rows of a csv or tsv, without empty lines. Of a row that is broken only the first line is lost."""

    def __init__(self, lines: Iterator[str | BrokenValue], separator: str, quote: str | None) -> None:
        self._lines, self._separator, self._quote = lines, separator, quote
        self.width: int | None = None  # how many values a row must have, once that is known
        self._taken: list[str | BrokenValue] = []  # lines of the row that is being read
        self._waiting: deque[str | BrokenValue] = deque()  # lines that are to be read again
        csv.field_size_limit(MAX_LINE_CHARACTERS)
        self._reader = self._new_reader()

    def _new_reader(self) -> Any:
        return csv.reader(self._feed(), delimiter=self._separator, quotechar=self._quote or '"', strict=True)

    def _feed(self) -> Iterator[str]:
        """The lines, one by one as the reader asks for them."""
        characters = 0
        while True:
            line = self._waiting.popleft() if self._waiting else next(self._lines, None)
            if line is None:
                return
            characters = characters + len(line) if self._taken and isinstance(line, str) else 0
            self._taken.append(line)
            if isinstance(line, BrokenValue) or characters > MAX_RECORD_CHARACTERS:
                raise csv.Error("too long")
            yield line

    def __next__(self) -> list[str] | BrokenValue:
        while True:
            self._taken.clear()
            values = self._next_unquoted() if self._quote is None else self._next_quoted()
            if values == [] or (self._quote is None and values == [""]):
                continue  # an empty line is no row
            if isinstance(values, list) and self.width not in (None, len(values)):
                return BrokenValue(f"expected as many values as columns, {self.width}, found {len(values)}")
            return values

    def _next_unquoted(self) -> list[str] | BrokenValue:
        line = next(self._lines)
        return line if isinstance(line, BrokenValue) else line.rstrip("\r\n").split(self._separator)

    def _next_quoted(self) -> list[str] | BrokenValue:
        try:
            values: list[str] = next(self._reader)
            if len(self._taken) == 1 or self.width in (None, len(values)):
                return values
        except csv.Error:
            pass
        first, *rest = self._taken
        self._taken = [first]
        self._waiting.extendleft(reversed(rest))
        self._reader = self._new_reader()
        return self._one_line(first)

    def _one_line(self, line: str | BrokenValue) -> list[str] | BrokenValue:
        """A line that is no row by the rules of csv: its quotation marks may be signs like others."""
        if isinstance(line, BrokenValue):
            return line
        bare = line.rstrip("\r\n")
        if bare.count(self._quote or "") % 2 == 0:
            as_written = bare.split(self._separator)
            if self.width in (None, len(as_written)):
                return as_written
            # A second line tells whether a quote is still open at the end of the first.
            loose = list(csv.reader([line, "x"], delimiter=self._separator, quotechar=self._quote))
            if len(loose) == 2 and len(loose[0]) == self.width:
                return loose[0]
        return BrokenValue(f"a quotation mark that does not close: {shown(line)}")
