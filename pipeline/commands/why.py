"""the life of one pair: where it came from, every decision and its value, where it is now"""

import argparse
import difflib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow.dataset as ds
from rich.console import Console

from filters.url import host_of, normalise_url, uid_of
from pipeline.arguments import add_run, check_run, selection_name
from transforms import run_dir, storage
from transforms.formats import parquet
from transforms.records import Candidate, CrawlPage, Image, Reject, Score, Selected
from transforms.run_dir import round_of

MAX_NEAREST, MAX_LOOKED_AT = 5, 20_000


class Event(NamedTuple):
    """One thing that happened to a pair."""

    stage: str
    what: str
    facts: dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("what", metavar="URL-OR-UID")
    parser.add_argument("--name", type=selection_name, default="main")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Print the life of a url or uid. Returns 1 where the run has never heard of it."""
    folder = check_run(args.run)
    uid = uid_named(args.what)
    events = life(folder, uid, args.name)
    if args.json:
        rows = [{"stage": e.stage, "what": e.what, **e.facts} for e in events]
        nearest = [] if events else nearest_urls(folder, args.what)
        print(json.dumps({"uid": uid.hex(), "events": rows, "nearest": nearest}, ensure_ascii=False, indent=2))
    else:
        print_life(folder, args.what, uid, events)
    return 0 if events else 1


def uid_named(what: str) -> bytes:
    """The uid of 32 hex digits, or of a url in any spelling."""
    text = what.strip()
    if len(text) == 32 and all(c in "0123456789abcdefABCDEF" for c in text):
        return bytes.fromhex(text)
    return uid_of(normalise_url(text) or text)


def life(run: str, uid: bytes, name: str) -> list[Event]:
    """The events of a uid, in the order of the stages; none where it is unknown."""
    return [
        *collected(run, uid),
        *fetched(run, uid),
        *scored(run, uid),
        *selected(run, uid, name),
        *packed(run, uid, name),
    ]


def rows_of(run: str, folder: str, record: type, uid: bytes, pattern: str = "*.parquet") -> Iterator[Any]:
    """The rows of one uid in a folder's Parquets: statistics spare most of the reading."""
    whole = storage.join(run, folder)
    for name in storage.list_names(whole, pattern):
        if run_dir.is_part(name):
            path = storage.join(whole, name)
            yield from parquet.rows_where(path, ds.field("uid") == uid, schema=parquet.schema_of(record))


def collected(run: str, uid: bytes) -> Iterator[Event]:
    for row in rows_of(run, run_dir.REJECTS, Reject, uid):
        facts = {"url": row["url"], "page_url": row["page_url"], "caption": row["caption"]}
        yield Event("collect", f"{row['unit']} dropped", _decision(row["step"], row) | facts)
    for row in rows_of(run, run_dir.CANDIDATES, Candidate, uid, "part-*.parquet"):
        source = f"{row['source']['path']} at {row['source']['offset']}" if row["source"]["path"] else "a request"
        yield Event("collect", "candidate", {"url": row["url"], "occurrences": row["occurrences"], "source": source})
        for caption in row["captions"]:
            yield Event("collect", "caption", _caption(caption))


def _caption(caption: dict[str, Any]) -> dict[str, Any]:
    keys = ("text", "kind", "page_url", "language", "probability", "count", "license")
    return {key: caption[key] for key in keys} | {"id": caption["id"].hex()}


def _decision(step: str, row: dict[str, Any]) -> dict[str, Any]:
    return {"step": step, "reason": row["reason"], "value": row["value"], "detail": row["detail"]}


def fetched(run: str, uid: bytes) -> Iterator[Event]:
    """Every attempt; the last one counts."""
    for stem in run_dir.part_stems(run):
        path = run_dir.image_rows(run, stem)
        for row in parquet.rows_where(path, ds.field("uid") == uid, schema=parquet.schema_of(Image)):
            yield _attempt(row, round_of(stem))


def _attempt(row: dict[str, Any], round_: int) -> Event:
    keys = ("http_status", "final_url", "redirects", "x_robots_tag", "format", "original_width", "original_height",
            "original_bytes", "sha256")  # fmt: skip
    facts = {"round": round_} | {key: row[key] for key in keys if row[key] is not None}
    if row["reason"]:
        return Event("fetch", "dropped", _decision("fetch", row) | facts)
    extent = {"tar": storage.join(run_dir.IMAGES, row["tar"]), "offset": row["offset"], "length": row["length"]}
    return Event("fetch", "fetched", facts | {"phash": row["phash"].hex() if row["phash"] else None} | extent)


def scored(run: str, uid: bytes) -> Iterator[Event]:
    for row in rows_of(run, run_dir.SCORES, Score, uid):
        facts = {"caption_id": row["caption_id"].hex(), "model": row["model"], "similarity": row["similarity"]}
        yield Event("score", "measured", facts)


def selected(run: str, uid: bytes, name: str) -> Iterator[Event]:
    for row in rows_of(run, run_dir.selection(name), Selected, uid):
        if row["kept"]:
            ids = [i.hex() for i in row["caption_ids"]]
            yield Event("select", "kept", {"selection": name, "caption_ids": ids, "similarity": row["similarity"]})
        elif row["step"] != "fetch":
            yield Event("select", "dropped", {"selection": name} | _decision(row["step"], row))


def packed(run: str, uid: bytes, name: str) -> Iterator[Event]:
    folder = run_dir.shards_folder(run, name)
    for shard in storage.list_names(folder, "*.parquet"):
        mine = ds.field("uid") == uid.hex()
        for row in parquet.rows_where(storage.join(folder, shard), mine, ["key", "caption"]):
            tar = storage.join(run_dir.shards(name), shard.removesuffix(".parquet") + ".tar")
            yield Event("pack", "in a shard", {"tar": tar, "key": row["key"], "caption": row["caption"]})


def nearest_urls(run: str, what: str) -> list[str]:
    """Urls of the same host that the run knows and that look most like `what`."""
    host = host_of(what)
    known: set[str] = set()
    places: tuple[tuple[str, Any], ...] = (
        (run_dir.CANDIDATES, Candidate),
        (run_dir.REJECTS, Reject),
        (run_dir.PAGES, CrawlPage),
    )
    for folder, record in places:
        pattern = "part-*.parquet" if folder != run_dir.PAGES else "*.parquet"
        for row in parquet.read_all(storage.join(run, folder), pattern, record):
            if host_of(row.url) == host:
                known.add(row.url)
            if len(known) >= MAX_LOOKED_AT:
                break
    return difflib.get_close_matches(what, sorted(known), MAX_NEAREST, cutoff=0.5)


def print_life(run: str, what: str, uid: bytes, events: list[Event]) -> None:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"{what}\nuid {uid.hex()}")
    if not events:
        console.print(f"{run} has never heard of it: no page and no table that was read names this image")
        for url in nearest_urls(run, what):
            console.print(f"  did you mean {url}")
        return
    for event in events:
        console.print(f"\n{event.stage}: {event.what}", style="bold")
        for key, value in event.facts.items():
            if value not in (None, ""):
                console.print(f"  {key:<14} {value}")
