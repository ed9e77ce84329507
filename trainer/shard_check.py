"""One shard against itself: the tar's samples against the rows of the Parquet beside it. Needs no torch.

Memory is bounded by one sample, one batch of rows and the keys of the shard.
"""

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from trainer.data import CODE_EXTENSIONS, IMAGE_EXTENSIONS, decode, read_bytes
from trainer.errors import ShardError
from trainer.tar import BLOCK_BYTES, Member, TarError, end_of, read_members, split_name

KEY_DIGITS = frozenset("0123456789abcdef")
ROWS_AT_ONCE = 256
MAX_MEMBER_BYTES = 1 << 30
ROW_COLUMNS = ("key", "url", "caption", "status", "width", "height", "sha256")  # img2dataset's and ours
OWN_COLUMNS = (*ROW_COLUMNS, "uid", "text", "captions", "language", "similarity", "image_sha256", "caption_sha256",
               "source_uid", "extra", "original_width", "original_height", "error_message", "exif")  # fmt: skip
Row = dict[str, Any]
FORMAT_OF = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "webp": "WEBP"}


class Finding(NamedTuple):
    """Something unsound. `key` is empty where it is no single sample."""

    shard: str
    key: str
    what: str


class Group(NamedTuple):
    """The members of a tar that share a key."""

    key: str
    members: dict[str, Member]  # by extension
    repeated: list[str]  # names that occur twice


class ShardCheck:
    """Checks `<stem>.tar` and `<stem>.parquet`. `strict`: the shard is Pairmill's, not just any webdataset."""

    def __init__(self, folder: str, stem: str, strict: bool) -> None:
        self.folder, self.stem, self.strict = Path(folder), stem, strict
        self.tar = str(self.folder / f"{stem}.tar")
        self.shard = f"{stem}.tar"
        self.findings: list[Finding] = []
        self.keys: list[str] = []
        self.entries: list[tuple[int, int]] = []  # of subset.npy
        self._columns: frozenset[str] = frozenset()  # of the Parquet
        self._row_keys: dict[str, int] = {}  # key to place
        self._has_rows = False
        self._seen: set[str] = set()  # keys of the samples so far
        self._complete = True  # whether the last sample had an image, a text and a row

    def run(self) -> "ShardCheck":
        rows = self._open_rows()
        try:
            self._compare(rows)
        except TarError as error:
            self._tar_is_broken(error)
        except (OSError, pa.ArrowException) as error:
            self.find("", f"cannot be read: {error}")
        return self

    def find(self, key: str, what: str, shard: str = "") -> None:
        self.findings.append(Finding(shard or self.shard, key, what))

    def _open_rows(self) -> Iterator[Row]:
        path = self.folder / f"{self.stem}.parquet"
        if not path.is_file():
            if self.strict:
                self.find("", f"no {path.name} beside it")
            return iter(())
        try:
            file = pq.ParquetFile(pa.OSFile(str(path)))  # of a path with a colon pyarrow would make a url
            self._columns = frozenset(file.schema_arrow.names)
            self._check_columns(path.name)
            self._note_keys(file)
        except (OSError, pa.ArrowException) as error:
            self.find("", f"cannot be read as Parquet: {error}", path.name)
            return iter(())
        return self._rows(file)

    def _check_columns(self, name: str) -> None:
        missing = [c for c in (OWN_COLUMNS if self.strict else ("key",)) if c not in self._columns]
        if missing:
            self.find("", f"no column {', '.join(missing)}", name)

    def _note_keys(self, file: pq.ParquetFile) -> None:
        if "key" not in self._columns:
            return
        self._has_rows = True
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=["key"]):
            for key in batch.column(0).to_pylist():
                if str(key) in self._row_keys:
                    self.find(str(key), "two rows", f"{self.stem}.parquet")
                self._row_keys[str(key)] = len(self._row_keys)

    def _rows(self, file: pq.ParquetFile) -> Iterator[Row]:
        for batch in file.iter_batches(ROWS_AT_ONCE):
            yield from batch.to_pylist()

    def _compare(self, rows: Iterator[Row]) -> None:
        """Walk tar and rows together. Rows that are passed over wait in `left` in case their sample comes later."""
        left: dict[str, Row] = {}
        for group in groups_in(self.tar):
            row = self._row_for(group.key, rows, left)
            self._check_sample(group, row)
        self._check_end()
        for row in [*left.values(), *rows]:
            if self.strict or row.get("status", "success") == "success":
                self.find(str(row.get("key")), "row without a sample in the tar", f"{self.stem}.parquet")

    def _row_for(self, key: str, rows: Iterator[Row], left: dict[str, Row]) -> Row | None:
        if not self._has_rows:
            return None
        if key in self._seen:
            return None  # reported by KeyCheck
        self._seen.add(key)
        if key not in self._row_keys:
            self.find(key, f"sample without a row in {self.stem}.parquet")
            return None
        if key in left:
            self.find(key, "sample and row stand at different places")
            return left.pop(key)
        for row in rows:
            if str(row["key"]) == key:
                return row
            left[str(row["key"])] = row
        return None

    def _tar_is_broken(self, error: TarError) -> None:
        """Name the sample in which the tar breaks: the last one where it lacks a member, else the next row's."""
        expected = list(self._row_keys)[len(self.keys) : len(self.keys) + 1]
        key = expected[0] if expected and self._complete else (self.keys[-1] if self.keys else "")
        self.find(key, f"{error.what} at byte {error.offset}")

    def _check_end(self) -> None:
        for what in end_of(self.tar):
            self.find(self.keys[-1] if self.keys else "", what)

    def _check_sample(self, group: Group, row: Row | None) -> None:
        self.keys.append(group.key)
        self._complete = {"txt", "json"} <= group.members.keys() and len(group.members) > 2
        self._check_key(group)
        image = self._check_image(group, row)
        text = self._check_text(group, row)
        self._check_json(group, row, text)
        if row is not None and self.strict:
            self._check_row(group.key, row, image)

    def _check_key(self, group: Group) -> None:
        if self.strict and not (len(group.key) == 32 and KEY_DIGITS.issuperset(group.key)):
            self.find(group.key[:80], "key is not 32 hexadecimal digits")
        for name in group.repeated:
            self.find(group.key, f"member {name} stands there twice")
        for extension in group.members:
            if extension.rsplit(".", 1)[-1] in CODE_EXTENSIONS:
                self.find(group.key, f"member .{extension} is of a kind that runs code when it is loaded")
            elif self.strict and extension not in (*IMAGE_EXTENSIONS, "txt", "json"):
                self.find(group.key, f"member .{extension} does not belong here")

    def _payload(self, group: Group, extension: str) -> bytes | None:
        member = group.members.get(extension)
        if member is None:
            self.find(group.key, f"no .{extension} member")
            return None
        if member.size > MAX_MEMBER_BYTES:
            self.find(group.key, f".{extension} has {member.size} bytes")
            return None
        data, padding = read_bytes(self.tar, member), padding_of(self.tar, member)
        if self.strict and padding.strip(b"\0"):
            self.find(group.key, f"the padding behind .{extension} is not empty")
        return data

    def _check_image(self, group: Group, row: Row | None) -> bytes | None:
        names = [e for e in IMAGE_EXTENSIONS if e in group.members]
        if len(names) != 1:
            self.find(group.key, f"{len(names)} image members, expected one")
        if not names or (data := self._payload(group, names[0])) is None:
            return None
        if row is not None and row.get("image_sha256") not in (None, hashlib.sha256(data).hexdigest()):
            self.find(group.key, "image bytes differ from image_sha256")
        self._check_pixels(group.key, names[0], data, row)
        return data

    def _check_pixels(self, key: str, extension: str, data: bytes, row: Row | None) -> None:
        try:
            image = decode(data)
        except ShardError as error:
            self.find(key, str(error))
            return
        if format_of(data) != FORMAT_OF[extension]:
            self.find(key, f"a {format_of(data)} image is named .{extension}")
        stated = (row.get("width"), row.get("height")) if row is not None else (None, None)
        if None not in stated and stated != image.size:
            self.find(key, f"image is {image.width} x {image.height}, its row says {stated[0]} x {stated[1]}")

    def _check_text(self, group: Group, row: Row | None) -> str | None:
        data = self._payload(group, "txt")
        if data is None:
            return None
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            self.find(group.key, f".txt is no UTF-8: {error.reason} at byte {error.start}")
            return None
        if row is not None:
            self._check_caption(group.key, data, text, row)
        return text

    def _check_caption(self, key: str, data: bytes, text: str, row: Row) -> None:
        if row.get("caption_sha256") not in (None, hashlib.sha256(data).hexdigest()):
            self.find(key, ".txt differs from caption_sha256")
        if "caption" in self._columns and text != (row["caption"] or ""):
            self.find(key, ".txt differs from the row's caption")
        if self.strict and row.get("text") != row.get("caption"):
            self.find(key, "the row's text and caption differ")

    def _check_json(self, group: Group, row: Row | None, text: str | None) -> None:
        if "json" not in group.members and not self.strict:
            return
        data = self._payload(group, "json")
        if data is None:
            return
        try:
            sidecar = json.loads(data)
        except (ValueError, RecursionError) as error:
            self.find(group.key, f".json is no JSON: {error}")
            return
        if not isinstance(sidecar, dict):
            self.find(group.key, ".json is no object")
        elif row is not None:
            self._compare_json(group.key, sidecar, row)
        elif text is not None and sidecar.get("caption", text) not in (text, None):
            self.find(group.key, ".json has another caption than .txt")

    def _compare_json(self, key: str, sidecar: Row, row: Row) -> None:
        names = self._columns if self.strict else self._columns.intersection(ROW_COLUMNS)
        for name in sorted(names):
            if name not in sidecar:
                if self.strict:
                    self.find(key, f".json has no {name}")
            elif not same(sidecar[name], row[name]):
                self.find(key, f".json differs from the row in {name}")
        extra = extra_of(row) if self.strict else None
        if extra is None:
            return
        wanted = {k: v for k, v in extra.items() if k not in self._columns}
        for name in sorted({*sidecar, *wanted} - self._columns):
            if name not in sidecar or name not in wanted or not same(sidecar[name], wanted[name]):
                self.find(key, f".json differs from the row's extra in {name}")

    def _check_row(self, key: str, row: Row, image: bytes | None) -> None:
        if row.get("status") != "success":
            self.find(key, f"status is {row.get('status')!r}, expected 'success'")
        if row.get("uid") != key:
            self.find(key, f"uid is {row.get('uid')!r}")
        captions = row.get("captions") or []
        if not captions or captions[0].get("text") != row.get("caption"):
            self.find(key, "caption is not the first of captions")
        for name in ("sha256", "image_sha256", "caption_sha256"):
            if not is_hex(row.get(name), 64):
                self.find(key, f"{name} is no SHA-256 in hexadecimal digits")
        if extra_of(row) is None:
            self.find(key, "extra is no JSON object")
        self._note_entry(row)

    def _note_entry(self, row: Row) -> None:
        entry = subset_entry(row.get("uid"), row.get("source_uid"))
        if entry is not None:
            self.entries.append(entry)


def groups_in(tar: str) -> Iterator[Group]:
    """The tar's samples, as webdataset would group them. Raises TarError, after the last sample that could be read."""
    group: Group | None = None
    try:
        for key, extension, member in _named(tar):
            if group is None or group.key != key:
                if group is not None:
                    yield group
                group = Group(key, {}, [])
            if extension in group.members:
                group.repeated.append(member.name)
            group.members[extension] = member
    except TarError:
        if group is not None:
            yield group
        raise
    if group is not None:
        yield group


def _named(tar: str) -> Iterator[tuple[str, str, Member]]:
    for member in read_members(tar):
        split = split_name(member.name)
        if split is None:
            raise TarError(tar, member.offset - BLOCK_BYTES, f"member {member.name[:80]!r} has no key and extension")
        yield (*split, member)


def padding_of(tar: str, member: Member) -> bytes:
    """What fills the last block behind a payload."""
    end = member.offset + member.size
    with open(tar, "rb") as file:
        file.seek(end)
        return file.read(-end % BLOCK_BYTES)


def format_of(data: bytes) -> str:
    """JPEG, PNG, WEBP or "" by the first bytes."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    return "WEBP" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""


def same(sidecar: Any, value: Any) -> bool:
    """Whether a value of the .json is the row's: numbers by value, NaN as null, bytes as hex."""
    if isinstance(value, bytes):
        value = value.hex()
    if isinstance(value, float) and math.isnan(value):
        value = None
    if isinstance(sidecar, float) and math.isnan(sidecar):
        sidecar = None
    if isinstance(value, dict) and isinstance(sidecar, dict):
        return value.keys() == sidecar.keys() and all(same(sidecar[k], v) for k, v in value.items())
    if isinstance(value, list) and isinstance(sidecar, list):
        return len(value) == len(sidecar) and all(same(a, b) for a, b in zip(sidecar, value, strict=True))
    return sidecar == value and isinstance(sidecar, bool) == isinstance(value, bool)


def extra_of(row: Row) -> Row | None:
    """The user's own columns; None where `extra` is broken."""
    if not row.get("extra"):
        return {}
    try:
        extra = json.loads(row["extra"])
    except (ValueError, RecursionError):
        return None
    return extra if isinstance(extra, dict) else None


def is_hex(value: Any, digits: int) -> bool:
    return isinstance(value, str) and len(value) == digits and KEY_DIGITS.issuperset(value)


def subset_entry(uid: Any, source_uid: Any) -> tuple[int, int] | None:
    """DataComp's two halves of a sample's foreign uid, where it has one of that form, else of its uid."""
    chosen = source_uid if is_hex(source_uid, 32) else uid
    return (int(chosen[:16], 16), int(chosen[16:], 16)) if is_hex(chosen, 32) else None
