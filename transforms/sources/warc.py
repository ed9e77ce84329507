"""Source `warc`: WARC files of any tool to the occurrences on their pages and the images that they store."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from filters import optout
from filters.reasons import Drop, Reason
from filters.rules import operational
from filters.url import normalise_url, uid_of
from transforms import storage
from transforms.coordination.error_boundary import ErrorBoundary
from transforms.formats.http_headers import values_of
from transforms.formats.warc import WarcEntry, read_warc
from transforms.formats.warc_by_hand import kind_of
from transforms.html.page import FoundCaption, Page, found_captions, read_body
from transforms.records import WARC, Occurrence, PageSeen, Reject, Source, Stored, Unit
from transforms.sources.base import CandidateSource, Read, Reading, SourceError, caption_of, files_of, uid_of_url
from transforms.web.settings import WebSettings

WITHOUT_PAGES = {"WAT": "which holds metadata of pages", "WET": "which holds the plain text of pages"}
MAX_HOPS = 5  # of archived redirects; as many as a live request follows by default


class WarcSource(CandidateSource):
    """Common Crawl's files, ours, or any other tool's."""

    is_archive: ClassVar[bool] = True

    paths: list[str] = operational(is_path=True, min_length=1)  # files or globs
    images: Literal["ignore", "prefer", "only"] = "ignore"  # take images from the archive; "only" asks nobody

    def files(self) -> list[str]:
        return files_of("collect.warc.paths", self.paths)

    def check(self) -> None:
        """Raises SourceError where a file is an extract without pages: by its name, the first by its content too."""
        files = self.files()
        for number, path in enumerate(files):
            named = next((kind for kind in ("WAT", "WET") if f".warc.{kind.lower()}" in path.lower()), "")
            if not named and number == 0:
                with storage.open_for_reading(path) as file:
                    named = kind_of(file)
            if named:
                raise SourceError(
                    f"collect.warc.paths: {path} is a {named} file, {WITHOUT_PAGES[named]}: give the WARC file that it "
                    f'was made of (the same name without ".{named.lower()}")'
                )

    def overview(self) -> dict[str, Any]:
        return {"warc_files": len(self.files())}

    def read(self, unit: Unit, path: str, reading: Reading) -> Iterator[Read]:
        return read_archive(unit, path, reading, wants_images=self.images != "ignore")


def read_archive(unit: Unit, path: str, reading: Reading, wants_images: bool) -> Iterator[Read]:
    """The pages of an archive, then the images that it stores. Raises StorageError."""
    redirects: dict[str, str] = {}
    stored: dict[str, Stored] = {}
    for index, entry in enumerate(read_warc(path)):
        if entry.kind == "page":
            yield from read_page_entry(unit, index, entry, reading)
        elif entry.kind == "problem":
            lost_bytes = entry.length if entry.members else 0
            yield PageSeen(unit.path, entry.url, 0, str(entry.reason), lost_bytes, entry.members)
        elif wants_images:
            _remember(entry, unit, stored, redirects)
    yield from stored.values()
    yield from _redirected(redirects, stored)


def read_page_entry(unit: Unit, index: int, entry: WarcEntry, reading: Reading) -> Iterator[Read]:
    """The occurrences of one archived page; one opt-out of the page drops them all."""
    rows: list[Occurrence | Reject] = []
    with ErrorBoundary(entry.url) as caught:
        page = read_body(entry.body, entry.content_type, entry.url, reading.html)
        drop = judge_page(entry, page, reading.web)
        for number, found in enumerate(found_captions(page)):
            position = f"{unit.number:06d}:{index:09d}:{number:06d}"
            rows.append(
                _occurrence(entry.url, found, position, reading)
                if drop is None
                else _reject(entry.url, found.url, drop)
            )
    if caught.drop is not None:
        rows = []
    yield from rows
    yield PageSeen(unit.path, entry.url, len(rows), str(caught.drop.reason) if caught.drop else "")


def _occurrence(page_url: str, found: FoundCaption, position: str, reading: Reading) -> Occurrence:
    caption = caption_of(found.text, found.kind, page_url, found.licence, reading.identify)
    return Occurrence(uid_of_url(found.url), found.url, position, Source(), caption, "", "")


def _reject(page_url: str, url: str, drop: Drop) -> Reject:
    """A page that says no: its captions are not kept, not even among the rejects."""
    return Reject("page", "occurrence", uid_of_url(url), url, page_url, "", str(drop.reason), drop.value, drop.detail)


def judge_page(entry: WarcEntry, page: Page, web: WebSettings) -> Drop | None:
    """Whether the page opts out of being collected: by header, meta or TDMRep."""
    opt_outs = web.opt_outs
    drop = None
    if opt_outs.x_robots_tag:
        drop = optout.judge_headers(values_of(entry.headers, "x-robots-tag"), web.agents)
    if drop is None and opt_outs.meta:
        drop = optout.judge_meta(page.metas, web.agents)
    if drop is None and opt_outs.tdmrep:
        header = next(iter(values_of(entry.headers, "tdm-reservation")), None)
        meta = next((content for name, content in page.metas if name == "tdm-reservation"), None)
        drop = optout.judge_tdm(header, meta)
    return None if drop is None else drop._replace(reason=Reason.PAGE_OPT_OUT)


def _remember(entry: WarcEntry, unit: Unit, stored: dict[str, Stored], redirects: dict[str, str]) -> None:
    """An archive's image or redirect. Both are few beside the pages, and a WARC file is bounded."""
    identity = normalise_url(entry.url)
    if identity is None:
        return
    if entry.kind == "image":
        source = Source(unit.path, entry.offset, entry.length, WARC)
        stored.setdefault(identity, Stored(uid_of(identity), source))
    elif entry.kind == "redirect":
        target = normalise_url(entry.location, identity)
        if target is not None:
            redirects.setdefault(identity, target)


def _redirected(redirects: dict[str, str], stored: dict[str, Stored]) -> Iterator[Stored]:
    """What an archived redirect leads to, under the url that was asked."""
    for start in redirects:
        target = start
        for _ in range(MAX_HOPS):
            target = redirects.get(target, "")
            if target in stored and start not in stored:
                yield Stored(uid_of(start), stored[target].source)
                break
