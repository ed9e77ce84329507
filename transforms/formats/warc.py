"""WARC files (ISO 28500): reads those of every tool, reads one record by its range, writes ours.

Files that end early are read up to the break, damaged ones behind it too; each break is an entry with what was lost.
"""

import base64
import binascii
import gzip
import hashlib
import io
import re
import uuid
import zlib
from collections.abc import Generator, Iterable, Iterator
from datetime import UTC, datetime
from typing import BinaryIO, NamedTuple

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from filters.reasons import Drop, Reason
from transforms import storage
from transforms.formats.content_coding import Decoded, decode_content, unchunk
from transforms.formats.http_headers import WHOLE_ANSWERS, Headers, first, joined, parse_fields
from transforms.formats.warc_by_hand import PlainRecord, needs_reading_by_hand, records_by_hand
from transforms.formats.warc_damage import Gap, gap_behind, reaches_into_the_next, stray_bytes

MAX_BODY_BYTES = 64 << 20  # of one page or image, as stored and as decoded; Common Crawl cuts at 1 MiB
HTML_TYPES = ("text/html", "application/xhtml+xml")
REDIRECTS = (301, 302, 303, 307, 308)
_STEP_BYTES = 1 << 20
_ENDS_INSIDE = "the file ends inside a record; what comes before is read"
_ZSTD_DICTIONARY = b"\x5d\x2a\x4d\x18"  # such a file starts with the dictionary of all its records
_GZIP = b"\x1f\x8b"
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_KINDS = {"response": WarcRecordType.response, "resource": WarcRecordType.resource}
# The beginning of another record, perhaps cut off where the block ends.
_FOREIGN = re.compile(rb"\n\r?\nWARC/1\.\d\r?\n|\n\r?\nW(?:A(?:R(?:C(?:/(?:1(?:\.(?:\d\r?)?)?)?)?)?)?)?\Z")
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})")
_HTML_START = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)", re.I | re.S
)
_IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM")


class WarcEntry(NamedTuple):
    """Something in a WARC file that `collect` can use, or a break in it."""

    kind: str  # page | image | redirect | problem
    url: str  # "" for a break of the file itself
    content_type: str = ""
    headers: Headers = ()  # of the HTTP answer
    body: bytes = b""  # of a page: decoded, and cut at the cap
    offset: int = 0  # bytes; of the record, or of its gzip member, in the file
    length: int = 0  # bytes; 0 where the record has no range of its own
    location: str = ""  # of a redirect, as written
    reason: Reason | None = None  # of a problem
    detail: str = ""
    members: int = 0  # of a break: records that were lost with it


class HttpAnswer(NamedTuple):
    """A stored answer. The body is as stored: chunked and compressed, where the archive kept it so."""

    status: int
    headers: Headers
    body: bytes


def read_warc(path: str, max_body_bytes: int = MAX_BODY_BYTES) -> Iterator[WarcEntry]:
    """Pages, images and redirects of a WARC file (plain, .gz or .zst), in its order; of an ARC file those with a range
    of their own are none, so that its images are problems. Raises StorageError.

    Behind damage reading goes on at the next record that can be read; what was lost is an entry with its range.
    """
    with storage.open_for_reading(path) as file:
        size = file.seek(0, io.SEEK_END)
        if needs_reading_by_hand(file):
            yield from _by_hand(file, size, max_body_bytes)
            return
        file.seek(0)
        ranged = file.read(4) != _ZSTD_DICTIONARY
        begin = 0
        while begin < size:
            begin = yield from _stretch(file, begin, size, ranged, max_body_bytes)


def _by_hand(file: BinaryIO, size: int, max_body_bytes: int) -> Iterator[WarcEntry]:
    for record in records_by_hand(file, max_body_bytes):
        found = record if isinstance(record, Drop) else _entry(record, max_body_bytes)
        if isinstance(found, Drop):
            yield _problem(found)._replace(members=1)
        else:
            yield from _Waiting(0, found).entry(-1, size, ranged=False)


def _stretch(
    file: BinaryIO, begin: int, size: int, ranged: bool, max_body_bytes: int
) -> Generator[WarcEntry, None, int]:
    """The entries from `begin` to the next break, and the break; returns where reading goes on."""
    file.seek(begin)
    before, waiting, drop = -1, _Waiting(-1, None), None
    for found in _records(file, max_body_bytes):
        if isinstance(found, Drop):
            drop = found
            break
        if waiting.is_suspect and reaches_into_the_next(file, waiting.offset, waiting.content_length):
            return (yield from _skip(waiting.offset, file, size))
        stray = stray_bytes(file, waiting.offset, waiting.end, found.offset)
        yield from waiting.entry(before, stray or found.offset, ranged)
        if stray is not None:
            text = "bytes between two records that are no record"
            yield WarcEntry("problem", "", reason=Reason.ARCHIVE_BROKEN, detail=text, offset=stray,
                            length=found.offset - stray, members=1)  # fmt: skip
        before, waiting = waiting.offset, found
    if waiting.is_suspect and reaches_into_the_next(file, waiting.offset, waiting.content_length):
        return (yield from _skip(waiting.offset, file, size))
    # A file whose dictionary is at its beginning can only be read from there.
    gap = gap_behind(file, waiting.offset, begin, size) if ranged else Gap(max(waiting.offset, begin), size, 1)
    if drop is None and gap.end == size:  # nothing more can be read, or nothing more is there
        yield from waiting.entry(before, size, ranged)
        for problem in _missing_end(file, waiting.offset, size):
            yield problem._replace(offset=gap.begin, length=size - gap.begin, members=gap.members)
        return size
    yield from waiting.entry(before, gap.begin, ranged)  # without a range where its own end is damaged
    drop = drop or Drop(Reason.ARCHIVE_BROKEN, detail="no record begins here")
    yield _problem(drop)._replace(offset=gap.begin, length=gap.end - gap.begin, members=gap.members)
    return gap.end


def _skip(offset: int, file: BinaryIO, size: int) -> Generator[WarcEntry, None, int]:
    """A record whose Content-Length reaches into the next one: nobody knows where it ends."""
    gap = gap_behind(file, -1, offset + 1, size)
    drop = Drop(Reason.ARCHIVE_BROKEN, detail="the record's Content-Length reaches into the next record")
    yield _problem(drop)._replace(offset=offset, length=gap.end - offset, members=gap.members)
    return gap.end


class _Waiting(NamedTuple):
    """A record whose length is known once the next one begins."""

    offset: int
    found: WarcEntry | None
    end: int = -1  # offset of its block's end in an uncompressed file, as its fields say it; -1 where it is compressed
    content_length: int = 0
    is_suspect: bool = False  # there is what looks like another record in its block

    def entry(self, before: int, after: int, ranged: bool) -> Iterator[WarcEntry]:
        """The entry with its range. Records that share a gzip member have none: only the first could be reached."""
        if self.found is None:
            return
        if ranged and before < self.offset < after:
            yield self.found._replace(offset=self.offset, length=after - self.offset)
        elif self.found.kind == "image":
            text = "the record shares its compressed block with others: rewrite the file with one gzip member a record"
            yield WarcEntry("problem", self.found.url, reason=Reason.STORED_RANGE_UNREADABLE, detail=text)
        else:
            yield self.found


def _records(file: BinaryIO, max_body_bytes: int) -> Iterator[_Waiting | Drop]:
    """Every record with what it is good for; a Drop, as the last one, where the file breaks."""
    begin = file.tell()
    is_plain = file.read(9).lstrip(b"\r\n").startswith(b"WARC/")
    file.seek(begin)
    records = iter(ArchiveIterator(file, parse_http=False, quirks_mode=True))
    while True:
        try:
            record = next(records, None)
            if record is None:
                return
            offset, length = record.stream_pos, record.content_length
            found = _entry(record, max_body_bytes)
        except (OSError, ValueError) as error:
            yield Drop(Reason.ARCHIVE_BROKEN, detail=str(error))
            return
        if isinstance(found, Drop):
            yield found
            return
        head_bytes = 12 + sum(len(name) + len(value) + 4 for name, value in record.headers)  # as most tools write it
        is_suspect = found is not None and found.kind == "page" and _FOREIGN.search(found.body) is not None
        yield _Waiting(offset, found, offset + head_bytes + length if is_plain else -1, length, is_suspect)


def _problem(drop: Drop, url: str = "") -> WarcEntry:
    return WarcEntry("problem", url, reason=drop.reason, detail=drop.detail)


def _missing_end(file: BinaryIO, offset: int, size: int) -> Iterator[WarcEntry]:
    """A break where the file ends inside its last gzip member, or holds no record at all."""
    if offset < 0:
        yield _problem(Drop(Reason.ARCHIVE_BROKEN, detail="no record in the file"))
        return
    file.seek(offset)
    if offset < size and not _is_whole(file):
        yield _problem(Drop(Reason.ARCHIVE_BROKEN, detail=_ENDS_INSIDE))


def _is_whole(file: BinaryIO) -> bool:
    """Whether the gzip members from here on are complete. Plain records were checked by their length already."""
    data = file.read(_STEP_BYTES)
    if not data.startswith(_GZIP):
        file.seek(-1, io.SEEK_END)
        return not data.startswith(b"WARC/") or (file.read() == b"\n" and _HEAD_END.search(data) is not None)
    member, ended = zlib.decompressobj(wbits=31), False
    while data:
        if ended:
            member, ended = zlib.decompressobj(wbits=31), False
        try:
            _drain(member, data)
        except zlib.error:
            return False
        ended = member.eof
        data = member.unused_data or file.read(_STEP_BYTES)
    return ended


def _drain(member: "zlib._Decompress", data: bytes) -> None:
    """Decompress and forget, a little at a time."""
    while data:
        member.decompress(data, _STEP_BYTES)
        data = member.unconsumed_tail


def _entry(record: WarcRecord | PlainRecord, max_body_bytes: int) -> WarcEntry | Drop | None:
    """What a record is good for; a Drop where the file ends inside it."""
    if isinstance(record, WarcRecord) and not any(name.lower() == "warc-type" for name, _ in record.headers):
        return Drop(Reason.ARCHIVE_BROKEN, detail="a record without WARC-Type")  # every record has one (ISO 28500, 5)
    kind = _kind(record)
    if kind not in (WarcRecordType.response, WarcRecordType.resource):
        return _check_length(record.consume(), record.content_length)
    block = _read(record, min(record.content_length, max_body_bytes))
    if len(block) < min(record.content_length, max_body_bytes):
        return Drop(Reason.ARCHIVE_BROKEN, detail=_ENDS_INSIDE)
    url = _target(record)
    if not url.lower().startswith(("http://", "https://")):
        return None
    if len(block) == record.content_length and not _digest_holds(record.headers.get("WARC-Block-Digest"), block):
        return _problem(Drop(Reason.ARCHIVE_BROKEN, detail="the block does not have its WARC-Block-Digest"), url)
    answer = _answer(record, block)
    if answer is None:
        return _problem(Drop(Reason.ARCHIVE_BROKEN, detail="a response record without an HTTP answer"), url)
    return _judge_answer(url, answer, max_body_bytes)


def _check_length(consumed: int | None, length: int) -> Drop | None:
    if consumed is not None and consumed < length:
        return Drop(Reason.ARCHIVE_BROKEN, detail=_ENDS_INSIDE)
    return None


def _kind(record: WarcRecord | PlainRecord) -> WarcRecordType:
    """fastwarc knows `WARC-Type` alone; field names are of any case (ISO 28500, 4), and Go writes `Warc-Type`."""
    return _KINDS.get((record.headers.get("WARC-Type") or "").strip().lower(), WarcRecordType.unknown)


def _read(record: WarcRecord | PlainRecord, length: int) -> bytes:
    parts: list[bytes] = []
    while length > 0 and (part := record.reader.read(min(length, _STEP_BYTES))):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _target(record: WarcRecord | PlainRecord) -> str:
    """The url of a record; old wget writes it in angle brackets."""
    return (record.headers.get("WARC-Target-URI") or "").strip().removeprefix("<").removesuffix(">")


def _digest_holds(digest: str | None, block: bytes) -> bool:
    """False where the block is another one than its writer saw; a digest that cannot be checked holds."""
    algorithm, mark, expected = (digest or "").partition(":")
    algorithm = algorithm.strip().lower().replace("-", "")
    if not mark or algorithm not in ("sha1", "sha256", "md5"):
        return True
    found = hashlib.new(algorithm, block, usedforsecurity=False).digest()
    expected = expected.strip()
    try:
        return found == (binascii.unhexlify(expected) if len(expected) == 2 * len(found) else _base32(expected))
    except ValueError:
        return True


def _base32(text: str) -> bytes:
    return base64.b32decode(text.upper() + "=" * (-len(text) % 8))


def _answer(record: WarcRecord | PlainRecord, block: bytes) -> HttpAnswer | None:
    """The HTTP answer in a response record; a resource record is one without HTTP."""
    content_type = record.headers.get("Content-Type") or ""
    if _kind(record) == WarcRecordType.resource and not content_type.lower().startswith("application/http"):
        return HttpAnswer(200, (("Content-Type", content_type),), block)
    return parse_http(block)


def parse_http(block: bytes) -> HttpAnswer | None:
    """Status, headers and stored body of an HTTP answer, as leniently as browsers read it; None where it is none."""
    end = _HEAD_END.search(block)
    head, body = (block[: end.start()], block[end.end() :]) if end else (block, b"")
    start, *lines = head.split(b"\n")
    status = _STATUS.match(start)
    if status is None:
        return None
    return HttpAnswer(int(status.group(1)), parse_fields(lines), body)


def _judge_answer(url: str, answer: HttpAnswer, max_body_bytes: int) -> WarcEntry | None:
    location = first(answer.headers, "location")
    if answer.status in REDIRECTS and location:
        return WarcEntry("redirect", url, headers=answer.headers, location=location)
    if answer.status not in WHOLE_ANSWERS:
        return None
    content_type = first(answer.headers, "content-type")
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("image/"):
        return WarcEntry("image", url, content_type, answer.headers)
    if kind not in (*HTML_TYPES, "", "application/octet-stream", "binary/octet-stream", "unknown/unknown"):
        return None
    decoded = decode_http(answer, max_body_bytes)
    if kind in HTML_TYPES or _HTML_START.match(decoded.data[:4_096]):
        return _page(url, content_type, answer.headers, decoded)
    if decoded.data.startswith(_IMAGE_STARTS) or (decoded.data[:4] == b"RIFF" and decoded.data[8:12] == b"WEBP"):
        return WarcEntry("image", url, content_type, answer.headers)
    return None


def _page(url: str, content_type: str, headers: Headers, decoded: Decoded) -> WarcEntry:
    """A page that is cut off or too long is read as far as it goes; one that gives nothing is a problem."""
    if decoded.drop is not None and not decoded.data:
        return _problem(decoded.drop, url)
    return WarcEntry("page", url, content_type, headers, decoded.data)


def decode_http(answer: HttpAnswer, max_bytes: int) -> Decoded:
    """The payload of a stored answer: chunks and codings undone, at most `max_bytes` of it."""
    chunks = Decoded(answer.body, None)
    transfer = joined(answer.headers, "transfer-encoding").lower().split(",")
    if "chunked" in [coding.strip() for coding in transfer]:
        chunks = unchunk(answer.body)
    codings = [c for c in transfer if c.strip() != "chunked"]
    codings = joined(answer.headers, "content-encoding").split(",") + codings
    decoded = decode_content(chunks.data, codings, max_bytes, archived=True)
    return decoded if decoded.drop is not None else Decoded(decoded.data, chunks.drop)


def read_stored(
    path: str, offset: int, length: int, max_bytes: int = MAX_BODY_BYTES
) -> tuple[list[tuple[str, str]], bytes] | Drop:
    """The HTTP headers and decoded payload of the record at a range, or why there is none. Raises StorageError."""
    data = storage.read_range(path, offset, length) if length > 0 else b""
    if len(data) < length or not data:
        return Drop(Reason.STORED_RANGE_UNREADABLE, len(data), f"{path}: the range ends behind the file")
    if not data.startswith(b"WARC/") and not data.startswith(_GZIP) and data[:4] != b"\x28\xb5\x2f\xfd":
        return Drop(Reason.STORED_RANGE_UNREADABLE, offset, f"{path}: no record at this place")
    return _stored(path, offset, data, max_bytes)


def _stored(path: str, offset: int, data: bytes, max_bytes: int) -> tuple[list[tuple[str, str]], bytes] | Drop:
    try:
        record = next(iter(ArchiveIterator(io.BytesIO(data), parse_http=False, quirks_mode=True)), None)
        block = _read(record, min(record.content_length, max_bytes + 1)) if record is not None else b""
    except (OSError, ValueError) as error:
        return Drop(Reason.STORED_RANGE_UNREADABLE, offset, f"{path}: {error}")
    if record is None or len(block) < min(record.content_length, max_bytes + 1):
        return Drop(Reason.STORED_RANGE_UNREADABLE, offset, f"{path}: the record is cut off")
    if len(block) > max_bytes:
        return Drop(Reason.TOO_MANY_BYTES, record.content_length, path)
    if not _digest_holds(record.headers.get("WARC-Block-Digest"), block):
        return Drop(Reason.STORED_RANGE_UNREADABLE, offset, f"{path}: the record does not have its digest")
    answer = _answer(record, block)
    if answer is None:
        return Drop(Reason.STORED_RANGE_UNREADABLE, offset, f"{path}: the record holds no HTTP answer")
    decoded = decode_http(answer, max_bytes)
    return decoded.drop if decoded.drop is not None else (list(answer.headers), decoded.data)


_HOP_HEADERS = ("content-encoding", "transfer-encoding", "content-length", "connection", "keep-alive")
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://pairmill.invalid/warc")


class WarcWriter:
    """Writes HTTP answers as WARC/1.1, a gzip member a record. The bytes are a function of the calls alone."""

    def __init__(self, file: storage.Sink, software: str = "Pairmill") -> None:
        self._file = file
        self._software = software
        self._empty = True

    def write_response(
        self, url: str, status: int | None, headers: Iterable[tuple[str, str]], body: bytes, date: datetime
    ) -> None:
        """Append an answer whose `body` is decoded already; `date` is when it was asked for, with a time zone."""
        if self._empty:
            self._write_info(date)
        head = [f"HTTP/1.1 {status or 200} "]
        head += [f"{_line(k)}: {_line(v)}" for k, v in headers if k.lower() not in _HOP_HEADERS]
        head.append(f"Content-Length: {len(body)}")
        block = "\r\n".join([*head, "", ""]).encode("utf-8", "replace") + body
        self._write("response", "application/http; msgtype=response", block, date, url, _digest(body))

    def _write_info(self, date: datetime) -> None:
        self._empty = False
        block = f"software: {_line(self._software)}\r\nformat: WARC File Format 1.1\r\n".encode()
        self._write("warcinfo", "application/warc-fields", block, date)

    def _write(
        self, kind: str, content_type: str, block: bytes, date: datetime, url: str = "", payload: str = ""
    ) -> None:
        when, digest = date.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), _digest(block)
        fields = [
            ("WARC-Type", kind),
            ("WARC-Record-ID", f"<urn:uuid:{uuid.uuid5(_NAMESPACE, ' '.join((kind, when, digest, url)))}>"),
            ("WARC-Date", when),
            ("WARC-Target-URI", _line(url)),
            ("WARC-Block-Digest", digest),
            ("WARC-Payload-Digest", payload),
            ("Content-Type", content_type),
            ("Content-Length", str(len(block))),
        ]
        lines = ["WARC/1.1", *(f"{name}: {value}" for name, value in fields if value), "", ""]
        record = "\r\n".join(lines).encode() + block + b"\r\n\r\n"
        self._file.write(gzip.compress(record, compresslevel=6, mtime=0))


def _digest(data: bytes) -> str:
    """SHA-1 in base 32, as every reader of WARC expects it; a checksum, no protection."""
    return "sha1:" + base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


def _line(text: str) -> str:
    """No header ends its line early."""
    return re.sub(r"[\r\n\0]+", " ", text).strip()
