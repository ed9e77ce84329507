"""`make bench-fetch`: Pairmill's fetch against img2dataset on loopback, into bench/results/fetch.json.

    python -m bench.fetch.run [--scale 1.0] [--rounds 2] [--only https,https_shared,http,https_reuse,memory,slow_web]

Wants nginx, and the machine alone. Ends by itself.
"""

import argparse
import io
import json
import math
import os
import shlex
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.fetch import slow_web
from bench.fetch.clients import IMG2DATASET, Outcome, img2dataset, pairmill, stored_images
from bench.fetch.corpus import BIG_URLS, HOSTS, WEB_URLS, Corpus, write_corpus, write_urls
from bench.fetch.serving import Web, serving
from pipeline.manifest import versions

RESULTS = Path("bench/results/fetch.json")
SAMPLE = 300  # images whose PSNR is measured
MEMORY_URLS = (2_000, 20_000, 40_000)
ROWS = {  # name -> (scheme, connections are kept, the peer shares its TLS context, hosts)
    "https": ("https", False, False, HOSTS),
    "https_shared": ("https", False, True, HOSTS),
    "http": ("http", False, False, HOSTS),
    "https_reuse": ("https", True, True, HOSTS),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of images")
    parser.add_argument("--rounds", type=int, default=2, help="of each client, in turn")
    parser.add_argument("--only", default=",".join([*ROWS, *OTHERS]))
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if not os.path.exists(IMG2DATASET):
        parser.error(f"{IMG2DATASET} is missing: run `make bench-fetch`, which installs it")
    known = json.loads(arguments.out.read_text()) if arguments.out.exists() else {"ratios": {}, "rows": {}}
    with tempfile.TemporaryDirectory(prefix="pairmill-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's workers are nobody
        say("writing pictures")
        corpus = write_corpus(folder / "pictures")
        with serving(folder / "nginx", corpus.folder) as web:
            for row in arguments.only.split(","):
                measured = OTHERS.get(row, compared)(folder, corpus, web, row, arguments)
                known["rows"][row] = measured
                known["ratios"] |= ratios(row, measured)
                known |= {"versions": versions() | {"img2dataset": "1.47.0"}, "cores": len(os.sched_getaffinity(0)),
                          "command": shlex.join(["python", "-m", "bench.fetch.run", *sys.argv[1:]])}  # fmt: skip
                arguments.out.write_text(json.dumps(known, indent=2) + "\n")
    print(json.dumps(known["ratios"], indent=2))
    return 0


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def compared(folder: Path, corpus: Corpus, web: Web, row: str, arguments: Any) -> dict[str, Any]:
    """Both clients over the same list, in turn."""
    scheme, keep, shared, hosts = ROWS[row]
    port = web.port(scheme, keep)
    table = folder / f"{row}.parquet"
    urls = {"web": int(WEB_URLS * arguments.scale), "big": int(BIG_URLS * arguments.scale)}
    count = write_urls(table, corpus, scheme, port, urls, hosts)
    say(f"{row}: {count} urls")
    clients: dict[str, Callable[[Path], Outcome]] = {
        "img2dataset": lambda place: img2dataset(place, table, web.ca_file, shared),
        "pairmill": lambda place: pairmill(place, table, web.ca_file, ports=[port]),
    }
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in clients}
    for number in range(arguments.rounds):
        for name, run in clients.items():
            place = folder / f"{row}-{name}-{number}"
            found[name].append(figures(run(place), count, partial(psnr, corpus) if not number else None))
            say(f"  {name}: {found[name][-1]}")
            shutil.rmtree(place)
    return {"urls": count, "mean_bytes": round(corpus.mean_bytes("web")),
            **{name: together(runs) for name, runs in found.items()}}  # fmt: skip


def figures(outcome: Outcome, count: int, quality: Callable[[Path], float] | None) -> dict[str, Any]:
    if outcome.kept < 0.99 * count:
        raise SystemExit(f"only {outcome.kept} of {count} images were kept: {outcome}")
    found = {
        "cpu_ms_per_image": round(outcome.cpu_ms, 3),
        "images_per_s": round(outcome.images_per_s, 1),
        "peak_bytes": outcome.cost.peak_bytes,
        "largest_process_bytes": outcome.cost.largest_bytes,
    }
    return found | ({"psnr_db": quality(outcome.folder)} if quality else {})


def together(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean of the runs, and each one's figures."""
    names = runs[0].keys()
    return {n: round(statistics.mean(r[n] for r in runs if n in r), 3) for n in names} | {"runs": runs}


def psnr(corpus: Corpus, folder: Path) -> float:
    """The mean over some images, in dB, against LANCZOS of the whole picture."""
    found = []
    for url, data in stored_images(folder):
        name = url.rpartition("/")[2]
        if name.startswith("web"):
            found.append(psnr_of(Image.open(io.BytesIO(data)), Image.open(corpus.folder / name)))
        if len(found) == SAMPLE:
            break
    return round(statistics.mean(found), 2)


def psnr_of(stored: Image.Image, original: Image.Image) -> float:
    reference = original.convert("RGB").resize(stored.size, Image.Resampling.LANCZOS)
    difference = np.asarray(stored.convert("RGB"), dtype=float) - np.asarray(reference, dtype=float)
    return 10 * math.log10(255**2 / max(float((difference**2).mean()), 1e-3))


def slow(folder: Path, corpus: Corpus, web: Web, row: str, arguments: Any) -> dict[str, Any]:
    """The second table: a web with latency and dead hosts."""
    say(row)
    return slow_web.measured(folder, corpus, web.ca_file, arguments.scale, say)


def memory(folder: Path, corpus: Corpus, web: Web, row: str, arguments: Any) -> dict[str, Any]:
    """Peak memory of Pairmill's largest process for few images and for many."""
    found = {}
    for count in MEMORY_URLS:
        table = folder / f"memory-{count}.parquet"
        write_urls(table, corpus, "https", web.port("https"), {"web": count, "big": 0})
        outcome = pairmill(folder / f"memory-{count}", table, web.ca_file, ports=[web.port("https")])
        found[str(count)] = figures(outcome, count, None)
        say(f"memory: {count} images: {found[str(count)]}")
    return found


def ratios(row: str, measured: dict[str, Any]) -> dict[str, float]:
    if row == "memory":
        few, many, more = (measured[str(count)]["largest_process_bytes"] for count in MEMORY_URLS)
        return {"memory_20k_to_2k": round(many / few, 3), "memory_40k_to_20k": round(more / many, 3)}
    if row == "slow_web":
        return {f"slow_web_{name}_to_ideal": measured[name]["to_ideal"] for name in ("pairmill", "img2dataset")}
    ours, theirs = measured["pairmill"], measured["img2dataset"]
    return {
        f"{row}_cpu": round(ours["cpu_ms_per_image"] / theirs["cpu_ms_per_image"], 3),
        f"{row}_wall": round(ours["images_per_s"] / theirs["images_per_s"], 3),
    }


OTHERS = {"memory": memory, "slow_web": slow}


if __name__ == "__main__":
    raise SystemExit(main())
