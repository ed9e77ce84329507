"""Two local worker processes against one, on extraction and on decode, by wall clock."""

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam

from bench.engines import synth
from bench.engines.beam_cost import forget_fetch, warc_settings
from bench.engines.measure import say
from pipeline.config import EngineSettings
from pipeline.engines.engine import Engine
from transforms.collect.transform import Collect
from transforms.fetch.settings import FetchSettings
from transforms.fetch.transform import Fetch
from transforms.records import Unit
from transforms.web.settings import WebSettings

OCCURRENCES = 450_000  # on 45,000 pages: a minute and a half with one worker
IMAGES = 12_000  # of a megapixel: two minutes
SIDE = 1_024
FILES = 32
TASKS = 16
# One decoder a worker: with the usual two, one worker alone would use both cores of a small machine.
FETCH = FetchSettings(decoders=1)

Work = Callable[[int], None]


def parallel_ratios(folder: Path, scale: float) -> dict[str, Any]:
    """{"ratios": {"two_workers": {...}}, "parallel_seconds": {...}}; the start is that of the same job, tiny."""
    ratios, seconds = {}, {}
    for name, prepare, size in (("extract", extraction, OCCURRENCES), ("decode", decoding, IMAGES)):
        say(f"parallel: {name}, {int(size * scale)} rows")
        tiny, large = (folder / f"{name}-tiny"), (folder / name)
        starts = walls(prepare(tiny, 32))
        one, two = walls(prepare(large, max(int(size * scale), 64)))
        ratios[name] = round(one / two, 3)
        seconds[name] = {"one_worker_s": round(one, 1), "two_workers_s": round(two, 1),
                         "start_one_s": round(starts[0], 1), "start_two_s": round(starts[1], 1)}  # fmt: skip
        say(f"  {seconds[name]} {ratios[name]}")
        shutil.rmtree(large)
    return {"ratios": {"two_workers": ratios}, "parallel_seconds": seconds}


def walls(work: Work) -> tuple[float, float]:
    """Seconds with one worker on one core and with two on two, the better of two runs each, in turn."""
    found: dict[int, list[float]] = {1: [], 2: []}
    for workers in (1, 2, 1, 2):
        with on_cores(workers):
            began = time.monotonic()
            work(workers)
            found[workers].append(time.monotonic() - began)
    return min(found[1]), min(found[2])


@contextlib.contextmanager
def on_cores(count: int) -> Iterator[None]:
    """A worker's decoder is a process of its own: without this, one worker would use more than its core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def run_with(workers: int, build: Callable[[beam.Pipeline], Any]) -> None:
    with Engine(EngineSettings(workers=workers)) as engine:
        engine.run(build)


def extraction(folder: Path, occurrences: int) -> Work:
    """WARC files to candidates: all of `collect`."""
    folder.mkdir()
    paths = synth.write_pages(folder, occurrences, FILES)
    units = [Unit("warc", path, number) for number, path in enumerate(paths)]
    collect = Collect(str(folder), warc_settings(paths), WebSettings())
    return lambda workers: run_with(workers, lambda p: p | beam.Create(units) | collect)


def decoding(folder: Path, images: int) -> Work:
    """Images stored in archives to parts of `images/`: `fetch` without a request."""
    folder.mkdir()
    each = max(images // TASKS, 1)
    plan = {task: synth.write_archive(folder / f"{task}.warc.gz", each, SIDE, f"h{task}.test") for task in range(TASKS)}
    tasks = synth.write_plans(folder, plan, 1_000)

    def work(workers: int) -> None:
        forget_fetch(folder)
        run_with(workers, lambda p: p | beam.Create(tasks) | Fetch(str(folder), 0, len(tasks), FETCH, WebSettings()))

    return work
