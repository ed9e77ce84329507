"""Shards hold every kept pair once, in an order and in bytes that depend on nothing else."""

import json
import tarfile

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.samples import image

from pipeline.stages.pack import finish_shards
from transforms.formats import parquet
from transforms.formats.tar import TarWriter
from transforms.pack.settings import PackSettings
from transforms.pack.shard import subset_entry
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
    assert subset_entry("ab" * 16, "") == (0xABABABABABABABAB, 0xABABABABABABABAB)
    assert subset_entry("ab" * 16, "0" * 31 + "1") == (0, 1)
    assert subset_entry("ab" * 16, "17") == subset_entry("ab" * 16, "")
