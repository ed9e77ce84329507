"""Stage `collect`: sources to candidates, one row an image. A crawl is a source that asks before it is read."""

import os
from collections import Counter
from typing import Any

import apache_beam as beam

from pipeline.columns import read_columns
from pipeline.config import content
from pipeline.context import Context
from pipeline.errors import DataError, UsageError
from pipeline.manifest import Stamp, digest_of, digests_of_inputs, outputs_of
from pipeline.report.remedies import remedy_of
from pipeline.report.tables import lost_text, reasons_text
from pipeline.stages.base import Stage, code_inputs, facts_of
from pipeline.stages.contact import check_contact
from pipeline.stages.crawl import crawl
from transforms import run_dir, storage
from transforms.collect.transform import Collect, collect_steps
from transforms.crawl.passes import newest_pages
from transforms.formats.parquet import count_rows, read_all
from transforms.records import Reject, Unit
from transforms.sources.base import SourceError


def stamp(c: Context) -> Stamp:
    collect = c.settings.collect
    settings = content(collect) | {"web": content(c.settings.web)}
    modules = [outside.source.partition(":")[0] for outside in collect.sources]
    if collect.judge_early:
        settings["early"] = [content(step) for step in c.settings.select.rules]
        modules += [rule.module() for rule in c.settings.select.rules]
    if c.settings.demo is not None:
        settings["demo"] = content(c.settings.demo)
    inputs = code_inputs(modules)
    try:
        files = [path for source in collect.all_sources().values() for path in (*source.files(), *source.beside())]
        digests = digests_of_inputs(files)
        inputs |= {f"{n:05d} {os.path.basename(p)}": d for n, (p, d) in enumerate(zip(files, digests, strict=True))}
        for source in collect.all_sources().values():
            inputs |= {name: digest_of(value) for name, value in source.depends_on().items()}
    except SourceError as error:
        raise UsageError(str(error)) from error
    return Stamp(settings, inputs)


def check(c: Context) -> None:
    """Every source can be read, foreign hosts get a contact."""
    if c.part != (0, 1):
        raise UsageError(
            "--part slices fetch and score by host: run the same command with --to collect first, without it"
        )
    for source in c.settings.collect.all_sources().values():
        try:
            source.check()
        except SourceError as error:
            raise UsageError(str(error)) from error
        if c.settings.demo is None:  # its hosts are on this machine
            for url in source.asks():
                check_contact(url, c.settings.web)


def input_units(c: Context) -> list[Unit]:
    """Every file that collect reads, source by source."""
    found = [
        (key, path)
        for key, source in c.settings.collect.all_sources().items()
        for path in (*source.written(c.run), *source.files())
    ]
    return [Unit(key, path, index) for index, (key, path) in enumerate(found)]


def work(c: Context) -> bool:
    if c.settings.collect.crawl is not None:
        crawl(c, c.settings.collect.crawl)
    for name in (run_dir.CANDIDATES, run_dir.REJECTS):
        storage.delete_folder(run_dir.folder(c.run, name))
    for note in notes(c):
        c.progress.say(f"collect: {note}")
    units = input_units(c)
    c.progress.stage("collect", len(units), "files")
    early = c.settings.select.rules if c.settings.collect.judge_early else ()
    transform = Collect(c.run, c.settings.collect, c.settings.web, early)
    workers = c.engine.workers_for(storage.join(c.run, unit.path) for unit in units)
    c.engine.run(lambda p: p | "Inputs" >> beam.Create(units) | transform, "collect", c.progress.say, workers)
    return True


def facts(c: Context) -> dict[str, Any]:
    folder = run_dir.folder(c.run, run_dir.CANDIDATES)
    parts = storage.list_names(folder, "part-*.parquet")
    counts = {"candidates": sum(count_rows(storage.join(folder, n)) for n in parts)}
    if not counts["candidates"]:
        raise DataError(f"collect: nothing was found that could be asked for: {what_was_found(c.run)}")
    counts |= lost_of_archives(c)
    more = {"steps": collect_steps(c.settings.collect), "notes": notes(c)}
    return facts_of(outputs_of(folder, parts), counts) | more


def notes(c: Context) -> list[str]:
    """What a person should know of how the sources are read."""
    return [note for source in c.settings.collect.all_sources().values() for note in source.notes()]


def lost_of_archives(c: Context) -> dict[str, int]:
    """{"lost_bytes", "lost_records"} of damaged archives, said on the way; {} where all are whole.

    Raises DataError where more than `collect.max_broken` of their bytes is lost, compared to a tenth of a percent.
    """
    lost: Counter[str] = Counter()
    records = 0
    for row in read_columns(c.run, run_dir.CANDIDATES, ["source", "lost_bytes", "lost_members"], "pages-*.parquet"):
        if row["lost_members"]:
            lost[row["source"]] += row["lost_bytes"]  # of a table beside a tar nobody knows how many: 0
            records += row["lost_members"]
    if not records:
        return {}
    sources = c.settings.collect.all_sources()
    archives = [storage.join(c.run, unit.path) for unit in input_units(c) if sources[unit.source].is_archive]
    lost_bytes, all_bytes = sum(lost.values()), sum(map(storage.size_bytes, archives))
    worst = ", ".join(f"{os.path.basename(name)} {n:,}" for name, n in lost.most_common(3))
    text = f"collect: archives are damaged: {lost_text(lost_bytes, records)} of {all_bytes:,} bytes were lost ({worst})"
    if round(lost_bytes / max(1, all_bytes), 3) > c.settings.collect.max_broken:
        raise DataError(f"{text}, more than collect.max_broken = {c.settings.collect.max_broken}; "
                        "fetch these files again, or raise it to accept the loss")  # fmt: skip
    c.progress.say(text)
    return {"lost_bytes": lost_bytes, "lost_records": records}


def what_was_found(run: str) -> str:
    """Pages by outcome, what was wrong in archives, and rejects by reason, as a line."""
    pages = Counter(page.reason or "read" for _, page in newest_pages(run))
    rejects = Counter(row.reason for row in read_all(run_dir.folder(run, run_dir.REJECTS), "*.parquet", Reject))
    seen = read_columns(run, run_dir.CANDIDATES, ["reason"], "pages-*.parquet")
    archived = Counter(row["reason"] for row in seen if row["reason"])
    found = (("pages", pages), ("archives", archived), ("rejects", rejects))
    parts = [f"{what}: {reasons_text(counts)}" for what, counts in found if counts]
    if rejects:
        parts.append(remedy_of(rejects.most_common(1)[0][0]))
    return "; ".join(parts) or "no page and no row"


STAGE = Stage("collect", (run_dir.PAGES, run_dir.CANDIDATES, run_dir.REJECTS), stamp, check, work, facts, frozen=True)
