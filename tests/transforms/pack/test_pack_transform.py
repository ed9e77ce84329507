"""Shards hold every kept pair once, in an order and in bytes that depend on nothing else."""

import hashlib
import json
import random
import subprocess
import sys
import tarfile
from collections import Counter

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.opened import Opened
from helpers.samples import image

from pipeline import config
from pipeline.context import Context
from pipeline.engines.engine import Engine
from pipeline.stages.pack import facts, finish_shards
from pipeline.ui.progress import Progress
from transforms.formats import parquet
from transforms.formats.tar import TarWriter
from transforms.pack import subset
from transforms.pack.settings import PackSettings
from transforms.pack.subset import subset_uids, write_subset
from transforms.pack.transform import Pack
from transforms.records import Image, Selected

STEMS = ("0000-00000-00000", "0000-00001-00000")


@pytest.fixture
def run(tmp_path):
    for stem in STEMS:
        (tmp_path / "images").mkdir(exist_ok=True)
        rows = write_images(tmp_path, stem, [f"http://h.example/{stem}/{n}.jpg" for n in range(25)])
        parquet.write_rows(str(tmp_path / "images" / f"{stem}.parquet"), Image, rows)
        fates = [fate(row, stem, n) for n, row in enumerate(rows)]
        parquet.write_rows(str(tmp_path / "selection/main" / f"{stem}.parquet"), Selected, fates)
    return tmp_path


def write_images(run, stem, urls):
    with open(run / "images" / f"{stem}.tar", "wb") as file:
        tar = TarWriter(file)
        rows = []
        for url in urls:
            row = image(url, tar=f"{stem}.tar", extra='{"author":"ann"}')
            data = b"\xff\xd8\xff" + url.encode()
            rows.append(row._replace(offset=tar.add(f"{row.key}.jpg", data), length=len(data)))
        tar.close()
    return rows


def fate(row, stem, number):
    kept = number % 5 != 0
    ids = tuple(c.id for c in row.captions) if kept else ()
    return Selected(row.uid, row.url, kept, "" if kept else "caption", "" if kept else "language", None, "", ids,
                    0.25 if kept else None, stem, number)  # fmt: skip


def pack(run, name="main", **settings):
    with beam.Pipeline("FnApiRunner") as pipeline:
        pipeline | beam.Create(STEMS) | Pack(str(run), name, PackSettings(**settings))
    finish_shards(str(run / "shards" / name))
    return run / "shards" / name


def test_every_kept_pair_once_in_exact_shards(run):
    folder = pack(run, samples_per_shard=15)
    assert json.loads((folder / "sizes.json").read_text()) == {"00000.tar": 15, "00001.tar": 15, "00002.tar": 10}
    keys = [k for f in sorted(folder.glob("*.parquet")) for k in pq.read_table(f)["key"].to_pylist()]
    kept = {f.uid.hex() for f in parquet.read_all(str(run / "selection/main"), "*.parquet", Selected) if f.kept}
    assert len(keys) == len(set(keys)) == 40
    assert set(keys) == kept


def test_members_follow_the_rows(run):
    folder = pack(run, samples_per_shard=100)
    rows = pq.read_table(folder / "00000.parquet").to_pylist()
    with tarfile.open(folder / "00000.tar") as tar:
        names = tar.getnames()
        assert names == [f"{r['key']}.{e}" for r in rows for e in ("jpg", "txt", "json")]
        first = json.load(tar.extractfile(names[2]))
        assert tar.extractfile(names[0]).read() == b"\xff\xd8\xff" + rows[0]["url"].encode()
        assert tar.extractfile(names[1]).read().decode() == rows[0]["caption"]
    assert first["author"] == "ann"
    assert {k: first[k] for k in rows[0] if k != "captions"} == {k: v for k, v in rows[0].items() if k != "captions"}


def test_the_same_selection_gives_the_same_bytes(run, digest_of_folder):
    first = digest_of_folder(pack(run, samples_per_shard=7))
    assert digest_of_folder(pack(run, samples_per_shard=7)) == first
    assert digest_of_folder(pack(run, samples_per_shard=7, seed=1)) != first


def test_the_subset_file_is_datacomps(run):
    subset = np.load(pack(run) / "subset.npy")
    assert subset.dtype == np.dtype("u8,u8")
    assert len(subset) == 40
    assert (np.sort(subset) == subset).all()
    foreign = ["", "0" * 31 + "1", "17", "AB" * 16, "0" * 32 + "\n"]
    halves = subset_uids(pa.array(["ab" * 16] * len(foreign)), pa.array(foreign)).view(">u8").reshape(-1, 2)
    own = [0xABABABABABABABAB, 0xABABABABABABABAB]
    assert halves.tolist() == [own, [0, 1], own, own, own]


def test_the_manifest_tells_the_files_as_they_lie_there(run):
    folder = pack(run, samples_per_shard=15)
    said = json.loads((folder / "manifest.json").read_text())
    files = [file for shard in said["shards"] for file in (shard, shard["parquet"])]
    assert [file["name"] for file in files] == [f"0000{n}.{e}" for n in range(3) for e in ("tar", "parquet")]
    for file in files:
        data = (folder / file["name"]).read_bytes()
        assert (file["size_bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    for name, digest in said["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert {p.name for p in folder.iterdir()} == {f["name"] for f in files} | {*said["files"], "manifest.json"}


def test_no_tar_is_read_to_describe_the_shards(run, monkeypatch):
    """Nor is a Parquet read twice."""
    with beam.Pipeline("FnApiRunner") as pipeline:
        pipeline | beam.Create(STEMS) | Pack(str(run), "main", PackSettings(samples_per_shard=15))
    settings = config.load("urls", ["collect.tables.paths=[t.csv]"])
    opened = Opened(monkeypatch)
    folder = run / "shards/main"
    finish_shards(str(folder))
    told = facts(Context(str(run), "main", settings, Engine(settings.engine), Progress()))
    assert Counter(opened.files) == {"main/written.json": 1, "main/00000.parquet": 1, "main/00001.parquet": 1,
                                     "main/00002.parquet": 1, "main/manifest.json": 2}  # fmt: skip
    assert told["outputs"] == {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}
    assert told["counts"] == {"samples": 40}


def test_many_runs_are_merged_in_order(tmp_path, monkeypatch):
    """Uids of one beginning, of which some stand twice, and others that end in zeros."""
    monkeypatch.setattr(subset, "RUN_ROWS", 50)
    monkeypatch.setattr(subset, "BLOCK_ROWS", 7)
    texts = [f"{n % 900:032x}" for n in range(0, 7_000, 7)] + [f"{n:x}".ljust(32, "0") for n in range(1, 300)]
    random.Random(5).shuffle(texts)
    names = [f"{n}.parquet" for n in range(0, len(texts), 30)]
    for name in names:
        some = texts[int(name.partition(".")[0]) :][:30]
        pq.write_table(pa.table({"uid": some, "source_uid": [""] * len(some)}), tmp_path / name)
    with open(tmp_path / "subset.npy", "wb") as file:
        write_subset(file, str(tmp_path), names)
    expected = np.sort(np.array([(int(t[:16], 16), int(t[16:], 16)) for t in texts], "u8,u8"))
    np.save(tmp_path / "expected.npy", expected)
    assert (tmp_path / "subset.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()


MEASURE = """
import resource, sys
from transforms.pack.subset import write_subset
with open(sys.argv[1] + "/subset.npy", "wb") as file:
    write_subset(file, sys.argv[1], ["a.parquet"] * int(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def test_memory_does_not_grow_with_the_samples(tmp_path):
    """8 bytes a sample would be more: 1.6 GB of uids for 100 million samples are not held."""
    rows = 100_000
    uids = [random.Random(n).randbytes(16).hex() for n in range(rows)]
    pq.write_table(pa.table({"uid": uids, "source_uid": [""] * rows}), tmp_path / "a.parquet")

    def peak_bytes(times: int) -> int:
        words = [sys.executable, "-c", MEASURE, str(tmp_path), str(times)]
        return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)

    assert peak_bytes(60) - peak_bytes(20) < 8 * 40 * rows
    assert (tmp_path / "subset.npy").stat().st_size == 128 + 16 * 20 * rows
