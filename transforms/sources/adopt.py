"""Folders that img2dataset or another tool wrote, read as a source: samples in webdataset tars, failures in tables.

A sample is the members of a tar that share a key (`transforms/formats/webdataset.py`), side by side or apart. Beside
`00000.tar` img2dataset leaves `00000.parquet`, with a row for every url, the failed ones too; other tools leave none. A
row that cannot be used is counted (`row_broken`), and so is damage in a tar, by the byte.
"""

import os
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, ClassVar, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from filters.reasons import Reason
from filters.rules import operational
from filters.url import uid_of_foreign
from transforms import storage
from transforms.formats.tar import Gap, Member, is_tar, read_tar
from transforms.formats.values import BrokenValue, canonical_json, captions_of, name_of, parse_json, rows_of, text_of
from transforms.formats.webdataset import image_ending, is_foreign, sample_name, side_ending
from transforms.records import FAILED, SAMPLE, Occurrence, PageSeen, Reject, Source, Unit
from transforms.sources.base import (
    CandidateSource,
    Read,
    Reading,
    SourceError,
    broken_row,
    caption_of,
    files_of,
    uid_of_url,  # fmt: skip
)

SUCCESS = "success"
# img2dataset's own columns (1.47); whatever else a table has was carried along by its user.
OWN_COLUMNS = frozenset({"url", "caption", "key", "status", "error_message", "width", "height", "original_width",
                         "original_height", "exif", "sha256", "md5", "sha512"})  # fmt: skip
NO_ENDING = ""  # of a file that is no member of a sample, such as README: it is counted
TEXT_BYTES = 1 << 20  # of a caption or a sidecar; more is none
PACKED = (".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz")
_PACKED_MAGIC = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ\0")
_UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)


class AdoptError(SourceError):
    """A folder cannot be adopted; the message names the file and the remedy."""


class AdoptSource(CandidateSource):
    """Source `adopt`: an img2dataset or webdataset folder."""

    is_archive: ClassVar[bool] = True

    folder: str = operational(is_path=True, min_length=1)  # with *.tar, and *.parquet beside them
    name: str = Field("adopted", min_length=1)  # of the data set: part of the identity of samples without url

    def files(self) -> list[str]:
        packed = [name for name in storage.list_names(self.folder) if name.lower().endswith(PACKED)]
        if packed:
            raise AdoptError(_packed_words(storage.join(self.folder, packed[0])))
        return files_of("collect.adopt.folder", [storage.join(self.folder, "*.tar")])

    def beside(self) -> list[str]:
        return [table for path in self.files() if storage.exists(table := table_beside(path))]

    def check(self) -> None:
        for path in self.files():
            with storage.open_for_reading(path) as file:
                if file.read(6).startswith(_PACKED_MAGIC):
                    raise AdoptError(_packed_words(path))
                if not is_tar(file):
                    raise AdoptError(f"{path}: no tar, or it is broken or cut off; get it again or take it away")

    def notes(self) -> list[str]:
        """Tables that are no help: the tar alone is adopted, without the failures that only they know."""
        found = []
        for path in self.files():
            if storage.size_bytes(path) == 0:
                found.append(f"{path}: the file is empty, 0 bytes")
            table = table_beside(path)
            if storage.exists(table) and (words := _unreadable(table)):
                found.append(f"{table}: the table cannot be read ({words}): the tar alone is adopted")
        return found

    def overview(self) -> dict[str, Any]:
        return {"adopted_files": len(self.files())}

    def read(self, unit: Unit, path: str, reading: Reading) -> Iterator[Read]:
        count = 0
        for row in adopted_rows(path):
            if isinstance(row, PageSeen):
                yield row._replace(source=row.source or unit.path)
                continue
            for caption in row.captions:
                yield self._occurrence(unit, count, row, caption, reading)
                count += 1
        yield PageSeen(unit.path, "", count, "")

    def _occurrence(
        self, unit: Unit, number: int, row: "AdoptedRow", text: str, reading: Reading
    ) -> Occurrence | Reject:
        """Of a url that is there twice, the sample comes before the failure."""
        if row.broken:
            return broken_row(row.url, "", row.broken)
        caption = caption_of(text, "table", "", "", reading.identify)
        foreign = f"{os.path.basename(unit.path)}/{row.identity}"
        uid = uid_of_url(row.url) if row.url else uid_of_foreign(self.name, foreign)
        position = f"{row.source.encoding == FAILED:d}:{unit.number:06d}:{number:012d}"
        return Occurrence(uid, row.url, position, row.source, caption, row.key, row.extra)


def _packed_words(path: str) -> str:
    return f"{path}: a compressed tar, whose samples cannot be read one by one; decompress it first (gunzip, unzstd)"


def table_beside(path: str) -> str:
    return path.removesuffix(".tar") + ".parquet"


def _unreadable(path: str) -> str:
    """Why a table has no footer that can be read; "" where it has one."""
    with storage.open_for_reading(path) as file:
        try:
            pq.ParquetFile(file)
        except _UNREADABLE as error:
            return str(error)
    return ""


class AdoptedRow(NamedTuple):
    """A sample, or a failure."""

    key: str
    identity: str  # the key, told apart from an equal one in the same tar
    url: str  # "" where the folder does not say
    captions: list[str]  # at least one, [""] where there is none
    extra: str  # canonical JSON, or ""
    source: Source
    broken: str = ""  # what is wrong with it


class Sample(NamedTuple):
    """The members of a tar that belong together."""

    key: str
    number: int  # among the samples of this key in the tar, from 1
    members: dict[str, Member]  # by ending

    def source(self, path: str, is_together: bool) -> Source:
        """The range of all its members, or of its image alone where members of others lie between them."""
        members = list(self.members.values())
        image = image_ending(self.members)
        if not is_together:
            members = [self.members[image] if image is not None else members[0]]
        return Source(path, members[0].offset, members[-1].end - members[0].offset, SAMPLE)


def adopted_rows(path: str) -> Iterator[AdoptedRow | PageSeen]:
    """The samples of a tar, in its order, then the rows of the table beside it that the tar does not hold: failures.

    A PageSeen is damage, of the tar or of the table. Raises StorageError.
    """
    table = table_beside(path)
    rows, words = _table_rows(table) if storage.exists(table) else ([], "")
    if words:
        yield PageSeen(table, "", 0, str(Reason.ARCHIVE_BROKEN), 0, 1)
    by_key: dict[str, int] = {}
    for number, row in enumerate(rows):
        if row.get("status", SUCCESS) == SUCCESS:
            by_key.setdefault(_key_of(row, ""), number)
    used = set()
    with storage.open_for_reading(path) as file:
        samples, gaps = grouped(read_tar(file))
        yield from (PageSeen("", "", 0, str(Reason.ARCHIVE_BROKEN), gap.end - gap.begin, gap.members) for gap in gaps)
        for sample, is_together in samples:
            index = by_key.get(sample.key, by_key.get(sample.key.lstrip("0") or "0", -1))
            used.add(index)
            yield _sample_row(path, file, sample, is_together, rows[index] if index >= 0 else None)
    for number, row in enumerate(rows):
        if "status" in row and number not in used:
            yield _row_of(_key_of(row, str(number)), row, "", Source(table, number, 1, FAILED))


def _key_of(row: dict[str, Any], default: str) -> str:
    try:
        return name_of(row.get("key")) or default
    except BrokenValue:
        return default


def grouped(members: Iterable[Member | Gap]) -> tuple[list[tuple[Sample, bool]], list[Gap]]:
    """The samples of a tar in the order in which they begin, each with whether its members lie together; the gaps.

    A member whose ending its sample already has begins another one under the same key, as in tars that were joined.
    """
    samples: dict[str, Sample] = {}
    order: list[Sample] = []
    apart: set[int] = set()  # of samples by their index
    index: dict[str, int] = {}
    gaps: list[Gap] = []
    last = ""
    for member in members:
        if isinstance(member, Gap):
            gaps.append(member)
            continue
        if is_foreign(member.name):
            continue
        key, ending = sample_name(member.name) or (member.name, NO_ENDING)
        known = samples.get(key)
        if known is None or ending in known.members:
            samples[key] = Sample(key, 1 if known is None else known.number + 1, {})
            index[key] = len(order)
            order.append(samples[key])
        elif last != key:
            apart.add(index[key])
        samples[key].members[ending] = member
        last = key
    return [(sample, number not in apart) for number, sample in enumerate(order)], gaps


def _table_rows(path: str) -> tuple[list[dict[str, Any]], str]:
    """The rows of a table, as many as can be read; why the others cannot, or ""."""
    rows: list[dict[str, Any]] = []
    with storage.open_for_reading(path) as file:
        try:
            for batch in pq.ParquetFile(file).iter_batches():
                rows += rows_of(batch)
        except _UNREADABLE as error:
            return rows, str(error)
    return rows, ""


def _sample_row(path: str, file: BinaryIO, sample: Sample, is_together: bool, row: dict[str, Any] | None) -> AdoptedRow:
    source = sample.source(path, is_together)
    if NO_ENDING in sample.members:
        words = f"{sample.key} has no ending: it belongs to no sample"
        return AdoptedRow(sample.key, sample.key, "", [""], "", source, words)
    identity = sample.key if sample.number == 1 else f"{sample.key}#{sample.number}"
    sides = [side_ending(sample.members, kind) for kind in ("json", "txt")]
    try:
        sidecar, text = (_text(file, sample.members[ending]) if ending else "" for ending in sides)
        found = row if row is not None else _sidecar(sidecar)
    except BrokenValue as error:
        return AdoptedRow(sample.key, identity, "", [""], "", source, f"sample {sample.key} is broken: {error}")
    return _row_of(sample.key, found, text, source)._replace(identity=identity)


def _text(file: BinaryIO, member: Member) -> str:
    """The text of a member. Bytes that are no UTF-8 become U+FFFD: a rule knows them. Raises BrokenValue."""
    if member.size > TEXT_BYTES:
        raise BrokenValue(f"{member.name} has {member.size:,} bytes, more than any text")
    file.seek(member.data)
    return file.read(member.size).decode("utf-8-sig", "replace")


def _sidecar(text: str) -> dict[str, Any]:
    """The sidecar as a row; one that is no object is carried along as it is. Raises BrokenValue."""
    value = parse_json(text) if text.strip() else {}
    return value if isinstance(value, dict) else {"json": value}


def _row_of(key: str, row: dict[str, Any], text: str, source: Source) -> AdoptedRow:
    url = ""
    try:
        url = text_of(row.get("url")).strip()
        captions = captions_of(row.get("caption"))
        if captions == [""]:
            captions = [text]
        extra = {name: value for name, value in row.items() if name not in OWN_COLUMNS}
        return AdoptedRow(key, key, url, captions, canonical_json(extra) if extra else "", source)
    except BrokenValue as error:
        return AdoptedRow(key, key, url, [""], "", source, f"sample {key} is broken: {error}")
