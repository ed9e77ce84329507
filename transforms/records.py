"""The record types at the boundaries of the stages: the one source of Beam coders and Parquet schemas. No Beam.

Identity: `uid` is the first 16 bytes of the SHA-256 of the url's identity (`filters.url.uid_of`); `id` of a caption
is the first 8 bytes of the SHA-256 of its text. Hashes are `bytes`.
"""

from typing import Annotated, NamedTuple

SCHEMA_VERSION = 1
Int32 = Annotated[int, 32]  # where img2dataset's columns have it: in Arrow, ints have 64 bits

# What a Source points at: a WARC record, a sample's members in a tar, a row of a table that says why there is no image.
WARC, SAMPLE, FAILED = "warc", "sample", "failed"


class Source(NamedTuple):
    """Where the bytes of an image come from: a url to ask, or a stored range. `path` is empty for a url."""

    path: str = ""  # a WARC file, relative to the run directory or absolute
    offset: int = 0  # bytes
    length: int = 0  # bytes; of the stored, possibly compressed range
    encoding: str = ""  # WARC: a gzip member or plain record; SAMPLE; FAILED: `offset` is the row's number


class Caption(NamedTuple):
    """One text that the web says of an image."""

    id: bytes  # (8,)
    text: str  # NFC, white space collapsed
    kind: str  # alt | title | figcaption | table
    page_url: str
    language: str  # ISO 639-1 or "und"
    probability: float  # of the language, 0..1
    count: int  # type: ignore[assignment]  # occurrences merged; hides tuple.count, which nobody calls
    license: str  # url or short name, "" where the page says nothing


class Occurrence(NamedTuple):
    """An image with a caption on a page, before the url merge."""

    uid: bytes  # (16,)
    url: str  # as written on the page, made absolute
    position: str  # sorts by (source unit, number in it); makes the merge independent of arrival order
    source: Source
    caption: Caption
    source_uid: str  # the uid that a foreign table gave, or ""
    extra: str  # the user's other columns, canonical JSON, or ""


class Candidate(NamedTuple):
    """An image with all its captions: one row of `candidates/`."""

    uid: bytes  # (16,)
    url: str
    source: Source
    captions: tuple[Caption, ...]  # best first: by count, then by hash
    occurrences: int  # how many occurrences were merged into this row
    source_uid: str
    extra: str


class Reject(NamedTuple):
    """Something that `collect` dropped: one row of `rejects/`."""

    step: str
    unit: str  # occurrence | candidate
    uid: bytes
    url: str
    page_url: str
    caption: str  # redacted where a privacy rule dropped it
    reason: str
    value: float | None
    detail: str


class PageSeen(NamedTuple):
    """What was found on one page, or why it was not read: one row of `candidates/pages-*.parquet`."""

    source: str  # WARC file or table
    page_url: str
    occurrences: int
    reason: str  # "" where the page was read
    lost_bytes: int = 0  # of a break in an archive
    lost_members: int = 0


class Image(NamedTuple):
    """An attempt to get one candidate: one row of `images/`. Begins with img2dataset's columns."""

    url: str
    caption: str  # text of the first caption
    key: str  # hex of uid
    status: str  # success | failed_to_download | failed_to_resize
    error_message: str | None
    width: Int32 | None  # pixels, of the stored image
    height: Int32 | None
    original_width: Int32 | None
    original_height: Int32 | None
    exif: str | None  # JSON of the harmless tags, never GPS
    sha256: str | None  # hex, of the original bytes
    uid: bytes  # (16,)
    source_uid: str
    captions: tuple[Caption, ...]
    source: Source
    extra: str
    reason: str  # "" on success
    value: float | None
    detail: str
    http_status: int | None
    original_bytes: int | None
    final_url: str | None
    redirects: int | None
    x_robots_tag: str | None
    etag: str | None
    last_modified: str | None
    format: str | None  # of the original: JPEG, PNG, ...
    phash: bytes | None  # (32,) PDQ, 256 bits
    phash_quality: int | None  # 0..100; below 50 the hash says little
    tar: str | None  # name of the part's tar, beside this file
    offset: int | None  # bytes, of the image member's payload in the tar
    length: int | None  # bytes


class FetchLog(NamedTuple):
    """Clocks and addresses of an attempt: `images/*.log.parquet`, outside every digest."""

    uid: bytes
    host: str
    address: str
    started_s: float  # since the epoch
    duration_s: float
    bytes_received: int
    loop_late_s: float = 0.0  # of duration_s: the asking process was not served, so that no deadline ran


class Score(NamedTuple):
    """The similarity of one caption and its image: one row of `scores/`."""

    uid: bytes
    caption_id: bytes
    model: str
    similarity: float  # cosine, -1..1


class Selected(NamedTuple):
    """The fate of one candidate: one row of `selection/NAME/`."""

    uid: bytes
    url: str
    kept: bool
    step: str  # the step that dropped it, or ""
    reason: str
    value: float | None
    detail: str
    caption_ids: tuple[bytes, ...]  # chosen, best first
    similarity: float | None  # of the first caption
    part: str  # the images/ part that holds the row
    row: int  # its number in the part


class PlacedCaption(NamedTuple):
    """A caption with the smallest position at which it occurs."""

    position: str
    caption: Caption


class Merged(NamedTuple):
    """What is known of one image halfway through the url merge. `first` has the smallest position."""

    first: Occurrence
    captions: tuple[PlacedCaption, ...]  # one an id
    occurrences: int


class Unit(NamedTuple):
    """Something that `collect` reads whole: a WARC file or a table."""

    source: str  # the key of its source in the `collect` section: warc, tables, sources.0
    path: str  # relative to the run directory, or absolute
    number: int  # among the inputs, from 0: the first half of every position


class Stored(NamedTuple):
    """Where the bytes behind a url are stored: the answer to one uid from a WARC with images."""

    uid: bytes
    source: Source


class PlanRow(NamedTuple):
    """A candidate with its part of the plan: one row of `images/plan/`."""

    part: int
    candidate: Candidate
    page_reason: str | None  # why the page's host refuses it, "" where it does not; None where it was not asked yet
    page_value: float | None
    page_detail: str
    before: Image | None  # what a refresh holds the answer against, or a row that was led to another task's host


class RowNumber(NamedTuple):
    """A row of a part that a later round asks again: `images/rounds/`."""

    row: int


class PageRule(NamedTuple):
    """What the host of a page says of it, asked by the host's owner: one row of `images/pages/`."""

    page_url: str
    reason: str  # "" where it may be used
    value: float | None
    detail: str


class CrawlTarget(NamedTuple):
    """A page to ask in a crawl round: one row of `pages/<round>-frontier-<task>.parquet`."""

    url: str
    part: int


class HostFile(NamedTuple):
    """What a host's robots.txt or tdmrep.json said: one row of `hosts/`."""

    origin: str  # scheme, host and port
    path: str  # of the file
    asked_s: float  # since the epoch
    body: bytes  # empty where there is none to be read
    reason: str  # why it could not be had, "" where the answer is one
    value: float | None
    detail: str
    times_again: int = 0  # how often `retry` and `refresh` had been called


class CrawlPage(NamedTuple):
    """What became of a page: one row of `pages/<round>-<task>-<part>.parquet`."""

    url: str
    status: int | None
    reason: str
    value: float | None
    detail: str
    links: tuple[str, ...]  # in scope or not; sorted
    warc: str  # name of the part's WARC
    warc_sha256: str


class ScoredCaption(NamedTuple):
    """A caption and its similarity to the image; None where nothing was measured."""

    caption: Caption
    similarity: float | None


class Pair(NamedTuple):
    """A fetched image with the captions that are still alive: what walks through the rules of `select`."""

    uid: bytes
    url: str
    part: str  # stem of the images/ part
    row: int  # its number in the part
    sha256: str
    phash: bytes  # (32,) or empty
    phash_quality: int
    width: int  # pixels, of the original image
    height: int
    size_bytes: int  # of the original image
    captions: tuple[ScoredCaption, ...]  # best first: by similarity, then count, then id


class Sample(NamedTuple):
    """A kept pair on its way into a shard: all but the bytes."""

    rank: bytes  # (8,) seeded hash of the uid: the global shuffle
    image: Image  # its captions are the chosen ones, best first
    similarity: float | None  # of the first caption


class Share(NamedTuple):
    """What one part gives to one shard."""

    samples: tuple[Sample, ...]


class PackedFile(NamedTuple):
    """A file of a shard, as it was written."""

    name: str
    size_bytes: int
    sha256: str  # hex


class Shard(NamedTuple):
    """What `pack` wrote for one shard."""

    samples: int
    tar: PackedFile
    parquet: PackedFile


ALL = (
    PackedFile,
    Shard,
    Share,
    Source,
    Caption,
    Occurrence,
    Candidate,
    Reject,
    PageSeen,
    Image,
    FetchLog,
    Score,
    Selected,
    PlacedCaption,
    Merged,
    Unit,
    Stored,
    PlanRow,
    RowNumber,
    PageRule,
    CrawlTarget,
    CrawlPage,
    ScoredCaption,
    Pair,
    Sample,
)
