"""Url tables: csv, tsv, jsonl, parquet and plain lists of urls, from any tool. Rows stream; memory stays flat.

A table that cannot be read is refused by `check_table`, before any work. A single broken row in the middle of a good
table is a row without url, so that the funnel counts it (`url_invalid`).
"""

import csv
import datetime
import decimal
import gzip
import io
import json
import math
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from pydantic import Field

from filters.rules import operational
from transforms import storage
from transforms.formats import parquet
from transforms.sources.base import CandidateSource, Row, SourceError, files_of

Format = Literal["auto", "csv", "tsv", "jsonl", "parquet", "txt"]

CHECKED_ROWS = 100  # of a text table, before any work; a Parquet file says in its footer what it holds
BATCH_ROWS = 4_096  # of Parquet; some 2 MB of urls and captions
MAX_FIELD_CHARACTERS = 1 << 24  # a longer field is a quote that never closes
_ENDINGS: dict[str, Format] = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".parquet": "parquet", ".pq": "parquet", ".txt": "txt",
}  # fmt: skip
_PACKED = (".gz", ".zst", ".zstd")
# What other data sets call the two columns that we need.
_SYNONYMS = {
    "url": ("url", "urls", "image_url", "imageurl", "img_url", "image_src", "img_src", "photo_image_url", "src",
            "image", "link", "image_link", "contenturl", "original_url"),
    "caption": ("caption", "text", "alt", "alt_text", "title", "description", "top_caption", "caption_text",
                "photo_description", "caption_reference_description", "sentence"),
}  # fmt: skip


class TableError(SourceError):
    """A table cannot be read; the message names the file, what is wrong and the remedy."""


class TableSource(CandidateSource):
    """Source `tables`: url tables of any tool."""

    paths: list[str] = operational(min_length=1)  # files or globs; ** matches any number of folders
    format: Format = "auto"  # by the ending, which .gz or .zst may follow
    separator: str | None = Field(None, min_length=1, max_length=1)  # of csv and tsv; else a comma, a tab
    columns: list[str] | None = None  # their names, for a csv or tsv without a header line
    url: str = "url"  # names of columns
    caption: str | None = "caption"  # None: the table has no captions
    page_url: str | None = None  # of the page that shows the image: its host is asked too
    source_uid: str | None = None  # column with the uid that a foreign table gives its rows
    extra: list[str] | Literal["all"] = Field([])  # columns to carry to the shards

    def files(self) -> list[str]:
        return files_of("collect.tables.paths", self.paths)

    def check(self) -> None:
        for path in self.files():
            check_table(path, self)

    def overview(self) -> dict[str, Any]:
        self.check()
        files = self.files()
        return {"table_files": len(files), "table_rows": sum(count_table_rows(path, self) for path in files)}

    def rows(self, path: str) -> Iterator[Row]:
        return read_table(path, self)


def check_table(path: str, settings: TableSource) -> None:
    """Raises TableError where the table is unreadable, empty, or lacks a column that the settings name."""
    rows = 0
    for row in islice(_rows(path, settings), CHECKED_ROWS):
        rows += 1
        if row is None:
            raise TableError(f"{path}: row {rows} is broken; expected {_expectation(path, settings)}")
    if rows == 0:
        raise TableError(f"{path}: the table has no rows; leave it out of collect.tables.paths")


def read_table(path: str, settings: TableSource) -> Iterator[Row]:
    """The rows of a table, in order. Raises TableError where the file breaks."""
    for fields in _rows(path, settings):
        yield _table_row(fields, settings) if fields is not None else Row("", "")


def _table_row(row: dict[str, Any], settings: TableSource) -> Row:
    return Row(
        url=_text(row.get(settings.url)).strip(),
        caption=_text(row.get(settings.caption)) if settings.caption else "",
        page_url=_text(row.get(settings.page_url)).strip() if settings.page_url else "",
        source_uid=_text(row.get(settings.source_uid)) if settings.source_uid else "",
        extra=_extra(row, settings),
    )


def _extra(row: dict[str, Any], settings: TableSource) -> str:
    if settings.extra == "all":
        own = set(_wanted(settings).values())
        chosen = {name: value for name, value in row.items() if name not in own}
    else:
        chosen = {name: row.get(name) for name in settings.extra}
    return canonical_json(chosen) if chosen else ""


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, no NaN (null, as JSON has none), dates as ISO 8601."""
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, decimal.Decimal | datetime.timedelta):
        return str(value)
    return _scalar_text(value) if isinstance(value, str) else value


def _text(value: Any) -> str:
    if value is None or isinstance(value, float | bool | dict | list):
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return _scalar_text(str(value))


def _scalar_text(text: str) -> str:
    """Without lone surrogates, which JSON can hold and no file can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


Fields = dict[str, Any] | None  # of a row; None: broken


def _rows(path: str, settings: TableSource) -> Iterator[Fields]:
    kind = _format(path, settings)
    if kind == "parquet":
        yield from _parquet_rows(path, settings)
        return
    readers: dict[str, Callable[[str, TableSource, io.TextIOBase], Iterator[Fields]]] = {
        "csv": _csv_rows, "tsv": _csv_rows, "jsonl": _json_rows, "txt": _list_rows
    }  # fmt: skip
    with storage.open_for_reading(path) as file:
        try:
            yield from readers[kind](path, settings, _text_file(file))
        except (EOFError, OSError, zlib.error, zstandard.ZstdError) as error:
            raise TableError(f"{path}: the file is broken or cut off ({error}); get it again") from error
        except csv.Error as error:
            raise TableError(f"{path}: {error}; is collect.tables.format right, and every quote closed?") from error


def _format(path: str, settings: TableSource) -> Format:
    kind = settings.format if settings.format != "auto" else _format_by_name(path)
    if kind is None:
        raise TableError(f"{path}: unknown ending; set collect.tables.format to csv, tsv, jsonl, parquet or txt")
    return kind


def _format_by_name(path: str) -> Format | None:
    name = path.lower()
    for ending in _PACKED:
        name = name.removesuffix(ending)
    return _ENDINGS.get(os.path.splitext(name)[1])


def _text_file(file: BinaryIO) -> io.TextIOWrapper:
    """The text of a plain, gzip or zstd file, whatever its name says; UTF-8 unless a byte order mark says UTF-16."""
    plain = io.BufferedReader(_unpacked(file))
    utf16 = plain.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff")
    return io.TextIOWrapper(plain, "utf-16" if utf16 else "utf-8-sig", errors="replace", newline="")


def _unpacked(file: BinaryIO) -> Any:
    start = file.read(4)
    file.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if start == b"\x28\xb5\x2f\xfd":
        return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
    return file


def _csv_rows(path: str, settings: TableSource, text: io.TextIOBase) -> Iterator[Fields]:
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    separator = settings.separator or ("\t" if _format(path, settings) == "tsv" else ",")
    reader = csv.reader(text, delimiter=separator)
    names = settings.columns or [name.strip() for name in next(reader, [])]
    if not names:
        return
    _check_columns(path, settings, names, separator)
    for values in reader:
        if values:  # an empty line is no row
            yield dict(zip(names, values, strict=True)) if len(values) == len(names) else None


def _json_rows(path: str, settings: TableSource, text: io.TextIOBase) -> Iterator[Fields]:
    seen = False
    for line in text:
        if line.strip():
            row = _json_row(line)
            if row is not None and not seen:
                seen = True
                _check_columns(path, settings, list(row), sparse=True)
            yield row


def _json_row(line: str) -> Fields:
    try:
        row = json.loads(line, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _list_rows(path: str, settings: TableSource, text: io.TextIOBase) -> Iterator[Fields]:
    for line in text:
        if line.strip():
            yield {settings.url: line.strip()}


def _parquet_rows(path: str, settings: TableSource) -> Iterator[Fields]:
    with storage.open_for_reading(path) as file:
        try:
            table = pq.ParquetFile(file)
            schema = table.schema_arrow
            _check_columns(path, settings, schema.names)
            for name in _named(settings):
                _check_type(path, name, schema.field(name).type)
            columns = None if settings.extra == "all" else sorted({*_named(settings), *_carried(settings)})
            for batch in table.iter_batches(BATCH_ROWS, columns=columns):
                yield from _plain_times(batch).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise TableError(f"{path}: the Parquet file is broken or cut off ({error}); get it again") from error


def _check_type(path: str, name: str, kind: pa.DataType) -> None:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_binary,
            pa.types.is_large_binary, pa.types.is_null)  # fmt: skip
    if not any(is_text(kind) for is_text in text):
        raise TableError(f'{path}: column "{name}" holds {kind}; expected text')


def _plain_times(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Times as text: Python's own hold no nanoseconds."""
    for index, field in enumerate(batch.schema):
        if pa.types.is_temporal(field.type):
            plain = pa.int64() if pa.types.is_duration(field.type) else pa.string()
            batch = batch.set_column(index, field.name, batch.column(index).cast(plain))
    return batch


def _named(settings: TableSource) -> list[str]:
    return [settings.url] + ([settings.caption] if settings.caption else [])


def _carried(settings: TableSource) -> list[str]:
    names = [] if settings.extra == "all" else settings.extra
    return [*names, *(name for name in (settings.page_url, settings.source_uid) if name)]


def _wanted(settings: TableSource) -> dict[str, str | None]:
    """The columns that have a meaning to us, by their key in the settings."""
    return {key: getattr(settings, key) for key in ("url", "caption", "page_url", "source_uid")}


def _check_columns(
    path: str, settings: TableSource, names: Sequence[str], separator: str = "", sparse: bool = False
) -> None:
    """Raises TableError for a column that is missing or there twice. With `sparse`, only the url must be there."""
    wanted = _wanted(settings)
    required = [settings.url] if sparse else [name for name in wanted.values() if name]
    required += [] if sparse or settings.extra == "all" else settings.extra
    for name in required:
        if name not in names:
            key = next((key for key, value in wanted.items() if value == name), "extra")
            raise TableError(_missing(path, key, name, names, separator))
        if list(names).count(name) > 1:
            raise TableError(f'{path}: there are {list(names).count(name)} columns "{name}"; rename all but one')


def _missing(path: str, key: str, name: str, names: Sequence[str], separator: str) -> str:
    shown = ", ".join(f'"{n}"' for n in names[:20]) + (", ..." if len(names) > 20 else "")
    message = f'{path}: no column "{name}" (collect.tables.{key}); there are {shown}'
    likely = [n for n in names if n.lower() in _SYNONYMS.get(key, ()) or n.lower() == name.lower()]
    if likely:
        return f'{message}. Set collect.tables.{key} to "{likely[0]}"'
    other = next((s for s in "\t;|," if len(names) == 1 and s != separator and s in names[0]), "")
    if separator and other:
        return f"{message}. Set collect.tables.separator to {json.dumps(other)}"
    if separator and any(n.lower().startswith(("http://", "https://")) for n in names):
        return f"{message}. The first line is a row: name the columns in collect.tables.columns"
    return f"{message}. Set collect.tables.{key}" + (" or null, if there is none" if key == "caption" else "")


def _expectation(path: str, settings: TableSource) -> str:
    if _format(path, settings) == "jsonl":
        return "a JSON object a line"
    return "as many values as there are columns"


def count_table_rows(path: str, settings: TableSource) -> int:
    """How many rows a table has: from a Parquet's footer, else by reading it."""
    if _format(path, settings) == "parquet":
        return parquet.count_rows(path)
    return sum(1 for _ in read_table(path, settings))
