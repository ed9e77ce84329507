"""What a source of candidates is. Derive from `CandidateSource`; the fields of the class are the source's settings.

Give `files`, and `rows` where a file is a table of urls and texts; a source that reads something else gives `read`.
A source of the package is a key of the `collect` section (`transforms.collect.settings`). One from outside is named by
its class in `collect.sources`, `- source: "my_sources:Museum"`, and put on PYTHONPATH. Sources are frozen pydantic
models, pickled to the workers, so that their module must be importable there.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, NamedTuple

from filters.caption import caption_id, normalise_caption
from filters.contact import redact
from filters.reasons import Reason
from filters.rules import Rules
from filters.url import normalise_url, uid_of
from transforms import storage
from transforms.coordination.fatal import FatalError
from transforms.html.page import HtmlSettings
from transforms.records import Caption, Occurrence, PageSeen, Reject, Source, Stored, Unit
from transforms.web.settings import WebSettings

Identify = Callable[[str], tuple[str, float]]  # text → BCP 47 code of its language, probability
Read = Occurrence | Reject | PageSeen | Stored  # what a file gives, row by row


class SourceError(FatalError):
    """A source cannot be read; the message names the file or the key, what is wrong and the remedy."""


class Reading(NamedTuple):
    """What reading needs beside the file and the source's own settings."""

    html: HtmlSettings
    web: WebSettings  # for the names to which pages address their opt-outs
    identify: Identify


class Row(NamedTuple):
    """An image with a text, as a table has it."""

    url: str  # as written; "" where the row is broken or has none
    caption: str
    page_url: str = ""  # of the page that shows the image: its host is asked too
    source_uid: str = ""  # what the source calls it
    extra: str = ""  # canonical JSON object of what is carried to the shards, or ""
    broken: str = ""  # what is wrong with the row: it is counted, as row_broken, and shown with these words


class CandidateSource(Rules):
    """Where candidates come from, and its settings."""

    is_archive: ClassVar[bool] = False  # damage in its files is counted by the byte

    @abstractmethod
    def files(self) -> list[str]:
        """The files that are read, as absolute paths or urls. Raises SourceError where one is not there."""

    def beside(self) -> list[str]:
        """Files that are read on the way, beside some of `files`: what stands in them decides the rows too."""
        return []

    def written(self, run: str) -> list[str]:
        """Files that the run itself wrote for this source, relative to the run directory."""
        return []

    def depends_on(self) -> dict[str, Any]:
        """What decides the rows beside settings and files, by name: plain values."""
        return {}

    def check(self) -> None:
        """Called before any work. Raises SourceError where the source cannot be read."""
        self.files()

    def asks(self) -> list[str]:
        """Urls that collecting will ask: their hosts must be able to reach whoever does."""
        return []

    def known_urls(self) -> Iterable[str]:
        """Some of the urls that the run will ask for, as they are written: those that are quick to see.

        Asked for after `check`; a missing contact is found by them before any work.
        """
        return []

    def urls(self) -> Iterable[str]:
        """All urls that the run will ask for, as they are written: `pairmill plan` counts their hosts. A stream; empty
        where nobody knows them before `collect`. Raises SourceError."""
        return []

    def notes(self) -> list[str]:
        """What a person should know of how the files are read: said before any work, kept for the report."""
        return []

    def overview(self) -> dict[str, Any]:
        """What `pairmill plan` shows: name → plain value; counts as far as they are cheap. Raises SourceError."""
        return {}

    def rows(self, path: str) -> Iterable[Row]:
        """The rows of a file, in its order. Raises SourceError where it breaks."""
        raise NotImplementedError(f"{type(self).__name__} has neither rows nor read")

    def read(self, unit: Unit, path: str, reading: Reading) -> Iterator[Read]:
        """All that a file holds, in its order; a PageSeen for each page or table. Raises StorageError, SourceError."""
        count = 0
        for count, row in enumerate(self.rows(path), 1):
            broken = broken_row(row.url, row.page_url, row.broken) if row.broken else None
            yield broken or occurrence_of(unit, count - 1, row, reading.identify)
        yield PageSeen(unit.path, "", count, "")


def occurrence_of(unit: Unit, number: int, row: Row, identify: Identify) -> Occurrence:
    """Row `number` of a table as a candidate's occurrence."""
    caption = caption_of(row.caption, "table", row.page_url, "", identify)
    position = f"{unit.number:06d}:{number:012d}"
    return Occurrence(uid_of_url(row.url), row.url, position, Source(), caption, row.source_uid, row.extra)


def broken_row(url: str, page_url: str, words: str) -> Reject:
    """A row that cannot be read, as the funnel counts it; what it holds is shown without private data."""
    reason = str(Reason.ROW_BROKEN)
    return Reject("page", "occurrence", uid_of_url(url), url, page_url, "", reason, None, redact(words))


def caption_of(text: str, kind: str, page_url: str, licence: str, identify: Identify) -> Caption:
    normal = normalise_caption(text)
    language, probability = identify(normal) if normal else ("und", 0.0)
    return Caption(caption_id(normal), normal, kind, page_url, language, probability, 1, licence)


def uid_of_url(url: str) -> bytes:
    """The uid of a url's identity; of the text itself where it is no url."""
    identity = normalise_url(url)
    return uid_of(identity if identity is not None else url)


def files_of(key: str, patterns: Iterable[str]) -> list[str]:
    """Absolute paths, or urls, of the files that the patterns match, in their order, each once. Raises SourceError."""
    files: list[str] = []
    for pattern in patterns:
        try:
            found = storage.glob_files(pattern)
        except storage.StorageError as error:
            raise SourceError(f"{key}: {error}") from error
        if not found:
            raise SourceError(f"{key}: {pattern} matches no file; give a file or a pattern such as 'tables/*.parquet'")
        files += found
    return list(dict.fromkeys(files))
