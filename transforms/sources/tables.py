"""Url tables: csv, tsv, jsonl, parquet and plain lists of urls, from any tool. Rows stream; memory stays flat.

A table that cannot be read is refused by `TableSource.check`, before any work. A broken row in a good table is a row
that says what is wrong with it (`Row.broken`), in the first hundred rows as in the rest: the funnel counts it
(`row_broken`). What makes text of values is in `transforms/formats/values.py`, what reads text in
`transforms/sources/text.py`.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, field_validator

from filters.rules import operational
from transforms import storage
from transforms.formats import parquet
from transforms.formats.values import BrokenValue, canonical_json, captions_of, name_of, rows_of, text_of
from transforms.sources.base import CandidateSource, Row, files_of
from transforms.sources.encodings import is_text_encoding
from transforms.sources.text import A_TAR, PACKED_ENDINGS, Fields, TableError, TextStyle, text_note, text_rows

Format = Literal["auto", "csv", "tsv", "jsonl", "parquet", "txt"]

CHECKED_ROWS = 100  # of a table, before any work; a Parquet file says in its footer what it holds
UNREADABLE_ROWS = 10_000  # so many and no good one among them: the settings are wrong, not the rows
BATCH_ROWS = 4_096  # of Parquet; some 2 MB of urls and captions
SHOWN_NOTES = 5  # of files that were not read as their names and settings say
_ENDINGS: dict[str, Format] = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".parquet": "parquet", ".pq": "parquet", ".txt": "txt",
}  # fmt: skip
# What other data sets call the two columns that we need.
_SYNONYMS = {
    "url": ("url", "urls", "image_url", "imageurl", "img_url", "image_src", "img_src", "photo_image_url", "src",
            "image", "link", "image_link", "contenturl", "original_url"),
    "caption": ("caption", "text", "alt", "alt_text", "title", "description", "top_caption", "caption_text",
                "photo_description", "caption_reference_description", "sentence"),
}  # fmt: skip


class TableSource(CandidateSource):
    """Source `tables`: url tables of any tool."""

    paths: list[str] = operational(is_path=True, min_length=1)  # files or globs; ** matches any number of folders
    format: Format = "auto"  # by the ending, which .gz, .bz2, .xz or .zst may follow
    separator: str | None = Field(None, min_length=1, max_length=1)  # of csv and tsv; else a comma, a tab
    # The sign around values that hold separators and line ends. "auto": " in csv and, as tsv is not csv, none in tsv;
    # null: none.
    quote: Literal["auto"] | str | None = Field("auto", pattern="^(auto|.)$")
    # Of text: a name that Python knows, such as windows-1252. "auto": by the byte order mark, else UTF-8, else a guess
    # that is said.
    encoding: str = "auto"
    columns: list[str] | None = None  # their names, for a csv or tsv without a header line
    url: str = "url"  # names of columns
    caption: str | None = "caption"  # None: the table has no captions
    page_url: str | None = None  # of the page that shows the image: its host is asked too
    source_uid: str | None = None  # column with the uid that a foreign table gives its rows
    extra: list[str] | Literal["all"] = Field([])  # columns to carry to the shards

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value != "auto" and not is_text_encoding(value):
            raise ValueError(f"no encoding {value!r} is known; utf-8, windows-1252 and gb18030 are some")
        return value

    def files(self) -> list[str]:
        return files_of("collect.tables.paths", self.paths)

    def check(self) -> None:
        """Every file can be read, and some row of them. Files without rows are fine among others: Spark writes such."""
        files = self.files()
        good, broken = 0, ""
        for path in files:
            for number, row in enumerate(islice(read_table(path, self), UNREADABLE_ROWS), 1):
                good += not row.broken
                broken = broken or (f"{path}: {row.broken}" if row.broken else "")
                if good and number >= CHECKED_ROWS:
                    break
        if not good:
            raise TableError(broken or _nothing_in(files))

    def known_urls(self) -> Iterator[str]:
        return islice(self.urls(), CHECKED_ROWS)

    def urls(self) -> Iterator[str]:
        """One a row: an image with several captions is several."""
        rows = chain.from_iterable(read_table(path, self) for path in self.files())
        return (row.url for row in rows if row.url)

    def notes(self) -> list[str]:
        found = []
        for path in self.files():
            if storage.size_bytes(path) == 0:
                found.append(f"{path}: the file is empty, 0 bytes")
            elif _format(path, self) != "parquet" and (words := text_note(path, self.encoding)):
                found.append(f"{path}: {words}")
        rest = len(found) - SHOWN_NOTES
        return [*found[:SHOWN_NOTES], f"collect.tables.paths: so it is with {rest:,} more"] if rest > 0 else found

    def overview(self) -> dict[str, Any]:
        self.check()
        files = self.files()
        return {"table_files": len(files), "table_rows": sum(count_table_rows(path, self) for path in files)}

    def rows(self, path: str) -> Iterator[Row]:
        return read_table(path, self)


def _nothing_in(files: Sequence[str]) -> str:
    if len(files) > 1:
        return f"collect.tables.paths: none of the {len(files):,} tables has a row, such as {files[0]}"
    if storage.size_bytes(files[0]) == 0:
        return f"{files[0]}: the table has no rows: 0 bytes, it is broken or cut off; get it again"
    return f"{files[0]}: the table has no rows; leave it out of collect.tables.paths"


def read_table(path: str, settings: TableSource) -> Iterator[Row]:
    """The rows of a table, in order, one a caption; broken ones say so. Raises TableError where the file breaks."""
    for number, fields in enumerate(_rows(path, settings), 1):
        yield from _table_rows(number, fields, settings)


def _table_rows(number: int, fields: Fields, settings: TableSource) -> list[Row]:
    if isinstance(fields, BrokenValue):
        return [Row("", "", broken=f"row {number} is broken: {fields}")]
    url = ""
    try:
        url = _value(fields, settings.url, _url_of)
        page_url = _value(fields, settings.page_url, _url_of)
        source_uid = _value(fields, settings.source_uid, name_of)
        captions = _value(fields, settings.caption, captions_of) or [""]
        extra = _extra(fields, settings)
    except BrokenValue as error:
        return [Row(url, "", broken=f"row {number} is broken: {error}")]
    return [Row(url, caption, page_url, source_uid, extra) for caption in captions]


def _value(fields: dict[str, Any], name: str | None, read: Any) -> Any:
    """The value of a column, "" where no column is named. Raises BrokenValue that names the column."""
    if name is None:
        return ""
    try:
        return read(fields.get(name))
    except BrokenValue as error:
        raise BrokenValue(f'"{name}" holds {error}') from error


def _url_of(value: Any) -> str:
    url = text_of(value).strip()
    if "\ufffd" in url:
        raise BrokenValue(f"bytes that are none in the encoding of the file: {url[:200]}")
    return url


def _extra(row: dict[str, Any], settings: TableSource) -> str:
    if settings.extra == "all":
        own = set(_wanted(settings).values())
        names = [name for name in row if name not in own]
    else:
        names = settings.extra
    chosen = {name: row.get(name) for name in names}
    try:
        return canonical_json(chosen) if chosen else ""
    except BrokenValue:
        for name in chosen:
            _value(row, name, canonical_json)  # names the column
        raise


def _rows(path: str, settings: TableSource) -> Iterator[Fields]:
    kind = _format(path, settings)
    if kind == "parquet":
        return _parquet_rows(path, settings)
    separator = settings.separator or ("\t" if kind == "tsv" else ",")
    quote = ('"' if kind == "csv" else None) if settings.quote == "auto" else settings.quote
    style = TextStyle(separator, quote, settings.columns, settings.encoding, settings.url)
    is_json = kind == "jsonl"

    def check(names: Sequence[str]) -> None:
        _check_columns(path, settings, names, "" if is_json else separator, sparse=is_json)

    return text_rows(path, kind, style, check)


def _format(path: str, settings: TableSource) -> Any:
    kind = settings.format if settings.format != "auto" else _format_by_name(path)
    if kind is None and re.search(r"\.(tgz|tar(\.\w+)?)$", path.lower()):
        raise TableError(f"{path}: this is {A_TAR}")
    if kind is None:
        raise TableError(f"{path}: unknown ending; set collect.tables.format to csv, tsv, jsonl, parquet or txt")
    return kind


def _format_by_name(path: str) -> Format | None:
    name = path.lower()
    for ending in PACKED_ENDINGS:
        name = name.removesuffix(ending)
    return _ENDINGS.get(os.path.splitext(name)[1])


def _parquet_rows(path: str, settings: TableSource) -> Iterator[Fields]:
    if storage.size_bytes(path) == 0:
        return  # what an interrupted writer leaves; `notes` says so
    with storage.open_for_reading(path) as file:
        try:
            table = pq.ParquetFile(file)
            if table.metadata.num_rows == 0:
                return
            schema = table.schema_arrow
            _check_columns(path, settings, schema.names)
            for name in _named(settings):
                _check_type(path, name, schema.field(name).type, may_be_list=name == settings.caption)
            columns = None if settings.extra == "all" else sorted({*_named(settings), *_carried(settings)})
            for batch in table.iter_batches(BATCH_ROWS, columns=columns):
                yield from rows_of(batch)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise TableError(f"{path}: the Parquet file is broken or cut off ({error}); get it again") from error


def _check_type(path: str, name: str, kind: pa.DataType, may_be_list: bool) -> None:
    """Raises TableError for a column that holds no text in any row."""
    types = pa.types
    plain = kind
    if types.is_dictionary(plain):
        plain = plain.value_type
    if may_be_list and (types.is_list(plain) or types.is_large_list(plain) or types.is_fixed_size_list(plain)):
        plain = plain.value_type
    text = (types.is_string, types.is_large_string, types.is_string_view, types.is_binary, types.is_large_binary,
            types.is_binary_view, types.is_null)  # fmt: skip
    if not any(is_text(plain) for is_text in text):
        raise TableError(f'{path}: column "{name}" holds {kind}; expected text')


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
    for name in names if settings.extra == "all" else required:
        numbers = [str(number) for number, other in enumerate(names, 1) if other == name]
        if len(numbers) > 1:
            raise TableError(f'{path}: there are {len(numbers)} columns "{name}", number {" and ".join(numbers)}; '
                             "rename all but one, or name the columns to keep in collect.tables.extra")  # fmt: skip


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


def count_table_rows(path: str, settings: TableSource) -> int:
    """How many rows a table has: from a Parquet's footer, else by reading it."""
    if _format(path, settings) == "parquet":
        return parquet.count_rows(path)
    return sum(1 for _ in read_table(path, settings))
