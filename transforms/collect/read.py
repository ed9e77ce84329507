"""One unit of input to rows: the occurrences on its pages, the pages themselves, the images it stores. No Beam."""

import os
from collections.abc import Callable, Iterator
from typing import Any

from filters import optout
from filters.caption import caption_id, normalise_caption
from filters.reasons import Drop, Reason
from filters.url import normalise_url, uid_of, uid_of_foreign
from transforms import storage
from transforms.collect.adopt import AdoptedRow, AdoptError, adopted_rows
from transforms.collect.encoding import decode_page
from transforms.collect.html import Page, found_captions, read_page
from transforms.collect.settings import CollectSettings
from transforms.collect.tables import TableError, TableRow, TableSettings, canonical_json, read_table
from transforms.coordination.error_boundary import ErrorBoundary
from transforms.formats.warc import WarcEntry, read_warc
from transforms.records import FAILED, WARC, Caption, Occurrence, PageSeen, Reject, Source, Stored, Unit
from transforms.web.settings import WebSettings

Identify = Callable[[str], tuple[str, float]]


def read_unit(unit: Unit, run: str, settings: CollectSettings, web: WebSettings, identify: Identify) -> Iterator[Any]:
    """Occurrence, Reject, PageSeen and Stored rows of one unit, in the order of the file."""
    path = storage.join(run, unit.path)
    if unit.kind == "table":
        assert settings.tables is not None
        yield from read_table_unit(unit, path, settings.tables, identify)
    elif unit.kind == "adopted":
        assert settings.adopt is not None
        yield from read_adopted_unit(unit, path, settings.adopt.name, identify)
    else:
        yield from read_warc_unit(unit, path, settings, web, identify)


def read_table_unit(unit: Unit, path: str, settings: TableSettings, identify: Identify) -> Iterator[Any]:
    rows = 0
    try:
        for row in read_table(path, settings):
            rows += 1
            yield occurrence_of_row(unit, row, identify)
    except TableError as error:
        raise storage.StorageError(str(error)) from error
    yield PageSeen(unit.path, "", rows, "")


def occurrence_of_row(unit: Unit, row: TableRow, identify: Identify) -> Occurrence:
    text = normalise_caption(row.caption)
    caption = new_caption(text, "table", row.page_url, "", identify)
    identity = normalise_url(row.url)
    uid = uid_of(identity if identity is not None else row.url)
    position = f"{unit.place:06d}:{row.position:012d}"
    return Occurrence(uid, row.url, position, Source(), caption, row.source_uid, row.extra)


def read_adopted_unit(unit: Unit, path: str, name: str, identify: Identify) -> Iterator[Any]:
    rows = 0
    try:
        for row in adopted_rows(path):
            yield occurrence_of_adopted(unit, rows, row, name, identify)
            rows += 1
    except AdoptError as error:
        raise storage.StorageError(str(error)) from error
    yield PageSeen(unit.path, "", rows, "")


def occurrence_of_adopted(unit: Unit, number: int, row: AdoptedRow, name: str, identify: Identify) -> Occurrence:
    """Of a url that stands there twice, the sample comes before the failure."""
    caption = new_caption(normalise_caption(row.caption), "table", "", "", identify)
    identity = normalise_url(row.url) if row.url else None
    uid = uid_of(identity or row.url) if row.url else uid_of_foreign(name, f"{os.path.basename(unit.path)}/{row.key}")
    position = f"{row.source.encoding == FAILED:d}:{unit.place:06d}:{number:012d}"
    extra = canonical_json(row.extra) if row.extra else ""
    return Occurrence(uid, row.url, position, row.source, caption, row.key, extra)


def new_caption(text: str, kind: str, page_url: str, licence: str, identify: Identify) -> Caption:
    language, probability = identify(text) if text else ("und", 0.0)
    return Caption(caption_id(text), text, kind, page_url, language, probability, 1, licence)


def read_warc_unit(
    unit: Unit, path: str, settings: CollectSettings, web: WebSettings, identify: Identify
) -> Iterator[Any]:
    wants_images = settings.warc is not None and settings.warc.images != "ignore"
    redirects: dict[str, str] = {}
    stored: dict[str, Stored] = {}
    for place, entry in enumerate(read_warc(path)):
        if entry.kind == "page":
            yield from read_page_entry(unit, place, entry, settings, web, identify)
        elif entry.kind == "problem":
            yield PageSeen(
                unit.path, entry.url, 0, str(entry.reason), entry.length if entry.members else 0, entry.members
            )
        elif wants_images:
            _remember(entry, unit, stored, redirects)
    yield from stored.values()
    yield from _redirected(redirects, stored)


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
    """What an archived redirect leads to, within five hops, under the url that was asked."""
    for start in redirects:
        target = start
        for _ in range(5):
            target = redirects.get(target, "")
            if target in stored and start not in stored:
                yield Stored(uid_of(start), stored[target].source)
                break


def read_page_entry(
    unit: Unit, place: int, entry: WarcEntry, settings: CollectSettings, web: WebSettings, identify: Identify
) -> Iterator[Any]:
    """The occurrences of one archived page; one opt-out of the page drops them all."""
    rows: list[Any] = []
    with ErrorBoundary(entry.url) as caught:
        rows.extend(_page_rows(unit, place, entry, settings, web, identify))
    if caught.drop is not None:
        rows = []
    yield from rows
    reason = caught.drop.reason if caught.drop else ""
    yield PageSeen(unit.path, entry.url, len(rows), str(reason))


def _page_rows(
    unit: Unit, place: int, entry: WarcEntry, settings: CollectSettings, web: WebSettings, identify: Identify
) -> Iterator[Occurrence | Reject]:
    page = read_page(decode_page(entry.body, entry.content_type), entry.url, settings.html)
    drop = judge_page(entry, page, web)
    for number, found in enumerate(found_captions(page)):
        if drop is not None:
            yield _page_reject(entry.url, found.url, drop)
            continue
        caption = new_caption(normalise_caption(found.text), found.kind, entry.url, found.licence, identify)
        identity = normalise_url(found.url)
        uid = uid_of(identity if identity is not None else found.url)
        yield Occurrence(uid, found.url, f"{unit.place:06d}:{place:09d}:{number:06d}", Source(), caption, "", "")


def judge_page(entry: WarcEntry, page: Page, web: WebSettings) -> Drop | None:
    """Whether the page opts out of being collected: by header, meta or TDMRep."""
    opt_outs = web.opt_outs
    drop = None
    if opt_outs.x_robots_tag:
        drop = optout.judge_headers(header_values(entry, "x-robots-tag"), web.agents)
    if drop is None and opt_outs.meta:
        drop = optout.judge_meta(page.metas, web.agents)
    if drop is None and opt_outs.tdmrep:
        header = next(iter(header_values(entry, "tdm-reservation")), None)
        drop = optout.judge_tdm(header, meta_content(page, "tdm-reservation"))
    return None if drop is None else drop._replace(reason=Reason.PAGE_OPT_OUT)


def header_values(entry: WarcEntry, name: str) -> list[str]:
    return [value for header, value in entry.headers if header.lower() == name]


def meta_content(page: Page, name: str) -> str | None:
    return next((content for meta, content in page.metas if meta == name), None)


def _page_reject(page_url: str, url: str, drop: Drop) -> Reject:
    """A page that says no: its captions are not kept, not even among the rejects."""
    identity = normalise_url(url)
    uid = uid_of(identity if identity is not None else url)
    return Reject("page", "occurrence", uid, url, page_url, "", str(drop.reason), drop.value, drop.detail)
