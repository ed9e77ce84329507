"""Folders that img2dataset or another tool wrote, read as a source: samples in webdataset tars, failures in tables.

A sample is the members of a tar that share the name up to its first dot. Beside `00000.tar` img2dataset leaves
`00000.parquet`, with a row for every url, the failed ones too; other tools leave none.
"""

import json
import os
import tarfile
from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow.parquet as pq
from pydantic import Field

from filters.rules import operational
from filters.url import uid_of_foreign
from transforms import storage
from transforms.formats.tar import BLOCK_BYTES
from transforms.records import FAILED, SAMPLE, Occurrence, PageSeen, Source, Unit
from transforms.sources.base import CandidateSource, Read, Reading, SourceError, caption_of, files_of, uid_of_url
from transforms.sources.tables import canonical_json

SUCCESS = "success"
# img2dataset's own columns (1.47); whatever else a table has was carried along by its user.
OWN_COLUMNS = frozenset({"url", "caption", "key", "status", "error_message", "width", "height", "original_width",
                         "original_height", "exif", "sha256", "md5", "sha512"})  # fmt: skip
JSON_BYTES = 1 << 20  # more is no sidecar


class AdoptError(SourceError):
    """A folder cannot be adopted; the message names the file and the remedy."""


class AdoptSource(CandidateSource):
    """Source `adopt`: an img2dataset or webdataset folder."""

    folder: str = operational(min_length=1)  # with *.tar, and *.parquet beside them
    name: str = Field("adopted", min_length=1)  # of the data set: part of the identity of samples without url

    def files(self) -> list[str]:
        return files_of("collect.adopt.folder", [storage.join(self.folder, "*.tar")])

    def overview(self) -> dict[str, Any]:
        return {"adopted_files": len(self.files())}

    def read(self, unit: Unit, path: str, reading: Reading) -> Iterator[Read]:
        count = 0
        for count, row in enumerate(adopted_rows(path), 1):
            yield self._occurrence(unit, count - 1, row, reading)
        yield PageSeen(unit.path, "", count, "")

    def _occurrence(self, unit: Unit, number: int, row: "AdoptedRow", reading: Reading) -> Occurrence:
        """Of a url that is there twice, the sample comes before the failure."""
        caption = caption_of(row.caption, "table", "", "", reading.identify)
        foreign = f"{os.path.basename(unit.path)}/{row.key}"
        uid = uid_of_url(row.url) if row.url else uid_of_foreign(self.name, foreign)
        position = f"{row.source.encoding == FAILED:d}:{unit.number:06d}:{number:012d}"
        extra = canonical_json(row.extra) if row.extra else ""
        return Occurrence(uid, row.url, position, row.source, caption, row.key, extra)


class AdoptedRow(NamedTuple):
    """A sample, or a failure."""

    key: str
    url: str  # "" where the folder does not say
    caption: str
    extra: dict[str, Any]
    source: Source


class Sample(NamedTuple):
    """The members of a tar that belong together."""

    key: str
    offset: int  # bytes, of the first member's header
    end: int
    members: dict[str, tuple[int, int]]  # by ending: offset and length of the payload


def adopted_rows(path: str) -> Iterator[AdoptedRow]:
    """The samples of a tar, in its order, then the failures of the table beside it. Raises AdoptError."""
    table = path.removesuffix(".tar") + ".parquet"
    rows = list(_table_rows(table)) if storage.exists(table) else []
    by_key = {row["key"]: row for row in rows if row.get("status") == SUCCESS}
    with storage.open_for_reading(path) as file:
        for sample in samples_of(path, file):
            texts = {e: _text(file, *extent) for e, extent in sample.members.items() if e in ("txt", "json")}
            yield _sample_row(path, sample, by_key.get(sample.key) or _sidecar(texts.get("json", "")), texts)
    for number, row in enumerate(rows):
        if row.get("status", SUCCESS) != SUCCESS:
            yield _row_of(str(row.get("key", number)), row, "", Source(table, number, 1, FAILED))


def samples_of(path: str, file: Any) -> Iterator[Sample]:
    """Raises AdoptError where the tar breaks."""
    found: Sample | None = None
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                key, _, ending = member.name.partition(".")
                end = member.offset_data + -(-member.size // BLOCK_BYTES) * BLOCK_BYTES
                if found is None or found.key != key:
                    if found is not None:
                        yield found
                    found = Sample(key, member.offset, end, {})
                found.members[ending.lower()] = (member.offset_data, member.size)
                found = found._replace(end=end)
    except tarfile.TarError as error:
        raise AdoptError(f"{path}: the tar is broken or cut off ({error}); get it again or take it away") from error
    if found is not None:
        yield found


def _table_rows(path: str) -> Iterator[dict[str, Any]]:
    with storage.open_for_reading(path) as file:
        for batch in pq.ParquetFile(file).iter_batches():
            yield from batch.to_pylist()


def _text(file: Any, offset: int, length: int) -> str:
    file.seek(offset)
    return file.read(min(length, JSON_BYTES)).decode("utf-8", "replace")


def _sidecar(text: str) -> dict[str, Any]:
    try:
        row = json.loads(text) if text else {}
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}


def _sample_row(path: str, sample: Sample, row: dict[str, Any], texts: dict[str, str]) -> AdoptedRow:
    source = Source(path, sample.offset, sample.end - sample.offset, SAMPLE)
    return _row_of(sample.key, row, texts.get("txt", ""), source)


def _row_of(key: str, row: dict[str, Any], text: str, source: Source) -> AdoptedRow:
    extra = {name: value for name, value in row.items() if name not in OWN_COLUMNS}
    caption = row.get("caption") or text
    return AdoptedRow(key, str(row.get("url") or ""), str(caption or ""), extra, source)
