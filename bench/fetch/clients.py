"""The two clients under measure: Pairmill's `fetch` and img2dataset, with the same image settings."""

import json
import shlex
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import yaml

from bench.fetch.measure import Cost, cost_of
from transforms.web.certificates import authorities

SIZE, QUALITY, PROCESSES = 256, 95, 2
LIMIT_S = 1800
PAIRMILL = str(Path(sys.executable).with_name("pairmill"))
IMG2DATASET = str(Path(sys.executable).parents[1].with_name(".venv-img2dataset") / "bin" / "img2dataset")
SHARED_TLS = str(Path(__file__).with_name("shared_tls"))


class Outcome(NamedTuple):
    """One run of a client over a list."""

    cost: Cost
    kept: int
    folder: Path  # with tars

    @property
    def cpu_ms(self) -> float:
        return 1000 * self.cost.cpu_s / max(self.kept, 1)

    @property
    def images_per_s(self) -> float:
        return self.kept / self.cost.wall_s


def pairmill(folder: Path, table: Path, ca_file: Path, **web: object) -> Outcome:
    """Default limits and all checks; only what loopback needs is allowed."""
    folder.mkdir(parents=True)
    allowed = {"allow_private": ["127.0.0.0/8"], "ca_file": str(ca_file), "contact": "bench@example.org"}
    config = {
        "collect": {"tables": {"paths": [str(table)], "url": "url", "caption": "caption"}},
        "fetch": {"image": {"size": SIZE, "mode": "keep_ratio", "quality": QUALITY, "rules": {"min_side": 0}}},
        "web": allowed | web,
        "engine": {"workers": PROCESSES},
    }
    (folder / "bench.yaml").write_text(yaml.safe_dump(config))
    run = folder / "run"
    words = [PAIRMILL, "run", str(folder / "bench.yaml"), "--run-dir", str(run), "--to", "fetch"]
    cost = cost_of(words, {}, folder / "log", LIMIT_S)
    kept = json.loads((run / "manifest/fetch.json").read_text())["counts"]["images"]
    return Outcome(cost, kept, run / "images")


def img2dataset(folder: Path, table: Path, ca_file: Path, shared_tls: bool = False) -> Outcome:
    folder.mkdir(parents=True)
    words = f"""{IMG2DATASET} --url_list {table} --input_format parquet --url_col url --caption_col caption
        --output_folder {folder / "out"} --output_format webdataset --processes_count {PROCESSES} --thread_count 64
        --image_size {SIZE} --resize_mode keep_ratio --resize_only_if_bigger True --encode_quality {QUALITY}
        --number_sample_per_shard 1000 --enable_wandb False --timeout 10"""
    environment = {"SSL_CERT_FILE": authorities(str(ca_file)), "NO_ALBUMENTATIONS_UPDATE": "1"}
    if shared_tls:
        environment["PYTHONPATH"] = SHARED_TLS
    cost = cost_of(shlex.split(words), environment, folder / "log", LIMIT_S)
    tables = [pq.read_table(path, columns=["status"]) for path in sorted((folder / "out").glob("*.parquet"))]
    kept = sum(status == "success" for table in tables for status in table["status"].to_pylist())
    return Outcome(cost, kept, folder / "out")


def stored_images(folder: Path) -> Iterator[tuple[str, bytes]]:
    """(url, encoded image) of all samples in the tars of a folder; both clients name their members alike."""
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            found: dict[str, bytes] = {}
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                key, _, kind = member.name.partition(".")
                if kind == "jpg":
                    found[key] = file.read()
                elif kind == "json" and key in found:
                    yield json.loads(file.read())["url"], found.pop(key)
