"""The tools that people train with read the shards: open_clip_train, webdataset, Hugging Face datasets."""

import json
import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest


@pytest.fixture(scope="module")
def shards(finished):
    return finished / "shards/main"


@pytest.fixture(scope="module")
def rows(shards):
    return [row for path in sorted(shards.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


@pytest.mark.timeout(300)
def test_open_clip_trains_on_them(shards, rows, tmp_path):
    """The program in open_clip's own wheel, one epoch; the number of samples comes from sizes.json."""
    model = tmp_path / "model"
    model.mkdir()
    config = {
        "model_cfg": {
            "embed_dim": 32,
            "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
            "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
        },
        "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "size": [32, 32]},
    }
    (model / "open_clip_config.json").write_text(json.dumps(config))
    words = [sys.executable, "-m", "open_clip_train.main", "--dataset-type", "webdataset", "--train-data",
             str(shards / "00000.tar"), "--model", f"local-dir:{model}", "--batch-size", "16", "--epochs", "1",
             "--workers", "1", "--device", "cpu", "--precision", "fp32", "--logs", str(tmp_path / "logs"), "--name", "x"]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, timeout=250, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    log = (tmp_path / "logs/x/out.log").read_text()
    samples = json.loads((shards / "sizes.json").read_text())["00000.tar"]
    assert f"/{samples // 16 * 16} (" in log or f"/{-(-samples // 16) * 16} (" in log, log[-2000:]
    assert "Contrastive_loss" in log


def test_webdataset_reads_every_sample(shards, rows):
    import webdataset

    urls = [str(path) for path in sorted(shards.glob("*.tar"))]
    dataset = webdataset.WebDataset(urls, shardshuffle=False).decode("pil").to_tuple("__key__", "jpg", "txt", "json")
    found = list(dataset)
    assert [key for key, *_ in found] == [row["key"] for row in rows]
    for (_, image, text, sidecar), row in zip(found, rows, strict=True):
        assert image.size == (row["width"], row["height"])
        assert text == row["caption"] == sidecar["caption"]


def test_hugging_face_datasets_reads_every_sample(shards, rows, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets

    files = [str(path) for path in sorted(shards.glob("*.tar"))]
    found = datasets.load_dataset("webdataset", data_files=files, split="train", cache_dir=str(tmp_path))
    assert found["__key__"] == [row["key"] for row in rows]
    assert [s["uid"] for s in found["json"]] == [row["uid"] for row in rows]
    assert found[0]["jpg"].size == (rows[0]["width"], rows[0]["height"])
