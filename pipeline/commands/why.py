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
from pipeline.row_files import attempts, collected_parts, rows_of, shard_holding, urls_of_host
from transforms import run_dir, storage
from transforms.formats import parquet
from transforms.records import Candidate, Reject, Score, Selected
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
    events = life(folder, uid, args.name, args.what)
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


def life(run: str, uid: bytes, name: str, url: str = "") -> list[Event]:
    """The events of a uid, in the order of the stages; none where it is unknown. `url`: its own, if known."""
    parts = [row for path in collected_parts(run, run_dir.CANDIDATES, uid) for row in rows_of(path, uid, Candidate)]
    tried = list(attempts(run, uid, parts[0]["url"] if parts else url))
    stems = [stem for stem, _ in tried]
    return [
        *collected(run, uid, parts),
        *(_attempt(row, round_of(stem)) for stem, row in tried),  # the last one counts
        *scored(run, uid, stems),
        *selected(run, uid, stems, name),
        *packed(run, uid, name),
    ]


def collected(run: str, uid: bytes, candidates: list[dict[str, Any]]) -> Iterator[Event]:
    for row in (row for path in collected_parts(run, run_dir.REJECTS, uid) for row in rows_of(path, uid, Reject)):
        facts = {"url": row["url"], "page_url": row["page_url"], "caption": row["caption"]}
        yield Event("collect", f"{row['unit']} dropped", _decision(row["step"], row) | facts)
    for row in candidates:
        source = f"{row['source']['path']} at {row['source']['offset']}" if row["source"]["path"] else "a request"
        yield Event("collect", "candidate", {"url": row["url"], "occurrences": row["occurrences"], "source": source})
        for caption in row["captions"]:
            yield Event("collect", "caption", _caption(caption))


def _caption(caption: dict[str, Any]) -> dict[str, Any]:
    keys = ("text", "kind", "page_url", "language", "probability", "count", "license")
    return {key: caption[key] for key in keys} | {"id": caption["id"].hex()}


def _decision(step: str, row: dict[str, Any]) -> dict[str, Any]:
    return {"step": step, "reason": row["reason"], "value": row["value"], "detail": row["detail"]}


def _attempt(row: dict[str, Any], round_: int) -> Event:
    keys = ("http_status", "final_url", "redirects", "x_robots_tag", "format", "original_width", "original_height",
            "original_bytes", "sha256")  # fmt: skip
    facts = {"round": round_} | {key: row[key] for key in keys if row[key] is not None}
    if row["reason"]:
        return Event("fetch", "dropped", _decision("fetch", row) | facts)
    extent = {"tar": storage.join(run_dir.IMAGES, row["tar"]), "offset": row["offset"], "length": row["length"]}
    return Event("fetch", "fetched", facts | {"phash": row["phash"].hex() if row["phash"] else None} | extent)


def scored(run: str, uid: bytes, stems: list[str]) -> Iterator[Event]:
    for row in (row for stem in stems for row in rows_of(run_dir.score_rows(run, stem), uid, Score)):
        facts = {"caption_id": row["caption_id"].hex(), "model": row["model"], "similarity": row["similarity"]}
        yield Event("score", "measured", facts)


def selected(run: str, uid: bytes, stems: list[str], name: str) -> Iterator[Event]:
    for row in (row for stem in stems for row in rows_of(run_dir.selected_rows(run, name, stem), uid, Selected)):
        if row["kept"]:
            ids = [i.hex() for i in row["caption_ids"]]
            yield Event("select", "kept", {"selection": name, "caption_ids": ids, "similarity": row["similarity"]})
        elif row["step"] != "fetch":
            yield Event("select", "dropped", {"selection": name} | _decision(row["step"], row))


def packed(run: str, uid: bytes, name: str) -> Iterator[Event]:
    shard = shard_holding(run, name, uid)
    if shard is None:
        return
    mine = ds.field("uid") == uid.hex()
    path = storage.join(run_dir.shards_folder(run, name), shard)
    for row in parquet.rows_where(path, mine, ["key", "caption"]):
        tar = storage.join(run_dir.shards(name), shard.removesuffix(".parquet") + ".tar")
        yield Event("pack", "in a shard", {"tar": tar, "key": row["key"], "caption": row["caption"]})


def nearest_urls(run: str, what: str) -> list[str]:
    """Urls of the same host that look most like `what`, of those that the run keeps by host: what it plans to ask."""
    host = host_of(what)
    known = {url for url in urls_of_host(run, host) if host_of(url) == host}
    return difflib.get_close_matches(what, sorted(known)[:MAX_LOOKED_AT], MAX_NEAREST, cutoff=0.5)


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
                is_whole = isinstance(value, float) and value.is_integer()
                console.print(f"  {key:<14} {int(value) if is_whole else value}")
