"""Stage `pack`: a selection becomes shards, and the files that describe them: sizes.json, subset.npy, manifest.json."""

import json
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq

from pipeline.config import content
from pipeline.context import Context
from pipeline.manifest import Stamp, outputs_of
from pipeline.stages.base import Stage, facts_of
from transforms import run_dir, storage
from transforms.formats.parquet import count_rows
from transforms.pack.shard import SHARD_SCHEMA, subset_entry
from transforms.pack.transform import Pack
from transforms.records import SCHEMA_VERSION

SUBSET_TYPE = np.dtype("u8,u8")  # DataComp's


def stamp(c: Context) -> Stamp:
    return Stamp(content(c.settings.pack), {"selection": c.digest(f"select.{c.name}")})


def check(c: Context) -> None:
    """Nothing but the selection is needed."""


def work(c: Context) -> bool:
    folder = run_dir.shards_folder(c.run, c.name)
    storage.delete_folder(folder)
    storage.make_folder(folder)
    stems = run_dir.part_stems(c.run, run_dir.selection(c.name))
    c.progress.stage("pack", len(stems), "parts")
    transform = Pack(c.run, c.name, c.settings.pack)
    c.engine.run(lambda p: p | "Parts" >> beam.Create(stems) | transform, "pack", c.progress.say)
    finish_shards(folder)
    return True


def facts(c: Context) -> dict[str, Any]:
    folder = run_dir.shards_folder(c.run, c.name)
    names = [n for n in storage.list_names(folder) if n != "README.md"]
    samples = sum(count_rows(storage.join(folder, n)) for n in storage.list_names(folder, "*.parquet"))
    return facts_of(outputs_of(folder, names), {"samples": samples})


def finish_shards(folder: str) -> None:
    """Write the files that describe a folder of finished shards; the manifest last."""
    tars = storage.list_names(folder, "*.tar")
    shards = [describe(folder, name) for name in tars]
    _publish_json(storage.join(folder, "sizes.json"), {s["name"]: s["samples"] for s in shards})
    with storage.publishing(storage.join(folder, "subset.npy")) as file:
        np.save(file, subset_of(folder))
    manifest = {
        "format": "pairmill-shards",
        "schema_version": SCHEMA_VERSION,
        "samples": sum(s["samples"] for s in shards),
        "shards": shards,
        "files": {n: storage.sha256_of(storage.join(folder, n)) for n in ("sizes.json", "subset.npy")},
        "schema": {field.name: str(field.type) for field in SHARD_SCHEMA},
    }
    _publish_json(storage.join(folder, "manifest.json"), manifest)


def describe(folder: str, tar: str) -> dict[str, Any]:
    """A shard's entry in the manifest: sizes in bytes, sha256 in hex, number of samples."""
    name = tar.removesuffix(".tar") + ".parquet"
    with storage.open_for_reading(storage.join(folder, name)) as file:
        samples = pq.ParquetFile(file).metadata.num_rows
    return {**_file(folder, tar), "samples": samples, "parquet": _file(folder, name)}


def _file(folder: str, name: str) -> dict[str, Any]:
    path = storage.join(folder, name)
    return {"name": name, "size_bytes": storage.size_bytes(path), "sha256": storage.sha256_of(path)}


def subset_of(folder: str) -> np.ndarray:
    """(samples,) of dtype u8,u8, sorted: the subset file that DataComp's tools read."""
    entries: list[tuple[int, int]] = []
    for name in storage.list_names(folder, "*.parquet"):
        with storage.open_for_reading(storage.join(folder, name)) as file:
            rows = pq.ParquetFile(file).read(["uid", "source_uid"]).to_pylist()
        entries += [subset_entry(row["uid"], row["source_uid"]) for row in rows]
    return np.sort(np.array(entries, SUBSET_TYPE))


def _publish_json(path: str, value: Any) -> None:
    storage.publish(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())


STAGE = Stage("pack", ("shards/{name}",), stamp, check, work, facts, named=True)
