"""Which files of a run can hold a uid: rows lie by hashes of uid, host and rank, so that few files need be opened."""

import json
import os
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from filters.reasons import Reason
from filters.url import host_of
from pipeline.manifest import Manifests
from transforms import run_dir, storage
from transforms.crawl.passes import rounds_planned
from transforms.formats import parquet
from transforms.pack.shuffle import rank_of
from transforms.partition import partition_of, task_of
from transforms.records import Image
from transforms.rounds import rounds_of


def settings_of(run: str, label: str) -> dict[str, Any]:
    """The settings with which a stage was begun; {} where it was not."""
    manifests = Manifests(run)
    return (manifests.read(label) or manifests.started(label) or {}).get("settings", {})


def rows_of(path: str, uid: bytes, record: type) -> Iterator[dict[str, Any]]:
    """The rows of a uid in a file of records, as dicts; none where the file is missing."""
    if storage.exists(path):
        yield from parquet.rows_where(path, ds.field("uid") == uid, schema=parquet.schema_of(record))


def collected_parts(run: str, folder: str, uid: bytes) -> list[str]:
    """The path of the part of `candidates/` or `rejects/` that is for `uid`; where nobody knows how many there are, of
    all of them."""
    parts = settings_of(run, "collect").get("parts")
    whole = storage.join(run, folder)
    if parts is None:
        return [storage.join(whole, name) for name in storage.list_names(whole, "part-*.parquet")]
    return [storage.join(whole, f"part-{partition_of(uid, parts):05d}.parquet")]


def attempts(run: str, uid: bytes, url: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a uid in `images/`, each with the stem of its part, round by round; found by the plans."""
    asked = url  # a round may be led on to the host of another task: the next one begins there
    for round_ in rounds_of(run):
        plan = plan_of_host(run, round_, host_of(asked))
        for part in [] if plan is None else planned_parts(plan, uid):
            stem = run_dir.stem_of(round_, run_dir.task_of_plan(os.path.basename(str(plan))), part)
            for row in rows_of(run_dir.image_rows(run, stem), uid, Image):
                yield stem, row
                asked = (row["reason"] == Reason.HANDED_OVER and row["final_url"]) or url


def plan_of_host(run: str, round_: int, host: str) -> str | None:
    """The plan of the task that owns a host in a round; None where there is none."""
    whole = storage.join(run, run_dir.IMAGES, run_dir.PLAN, f"{round_:04d}.json")
    if not storage.exists(whole):
        return None
    tasks = json.loads(storage.read_bytes(whole))["of"]
    path = run_dir.fetch_plan(run, round_, task_of(host, tasks))
    return path if storage.exists(path) else None


def planned_parts(path: str, uid: bytes) -> list[int]:
    """The parts of a plan in which a uid stands."""
    found: list[int] = []
    for batch in parquet.batches(path, ["part", "candidate.uid"]):
        is_it = pc.equal(pc.struct_field(batch["candidate"], "uid"), pa.scalar(uid, pa.binary()))
        found += batch["part"].filter(is_it).to_pylist()
    return found


def shard_holding(run: str, name: str, uid: bytes) -> str | None:
    """The name of the shard's Parquet whose ranks go around that of `uid`, by halving; None where there is no shard."""
    folder = run_dir.shards_folder(run, name)
    seed = settings_of(run, f"pack.{name}").get("seed", 0)

    def first(shard: str) -> tuple[bytes, bytes]:
        row = next(parquet.read_columns(storage.join(folder, shard), ["uid"], batch_rows=1))
        return place(bytes.fromhex(row["uid"]))

    def place(uid: bytes) -> tuple[bytes, bytes]:
        return rank_of(uid, seed), uid

    shards = storage.list_names(folder, "*.parquet")
    index = bisect_right(shards, place(uid), key=first) - 1
    return shards[index] if index >= 0 else None


def urls_of_host(run: str, host: str) -> Iterator[str]:
    """The images and pages that the tasks of a host were to ask, those of other hosts of these tasks among them.

    Before `fetch` has planned them, images of one part of the candidates.
    """
    plans = [path for round_ in rounds_of(run) if (path := plan_of_host(run, round_, host)) is not None]
    for path in plans:
        for batch in parquet.batches(path, ["candidate.url"]):
            yield from pc.struct_field(batch["candidate"], "url").to_pylist()
    for path in [] if plans else storage.list_names(run_dir.folder(run, run_dir.CANDIDATES), "part-*.parquet")[:1]:
        yield from (row["url"] for row in parquet.read_columns(run_dir.folder(run, run_dir.CANDIDATES, path), ["url"]))
    tasks: int = (settings_of(run, "collect").get("crawl") or {}).get("tasks", 0)
    for round_ in range(rounds_planned(run) if tasks else 0):
        path = run_dir.crawl_plan(run, round_, task_of(host, tasks))
        if storage.exists(path):
            yield from (row["url"] for row in parquet.read_columns(path, ["url"]))
