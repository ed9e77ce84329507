"""Beam's cost in each stage: CPU of a Beam run over CPU of a plain loop over the functions that transform.py names."""

import contextlib
import itertools
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from bench.engines import synth
from bench.engines.measure import a_b_a_b, say
from pipeline.demo import __file__ as demo_file
from pipeline.logs import log_errors_only
from pipeline.stages.fetch import count_reasons
from transforms import run_dir
from transforms.collect import merge
from transforms.collect.language import load_identifier
from transforms.collect.settings import CollectSettings, WarcSource
from transforms.collect.transform import MergeCaptions, ReadUnit, WriteParts, by_part, judgements, typed, write_part
from transforms.collect.transform import reject as reject_of
from transforms.fetch.settings import FetchSettings
from transforms.fetch.transform import Fetch, run_task
from transforms.keep import Keep
from transforms.pack.settings import PackSettings
from transforms.pack.shuffle import first_ranks
from transforms.pack.transform import Pack, read_ranks, shares_of_shards, write_one
from transforms.records import Candidate, Occurrence, Reject, Unit
from transforms.score.settings import ScoreSettings
from transforms.score.transform import ScorePart, ScoreParts
from transforms.select.passes import PartState, PartUpdate, run_pass, split_into_passes
from transforms.select.passes import write_part as write_selection
from transforms.select.settings import SelectSettings
from transforms.select.transform import Select
from transforms.sources.base import Reading
from transforms.web.settings import HostPace, WebSettings

ROUNDS = 5
ROWS = 50_000
SLOW_ROWS = 5_000  # of fetch and score, which decode and measure
FILES = 8
GROUP = "beam:transform:group_by_key:v1"
NO_ROWS = ("Create", "Spread", "Updates of a part")  # shuffles of file names, and of what parts learn


def run_local(build: Callable[[beam.Pipeline], Any]) -> None:
    """One process, no worker beside it: its CPU is all there is."""
    log_errors_only()
    pipeline = beam.Pipeline(FnApiRunner())
    build(pipeline)
    pipeline.run().wait_until_finish()


def shuffles_of(build: Callable[[beam.Pipeline], Any]) -> int:
    """Shuffles of rows in a pipeline's proto: its GroupByKeys, also those inside other transforms."""
    pipeline = beam.Pipeline(FnApiRunner())
    build(pipeline)
    transforms = pipeline.to_runner_api().components.transforms.values()
    return sum(t.spec.urn == GROUP and not any(word in t.unique_name for word in NO_ROWS) for t in transforms)


def beam_costs(folder: Path, scale: float, chosen: Sequence[str]) -> dict[str, Any]:
    """{"beam_overhead": {stage: ratio}, "shuffle_us_per_row": {stage: µs}, ...} of the chosen STAGES."""
    rows, slow = int(ROWS * scale), int(SLOW_ROWS * scale)
    overhead, shuffle, seconds = {}, {}, {}
    stages = {"read": (read_step, rows), "fetch": (fetch_step, slow), "score": (score_step, slow),
              "pack": (pack_step, rows), "merge": (merge_step, rows), "select": (select_step, rows)}  # fmt: skip
    for stage in chosen:
        prepare, count = stages[stage]
        say(f"beam: {stage}, {count} rows")
        place = folder / stage
        place.mkdir()
        with prepare(place, count) as (with_beam, plain, build):
            cpu_beam, cpu_plain = a_b_a_b(with_beam, plain, ROUNDS)
        seconds[stage] = {"beam_cpu_s": round(cpu_beam, 2), "plain_cpu_s": round(cpu_plain, 2), "rows": count}
        if build is None:
            overhead[stage] = round(cpu_beam / cpu_plain, 3)
        else:
            seconds[stage]["shuffles"] = shuffles_of(build)
            shuffle[stage] = round((cpu_beam - cpu_plain) / count / shuffles_of(build) * 1e6, 1)
        say(f"  {seconds[stage]} {overhead.get(stage) or shuffle.get(stage)}")
        shutil.rmtree(place)
    return {"ratios": {"beam_overhead": overhead}, "shuffle_us_per_row": shuffle, "beam_seconds": seconds}


Prepared = tuple[Callable[[], Any], Callable[[], Any], Callable[[beam.Pipeline], Any] | None]


# collect


def warc_settings(paths: list[str]) -> CollectSettings:
    return CollectSettings(warc=WarcSource(paths=paths))


def read_and_judged(units: beam.pvalue.PCollection, settings: CollectSettings, web: WebSettings) -> tuple:
    """The part of Collect before its first shuffle, wired as it is there."""
    read = (
        units
        | "Spread files" >> beam.Reshuffle()
        | "Read" >> beam.ParDo(ReadUnit("/", settings, web))
        .with_outputs("rejects", "pages", "stored", main="occurrences")
    )  # fmt: skip
    steps = judgements(settings.url, ())
    keep = Keep(*steps, reject=reject_of, kept_type=Occurrence, reject_type=Reject)
    return typed(read.occurrences, Occurrence) | "Judge" >> keep


def plainly_read(units: list[Unit], settings: CollectSettings, web: WebSettings) -> Iterator[Occurrence]:
    identify = load_identifier(settings.language)
    steps = judgements(settings.url, ())
    for unit in units:
        source = settings.all_sources()[unit.source]
        for row in source.read(unit, unit.path, Reading(settings.html, web, identify)):
            if not isinstance(row, Occurrence):
                continue
            drops = ((step, judge(row, *rules)) for step, judge, rules in steps)
            dropped = next(((step, drop) for step, drop in drops if drop is not None), None)
            if dropped is None:
                yield row
            else:
                reject_of(row, *dropped)


@contextlib.contextmanager
def read_step(folder: Path, rows: int) -> Iterator[Prepared]:
    paths = synth.write_pages(folder, rows, FILES)
    settings, web = warc_settings(paths), WebSettings()
    units = [Unit("warc", path, number) for number, path in enumerate(paths)]

    def with_beam() -> None:
        run_local(lambda p: read_and_judged(p | beam.Create(units), settings, web))

    def plain() -> None:
        for _ in plainly_read(units, settings, web):
            pass

    yield with_beam, plain, None


@contextlib.contextmanager
def merge_step(folder: Path, rows: int) -> Iterator[Prepared]:
    """Reading, too, is done on both sides: its own cost is in the ratio of `read`."""
    paths = synth.write_pages(folder, rows, FILES)
    settings, web = warc_settings(paths), WebSettings()
    units = [Unit("warc", path, number) for number, path in enumerate(paths)]

    def build(pipeline: beam.Pipeline) -> None:
        occurrences, _ = read_and_judged(pipeline | beam.Create(units), settings, web)
        candidates = occurrences | MergeCaptions(settings.max_captions)
        candidates | WriteParts(str(folder), "candidates", "part", Candidate, settings.parts)

    def plain() -> None:
        merged: dict[bytes, Any] = {}
        for row in plainly_read(units, settings, web):
            one = merge.merged(row)
            merged[row.uid] = merge.merge([merged[row.uid], one]) if row.uid in merged else one
        candidates = (merge.candidate_of(uid, whole, settings.max_captions) for uid, whole in merged.items())
        write = partial(write_part, folder=str(folder / "plain"), prefix="part", record=Candidate)
        for part, found in grouped(by_part(c, settings.parts) for c in candidates).items():
            write(part, found)

    yield lambda: run_local(build), plain, build


def grouped(rows: Iterable[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = defaultdict(list)
    for key, value in rows:
        groups[key].append(value)
    return groups


# fetch and score


@contextlib.contextmanager
def image_server(side: int) -> Iterator[str]:
    """host:port of a server in another process."""
    command = [sys.executable, "-m", "bench.engines.image_server", str(side)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.communicate()


def local_web(address: str) -> WebSettings:
    hosts = [HostPace(pattern="*", at_once=16, gap_s=0)]
    return WebSettings(connect_to={"*.test:80": address}, allow_private=["127.0.0.0/8"], hosts=hosts)


def write_web_plan(folder: Path, rows: int) -> list[int]:
    """A plan of four tasks with a host each."""
    plan = {}
    for task in range(4):
        urls = [f"http://h{task}.test/{n}.jpg" for n in range(task, rows, 4)]
        plan[task] = [synth.candidate(url, f"a picture with the address {url}") for url in urls]
    return synth.write_plans(folder, plan, 1_000)


def forget_fetch(folder: Path) -> None:
    """All but the plan."""
    for path in (folder / "images").iterdir():
        if path.is_file():
            path.unlink()


def check_fetched(folder: Path, rows: int) -> None:
    """What costs little may have done little."""
    images = count_reasons(str(folder), run_dir.part_stems(str(folder)))[""]
    if images != rows:
        raise SystemExit(f"only {images} of {rows} images were fetched")


@contextlib.contextmanager
def fetch_step(folder: Path, rows: int) -> Iterator[Prepared]:
    tasks = write_web_plan(folder, rows)
    settings = FetchSettings()
    with image_server(512) as address:
        web = local_web(address)

        def with_beam() -> None:
            forget_fetch(folder)
            run_local(lambda p: p | beam.Create(tasks) | Fetch(str(folder), 0, len(tasks), settings, web))
            check_fetched(folder, rows)

        def plain() -> None:
            forget_fetch(folder)
            for task in tasks:
                run_task(task, str(folder), 0, settings, web, len(tasks))
            check_fetched(folder, rows)

        yield with_beam, plain, None


@contextlib.contextmanager
def score_step(folder: Path, rows: int) -> Iterator[Prepared]:
    tasks = write_web_plan(folder, rows)
    with image_server(256) as address:
        for task in tasks:
            run_task(task, str(folder), 0, FetchSettings(), local_web(address))
    check_fetched(folder, rows)
    stems = sorted(p.stem for p in (folder / "images").glob("*-*-*.parquet") if not p.stem.endswith(".log"))
    settings = ScoreSettings(model=os.path.join(os.path.dirname(demo_file), "model"), device="cpu")

    def with_beam() -> None:
        shutil.rmtree(folder / "scores", ignore_errors=True)
        run_local(lambda p: p | beam.Create(stems) | ScoreParts(str(folder), settings))

    def plain() -> None:
        shutil.rmtree(folder / "scores", ignore_errors=True)
        scorer = ScorePart(str(folder), settings)
        scorer.setup()
        for stem in stems:
            list(scorer.process(stem))

    yield with_beam, plain, None


# select and pack


@contextlib.contextmanager
def select_step(folder: Path, rows: int) -> Iterator[Prepared]:
    stems = synth.write_fetch(folder, rows)
    settings = SelectSettings()

    def build(pipeline: beam.Pipeline) -> None:
        pipeline | beam.Create(stems) | Select(str(folder), "main", settings)

    yield lambda: run_local(build), lambda: plainly_selected(folder, stems, settings), build


def plainly_selected(folder: Path, stems: list[str], settings: SelectSettings) -> None:
    run = str(folder)
    updates = {stem: [PartUpdate(PartState(), ())] for stem in stems}
    *passes, last = split_into_passes(settings)
    for pass_ in passes:
        assert pass_.next_rule is not None
        rule = pass_.next_rule[1]
        aggregates, states = [], {}
        for stem in stems:
            pairs, states[stem] = run_pass(run, stem, updates[stem], pass_)
            aggregates += rule.map_part(stem, pairs)
        updates = {stem: [PartUpdate(state, ())] for stem, state in states.items()}
        for key, group in grouped(aggregates).items():
            for stem, result in rule.combine(key, group):
                updates[stem].append(PartUpdate(None, (result,)))
    for stem in stems:
        write_selection(stem, updates[stem], run, "plain", last, settings.max_captions)


@contextlib.contextmanager
def pack_step(folder: Path, rows: int) -> Iterator[Prepared]:
    stems = synth.write_fetch(folder, rows, tars=True)
    settings = PackSettings()
    run_local(lambda p: p | beam.Create(stems) | Select(str(folder), "main", SelectSettings(rules=())))

    def with_beam() -> None:
        shutil.rmtree(folder / "shards", ignore_errors=True)
        run_local(lambda p: p | beam.Create(stems) | Pack(str(folder), "main", settings))

    def plain() -> None:
        shutil.rmtree(folder / "shards", ignore_errors=True)
        plainly_packed(str(folder), stems, settings)

    yield with_beam, plain, None


def plainly_packed(run: str, stems: list[str], settings: PackSettings) -> None:
    ranks = grouped(itertools.chain.from_iterable(read_ranks(s, run, "main", settings.seed) for s in stems))
    counts = {bucket: len(found) for bucket, found in ranks.items()}
    starts = [s for b, found in ranks.items() for s in first_ranks(b, found, counts, settings.samples_per_shard)]
    shares = itertools.chain.from_iterable(shares_of_shards(s, run, "main", settings.seed, starts) for s in stems)
    for number, found in grouped(shares).items():
        write_one(number, found, run, "main")
