"""what a run would do and cost; nothing is asked, nothing is written"""

import argparse
import json
from collections import Counter
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from filters.url import host_of
from pipeline import config
from pipeline.arguments import add_config
from pipeline.config import Settings, as_yaml
from pipeline.errors import UsageError
from pipeline.manifest import Manifests
from pipeline.stages import STAGES
from pipeline.states import stage_state
from transforms import run_dir, storage
from transforms.formats import parquet
from transforms.records import Candidate
from transforms.sources.base import SourceError

BYTES_PER_IMAGE = {256: 25_000, 512: 70_000}  # measured on web photographs at quality 95; a rough guide
SLOWEST_HOSTS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    settings = config.load(args.config, args.set, args.engine)
    plan = plan_of(settings, args.run_dir or run_dir.default_run(args.config))
    print(json.dumps(plan, indent=2, ensure_ascii=False)) if args.json else print_plan(plan)
    return 0


def plan_of(settings: Settings, run: str) -> dict[str, Any]:
    """Sources, stages, counts that are known, disk, and the hosts that will take longest."""
    manifests = Manifests(run)
    candidates = (manifests.read("collect") or {}).get("counts", {}).get("candidates")
    plan: dict[str, Any] = {
        "run_dir": run,
        "stages": {s.name: stage_state(manifests, s.label("main")) for s in STAGES},
        "sources": sources_of(settings),
        "candidates": candidates,
    }
    rows = candidates if candidates is not None else plan["sources"].get("table_rows")
    if rows:
        plan["disk_bytes"] = {f"{size} px": rows * each for size, each in BYTES_PER_IMAGE.items()}
    if candidates:
        plan["slowest_hosts"] = slowest_hosts(run, settings)
    plan["settings"] = yaml.safe_load(as_yaml(settings))
    return plan


def sources_of(settings: Settings) -> dict[str, Any]:
    """What each source shows of itself. Raises UsageError where one cannot be read."""
    shown: dict[str, Any] = {}
    if settings.demo is not None:
        shown["demo"] = f"a generated web of about {settings.demo.pages} pages on loopback"
    for key, source in settings.collect.all_sources().items():
        if key == "crawl" and settings.demo is not None:
            continue  # of the demo's web, whose server names the seeds
        try:
            shown |= source.overview()
        except SourceError as error:
            raise UsageError(str(error)) from error
    return shown


def slowest_hosts(run: str, settings: Settings) -> list[dict[str, Any]]:
    """The hosts with most candidates, and how long their limit makes them take, in seconds."""
    folder = storage.join(run, run_dir.CANDIDATES)
    rows = parquet.read_all(folder, "part-*.parquet", Candidate)
    hosts = Counter(host_of(c.url) for c in rows if not c.source.path)
    return [
        {"host": host, "images": n, "seconds": round(n * settings.web.pace(host, "image").gap_s, 1)}
        for host, n in hosts.most_common(SLOWEST_HOSTS)
    ]


def print_plan(plan: dict[str, Any]) -> None:
    console = Console(markup=False)  # a path may hold brackets
    console.print(f"run directory  {plan['run_dir']}", highlight=False)
    for name, value in plan["sources"].items():
        console.print(f"{name:<14} {value}", highlight=False)
    for name, state in plan["stages"].items():
        console.print(f"{name:<14} {state}", highlight=False)
    if plan["candidates"] is not None:
        console.print(f"candidates     {plan['candidates']:,}", highlight=False)
    for size, size_bytes in plan.get("disk_bytes", {}).items():
        console.print(f"disk at {size:<6} about {size_bytes / 1e9:.1f} GB", highlight=False)
    if plan.get("slowest_hosts"):
        console.print(hosts_table(plan["slowest_hosts"]))
    console.print("\nsettings", highlight=False)
    console.print(yaml.safe_dump(plan["settings"], sort_keys=False), highlight=False, markup=False)


def hosts_table(hosts: list[dict[str, Any]]) -> Table:
    table = Table(title="the hosts that take longest")
    for column in ("host", "images", "seconds"):
        table.add_column(column, justify="left" if column == "host" else "right")
    for row in hosts:
        table.add_row(row["host"], f"{row['images']:,}", f"{row['seconds']:,}")
    return table
