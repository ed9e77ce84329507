"""Rounds of asking. The first is the run's own; `retry` and `refresh` add others, and so does every round whose
redirects led to hosts of other tasks. The newest row of a uid counts.

`images/rounds/N.json` is the request of round N; `images/rounds/N/<stem>.parquet` holds the numbers of the rows that it
asks again of an older part: they are superseded. Rows of `images/` are never changed.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from transforms import run_dir, storage
from transforms.formats import parquet
from transforms.records import Image, RowNumber

FIRST = 0


class Request(NamedTuple):
    """What a later round asks again: failures for some reasons, everything that was fetched, or what was led on."""

    kind: Literal["retry", "refresh", "redirects", "added"]  # added: candidates that came after the round before
    reasons: tuple[str, ...] = ()  # of a retry; empty for those that may pass


def rounds_of(run: str) -> list[int]:
    """The rounds that a run has begun, the first among them."""
    names = storage.list_names(run_dir.folder(run, run_dir.IMAGES, run_dir.ROUNDS), "*.json")
    return [FIRST, *sorted(int(name.removesuffix(".json")) for name in names)]


def read_request(run: str, round_: int) -> Request | None:
    """None for the first round, which asks for the candidates."""
    if round_ == FIRST:
        return None
    said = json.loads(storage.read_bytes(run_dir.request(run, round_)))
    return Request(said["kind"], tuple(said["reasons"]))


def times_again(run: str) -> int:
    """How often somebody has asked that pages or images are asked for again."""
    passes = storage.list_names(run_dir.folder(run, run_dir.PAGES, run_dir.RETRIES), "*.json")
    requests = [read_request(run, round_) for round_ in rounds_of(run)]
    return len(passes) + sum(request is not None and request.kind in ("retry", "refresh") for request in requests)


def publish_request(run: str, round_: int, request: Request) -> None:
    storage.publish(run_dir.request(run, round_), json.dumps(request._asdict()).encode(), keep_first=True)


def note_again(run: str, round_: int, stem: str, rows: list[int]) -> None:
    """The rows of an older part that round `round_` asks again."""
    if rows:
        parquet.write_rows(run_dir.superseded_rows(run, round_, stem), RowNumber, [RowNumber(row) for row in rows])


def superseded(run: str, stem: str, before: int | None = None, known: Sequence[int] | None = None) -> set[int]:
    """The rows of a part that a later round asks again; only of rounds before `before`, where that is given.

    `known`: what `rounds_of` says, for whoever asks of many parts.
    """
    later = [
        r
        for r in (rounds_of(run) if known is None else known)
        if r > run_dir.round_of(stem) and (before is None or r < before)
    ]
    paths = [path for r in later if storage.exists(path := run_dir.superseded_rows(run, r, stem))]
    return {number.row for path in paths for number in parquet.read_rows(path, RowNumber)}


def live_images(run: str, stem: str, before: int | None = None) -> Iterator[tuple[int, Image]]:
    """The live rows of a part (no later round supersedes them), with their numbers in it."""
    gone = superseded(run, stem, before)
    rows = parquet.read_rows(run_dir.image_rows(run, stem), Image)
    return ((number, row) for number, row in enumerate(rows) if number not in gone)
