"""Stage `pack`: a selection becomes shards, and the files that describe them: sizes.json, subset.npy, manifest.json."""

import hashlib
import json
from typing import Any

import apache_beam as beam

from pipeline.config import content
from pipeline.context import Context
from pipeline.manifest import Stamp, outputs_of
from pipeline.stages.base import Stage, facts_of
from transforms import run_dir, storage
from transforms.pack.shard import SHARD_SCHEMA
from transforms.pack.subset import write_subset
from transforms.pack.transform import LIST, Pack, written_shards
from transforms.records import SCHEMA_VERSION

MANIFEST = "manifest.json"


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
    """By what the manifest says: the shards are not read again."""
    folder = run_dir.shards_folder(c.run, c.name)
    said = json.loads(storage.read_bytes(storage.join(folder, MANIFEST)))
    files = [file for shard in said["shards"] for file in (shard, shard["parquet"])]
    outputs = {file["name"]: file["sha256"] for file in files} | said["files"] | outputs_of(folder, [MANIFEST])
    return facts_of(outputs, {"samples": said["samples"]})


def finish_shards(folder: str) -> None:
    """Write the files that describe a folder of finished shards; the manifest last. Raises StorageError."""
    shards = written_shards(folder)
    sizes = _json({shard.tar.name: shard.samples for shard in shards})
    storage.publish(storage.join(folder, "sizes.json"), sizes)
    with storage.publishing(storage.join(folder, "subset.npy")) as file:
        subset = storage.Digesting(file, hashlib.sha256())
        write_subset(subset, folder, [shard.parquet.name for shard in shards])
    manifest = {
        "format": "pairmill-shards",
        "schema_version": SCHEMA_VERSION,
        "samples": sum(shard.samples for shard in shards),
        "shards": [s.tar._asdict() | {"samples": s.samples, "parquet": s.parquet._asdict()} for s in shards],
        "files": {"sizes.json": hashlib.sha256(sizes).hexdigest(), "subset.npy": subset.hexdigest()},
        "schema": {field.name: str(field.type) for field in SHARD_SCHEMA},
    }
    storage.delete(storage.join(folder, LIST))
    storage.publish(storage.join(folder, MANIFEST), _json(manifest))


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


STAGE = Stage("pack", ("shards/{name}",), stamp, check, work, facts, named=True)
