"""The whole way in one place: a stage is a name, what it depends on, how it works, what it leaves behind."""

import glob
import os
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import apache_beam as beam

from pipeline.columns import read_columns
from pipeline.config import Settings, content
from pipeline.crawl import crawl
from pipeline.engines.engine import Engine
from pipeline.errors import DataError, UsageError
from pipeline.fetching import fetch, fetch_facts
from pipeline.inputs import adopted_files, seeds_of, table_files, warc_files
from pipeline.locks import Check
from pipeline.manifest import Manifests, Stamp, digest_of, digest_of_input, outputs_of
from pipeline.packing import finish_shards
from pipeline.report.tables import lost_text, reasons_text
from pipeline.ui.progress import Progress
from transforms import run_dir, storage
from transforms.collect.transform import Collect, collect_steps
from transforms.formats.parquet import count_rows, read_all
from transforms.pack.transform import Pack
from transforms.records import CrawlPage, Reject, Unit
from transforms.score.transform import ScoreParts
from transforms.select.transform import Select


class Context(NamedTuple):
    """What a stage is given."""

    run: str
    name: str  # of the selection
    settings: Settings
    engine: Engine
    progress: Progress
    part: tuple[int, int]  # (I, N): this process fetches the hosts of slice I of N
    slice_scores: bool = False  # and scores slice I of the parts, for many machines with a GPU each
    check_lock: Check = lambda: None  # raises where another driver may have taken the run over

    @property
    def manifests(self) -> Manifests:
        return Manifests(self.run)

    def digest(self, label: str) -> str:
        """The digest of a finished stage's output. Raises UsageError where it is not finished."""
        manifest = self.manifests.read(label)
        if manifest is None:
            raise UsageError(f"{self.run}: stage {label} is not finished; run it first")
        return manifest["outputs_digest"]


class Stage(NamedTuple):
    """One stage. `work` may be called again at any time and goes on where it stopped."""

    name: str
    named: bool  # several results may stand side by side, one a NAME
    frozen: bool  # changed settings are refused, because a redo would cost requests or a GPU
    grows: bool  # what it wrote stays true when more comes in
    folders: tuple[str, ...]  # what it writes; {name} is the selection's
    stamp: Callable[[Context], Stamp]
    work: Callable[[Context], bool]  # False: other slices of the work are still missing
    facts: Callable[[Context], dict[str, Any]]

    def label(self, name: str) -> str:
        return f"{self.name}.{name}" if self.named else self.name

    def clear(self, run: str, name: str) -> None:
        """Remove what the stage wrote, its manifest first."""
        Manifests(run).forget(self.label(name))
        for folder in self.folders:
            storage.delete_folder(storage.join(run, folder.format(name=name)))


# collect


def collect_stamp(c: Context) -> Stamp:
    collect = c.settings.collect
    settings = content(collect) | {"web": content(c.settings.web)}
    if collect.judge_early:
        settings["early"] = [content(step) for step in c.settings.select.rules]
    if c.settings.demo is not None:
        settings["demo"] = content(c.settings.demo)
    files = [*warc_files(c.settings), *table_files(c.settings), *adopted_files(c.settings)]
    inputs = {f"{place:05d} {os.path.basename(path)}": digest_of_input(path) for place, path in enumerate(files)}
    if collect.crawl is not None:
        inputs["seeds"] = digest_of(seeds_of(c.settings))
    return Stamp(settings, inputs)


def input_units(c: Context) -> list[Unit]:
    """Every file that collect reads: what our crawl wrote, the WARCs and the tables of the configuration."""
    pages = storage.join(c.run, run_dir.PAGES)
    ours = [storage.join(run_dir.PAGES, n) for n in storage.list_names(pages, "*.warc.gz")]
    warcs = [*ours, *warc_files(c.settings)]
    kinds = [("warc", p) for p in warcs] + [("table", p) for p in table_files(c.settings)]
    kinds += [("adopted", p) for p in adopted_files(c.settings)]
    return [Unit(kind, path, place) for place, (kind, path) in enumerate(kinds)]


def collect(c: Context) -> bool:
    if c.settings.collect.crawl is not None:
        crawl(c.run, c.settings, c.engine, c.progress)
    for folder in (run_dir.CANDIDATES, run_dir.REJECTS):
        storage.delete_folder(storage.join(c.run, folder))
    units = input_units(c)
    c.progress.stage("collect", len(units), "files")
    early = c.settings.select.rules if c.settings.collect.judge_early else ()
    transform = Collect(c.run, c.settings.collect, c.settings.web, early)
    workers = c.engine.workers_for(storage.join(c.run, unit.path) for unit in units)
    c.engine.run(lambda p: p | "Inputs" >> beam.Create(units) | transform, "collect", c.progress.say, workers)
    return True


def collect_facts(c: Context) -> dict[str, Any]:
    folder = storage.join(c.run, run_dir.CANDIDATES)
    parts = storage.list_names(folder, "part-*.parquet")
    counts = {"candidates": sum(count_rows(storage.join(folder, n)) for n in parts)}
    if not counts["candidates"]:
        raise DataError(f"collect: nothing was found that could be asked for: {what_was_found(c.run)}")
    counts |= lost_of_archives(c)
    return _facts(outputs_of(folder, parts), counts) | {"steps": collect_steps(c.settings.collect)}


def lost_of_archives(c: Context) -> dict[str, int]:
    """{"lost_bytes", "lost_records"} of damaged WARC files, told on the way; {} where all are whole.

    Raises DataError where more than `collect.max_broken` of their bytes is lost, compared to a tenth of a percent.
    """
    lost: Counter[str] = Counter()
    records = 0
    for row in read_columns(c.run, run_dir.CANDIDATES, ["source", "lost_bytes", "lost_members"], "pages-*.parquet"):
        lost[row["source"]] += row["lost_bytes"]
        records += row["lost_members"]
    if not records:
        return {}
    archives = [storage.join(c.run, unit.path) for unit in input_units(c) if unit.kind == "warc"]
    lost_bytes, all_bytes = sum(lost.values()), sum(map(storage.size_bytes, archives))
    worst = ", ".join(f"{os.path.basename(name)} {n:,}" for name, n in lost.most_common(3) if n)
    told = f"collect: archives are damaged: {lost_text(lost_bytes, records)} of {all_bytes:,} bytes were lost ({worst})"
    if round(lost_bytes / max(1, all_bytes), 3) > c.settings.collect.max_broken:
        raise DataError(f"{told}, more than collect.max_broken = {c.settings.collect.max_broken}; "
                        "fetch these files again, or raise it to accept the loss")  # fmt: skip
    c.progress.say(told)
    return {"lost_bytes": lost_bytes, "lost_records": records}


def what_was_found(run: str) -> str:
    """Pages by outcome and rejects by reason, as a line."""
    pages = Counter(row.reason or "read" for row in read_all(storage.join(run, run_dir.PAGES), "*.parquet", CrawlPage))
    rejects = Counter(row.reason for row in read_all(storage.join(run, run_dir.REJECTS), "*.parquet", Reject))
    parts = [f"{what}: {reasons_text(counts)}" for what, counts in (("pages", pages), ("rejects", rejects)) if counts]
    return "; ".join(parts) or "no page and no row"


def _facts(outputs: dict[str, str], counts: dict[str, int]) -> dict[str, Any]:
    return {"outputs": outputs, "outputs_digest": digest_of(outputs), "counts": counts}


# fetch


def fetch_stamp(c: Context) -> Stamp:
    settings = content(c.settings.fetch) | {"web": content(c.settings.web)}
    return Stamp(settings, {"candidates": c.digest("collect")})


def fetch_stage(c: Context) -> bool:
    rows = c.manifests.read("collect")["counts"]["candidates"]  # type: ignore[index]
    return fetch(c.run, rows, c.settings, c.engine, c.progress, c.part)


# score


def score_stamp(c: Context) -> Stamp:
    score = c.settings.score
    images = c.digest("fetch")
    rounds = (c.manifests.read("fetch") or {}).get("rounds", [images])
    inputs = {f"images, round {n}": digest for n, digest in enumerate(rounds)}
    inputs |= {f"model/{os.path.basename(path)}": digest_of_input(path) for path in model_files(score.model)}
    return Stamp(content(score) | {"model": score.label}, inputs)


def model_files(model: str) -> list[str]:
    """The files of a local model; none for a name that open_clip knows."""
    if os.path.isdir(model):
        return sorted(p for p in glob.glob(os.path.join(model, "open_clip_*")) if os.path.isfile(p))
    return [model] if os.path.isfile(model) else []


def score(c: Context) -> bool:
    index, count = c.part if c.slice_scores else (0, 1)
    stems = run_dir.part_stems(c.run)
    mine = [s for number, s in enumerate(stems) if number % count == index]
    if c.settings.score.enabled:
        folder = storage.join(c.run, run_dir.SCORES)
        c.progress.stage("score", len(mine), "parts", lambda: len(storage.list_names(folder, "*.parquet")))
        transform = c.engine.hinted("score", ScoreParts(c.run, c.settings.score))
        c.engine.run(lambda p: p | "Parts" >> beam.Create(mine) | transform, "score", c.progress.say, len(mine))
        return len(run_dir.part_stems(c.run, run_dir.SCORES)) == len(stems)
    return True


def score_facts(c: Context) -> dict[str, Any]:
    folder = storage.join(c.run, run_dir.SCORES)
    names = storage.list_names(folder, "*.parquet")
    storage.sweep(folder, set(storage.list_names(folder)))
    return _facts(outputs_of(folder, names), {"scores": sum(count_rows(storage.join(folder, n)) for n in names)})


# select


def select_stamp(c: Context) -> Stamp:
    return Stamp(content(c.settings.select), {"images": c.digest("fetch"), "scores": c.digest("score")})


def select(c: Context) -> bool:
    storage.delete_folder(run_dir.selection_folder(c.run, c.name))
    stems = run_dir.part_stems(c.run)
    c.progress.stage("select", len(stems), "parts")
    transform = Select(c.run, c.name, c.settings.select)
    workers = c.engine.workers_for(storage.join(c.run, run_dir.IMAGES, f"{stem}.parquet") for stem in stems)
    c.engine.run(lambda p: p | "Parts" >> beam.Create(stems) | transform, "select", c.progress.say, workers)
    return True


def select_facts(c: Context) -> dict[str, Any]:
    folder = run_dir.selection_folder(c.run, c.name)
    names = storage.list_names(folder, "*.parquet")
    counts = {"candidates": sum(count_rows(storage.join(folder, n)) for n in names)}
    return _facts(outputs_of(folder, names), counts) | {"steps": c.settings.select.labels()}


# pack


def pack_stamp(c: Context) -> Stamp:
    return Stamp(content(c.settings.pack), {"selection": c.digest(f"select.{c.name}")})


def pack(c: Context) -> bool:
    folder = run_dir.shards_folder(c.run, c.name)
    storage.delete_folder(folder)
    storage.make_folder(folder)
    stems = run_dir.part_stems(c.run, storage.join("selection", c.name))
    c.progress.stage("pack", len(stems), "parts")
    transform = Pack(c.run, c.name, c.settings.pack)
    c.engine.run(lambda p: p | "Parts" >> beam.Create(stems) | transform, "pack", c.progress.say)
    finish_shards(folder)
    return True


def pack_facts(c: Context) -> dict[str, Any]:
    folder = run_dir.shards_folder(c.run, c.name)
    names = [n for n in storage.list_names(folder) if n != "README.md"]
    samples = sum(count_rows(storage.join(folder, n)) for n in storage.list_names(folder, "*.parquet"))
    return _facts(outputs_of(folder, names), {"samples": samples})


STAGES = (
    Stage("collect", False, True, False, ("pages", "candidates", "rejects"), collect_stamp, collect, collect_facts),
    Stage("fetch", False, True, False, ("images",), fetch_stamp, fetch_stage, fetch_facts),
    Stage("score", False, True, True, ("scores",), score_stamp, score, score_facts),
    Stage("select", True, False, False, ("selection/{name}",), select_stamp, select, select_facts),
    Stage("pack", True, False, False, ("shards/{name}",), pack_stamp, pack, pack_facts),
)

STAGE_NAMES = tuple(stage.name for stage in STAGES)
