"""Passes of a crawl. The first follows links from the seeds; `retry --pages` adds others.

A pass has a round for each click from the seeds. A later one asks, level by level, the pages that failed there before,
and follows what they link to. Rounds are numbered on; rows of `pages/` are never changed: the newest of a page counts.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from filters.reasons import ASKED_AGAIN
from transforms import run_dir, storage
from transforms.formats import parquet
from transforms.records import CrawlPage


class Retry(NamedTuple):
    """A pass after the first."""

    start: int  # its first round
    reasons: tuple[str, ...]  # empty for those that another day may end otherwise
    before: str  # digest of the candidates before it, or "" where there were none yet


def retries_of(run: str) -> list[Retry]:
    """The later passes of a crawl, in order."""
    folder = run_dir.folder(run, run_dir.PAGES, run_dir.RETRIES)
    found = [json.loads(storage.read_bytes(storage.join(folder, n))) for n in storage.list_names(folder, "*.json")]
    return sorted(Retry(said["start"], tuple(said["reasons"]), said["before"]) for said in found)


def publish_retry(run: str, retry: Retry) -> None:
    path = run_dir.folder(run, run_dir.PAGES, run_dir.RETRIES, f"{retry.start:04d}.json")
    storage.publish(path, json.dumps(retry._asdict()).encode(), keep_first=True)


def rounds_planned(run: str) -> int:
    """How many rounds have a frontier, empty ones at the end of a pass among them."""
    return len(storage.list_names(run_dir.folder(run, run_dir.PAGES, run_dir.PLAN), "*.done"))


def depth_of(round_: int, retries: Sequence[Retry]) -> int:
    """How many clicks the pages of a round are from the seeds: rounds since the pass began that it belongs to."""
    return round_ - max((retry.start for retry in retries if retry.start <= round_), default=0)


def newest_pages(run: str, before: int | None = None) -> Iterator[tuple[int, CrawlPage]]:
    """(round, row) of each page that was asked: its newest row; only of rounds before `before`, where that is given."""
    folder = run_dir.folder(run, run_dir.PAGES)
    starts = [retry.start for retry in retries_of(run)]
    # Only pages of later passes can be there twice: of the first pass nothing needs to be remembered.
    seen: set[str] = set()
    for name in reversed(storage.list_names(folder, "*.parquet")):
        round_ = run_dir.round_of(name)
        if before is not None and round_ >= before:
            continue
        is_later_pass = bool(starts) and round_ >= starts[0]
        for page in parquet.read_rows(storage.join(folder, name), CrawlPage):
            if page.url not in seen:
                yield round_, page
            if is_later_pass:
                seen.add(page.url)


def failed_pages(run: str, retry: Retry) -> dict[int, list[str]]:
    """Depth → urls that a pass asks again: those whose newest row before it has one of its reasons."""
    wanted: Collection[str] = retry.reasons or ASKED_AGAIN
    retries = retries_of(run)
    failed: dict[int, list[str]] = defaultdict(list)
    for round_, page in newest_pages(run, retry.start):
        if page.reason in wanted:
            failed[depth_of(round_, retries)].append(page.url)
    return dict(failed)
