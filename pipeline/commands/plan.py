"""what a run would do and cost; nothing is asked, nothing is written"""

import argparse
import json
from collections.abc import Iterator
from typing import Any

import yaml
from rich.console import Console

from pipeline import config
from pipeline.arguments import add_config
from pipeline.config import Settings, as_yaml
from pipeline.errors import UsageError
from pipeline.estimate import IMAGES_PER_S, MEAN_IMAGE_BYTES, crawl_seconds, estimate_of
from pipeline.manifest import Manifests
from pipeline.stages import STAGES
from pipeline.states import stage_state
from transforms import run_dir
from transforms.sources.base import SourceError

SHOWN_SEEDS, SHOWN_HOSTS = 3, 5
WIDTH = 15  # of the words before each line's value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument("--settings", action="store_true", help="print all settings too")
    parser.add_argument("--json", action="store_true", help="everything, for programs")


def run(args: argparse.Namespace) -> int:
    settings = config.load(args.config, args.set, args.engine)
    plan = plan_of(settings, args.run_dir or run_dir.default_run(args.config))
    if args.json:
        print(json.dumps(plan, indent=2, ensure_ascii=False))
        return 0
    console = Console(markup=False)  # a path may hold brackets
    for name, value in lines_of(plan):
        console.print(f"{name:<{WIDTH}}{value}", highlight=False, soft_wrap=True)
    if args.settings:
        console.print("\n" + yaml.safe_dump(plan["settings"], sort_keys=False), highlight=False)
    return 0


def plan_of(settings: Settings, run: str) -> dict[str, Any]:
    """Sources, states of the stages, counts as far as they are known, the estimate, all settings.

    Raises UsageError where a source cannot be read.
    """
    manifests = Manifests(run)
    candidates = (manifests.read("collect") or {}).get("counts", {}).get("candidates")
    try:
        sources = sources_of(settings)
        estimate = estimate_of(run, settings, sources.get("table_rows", 0), candidates)
    except SourceError as error:
        raise UsageError(str(error)) from error
    return {
        "run_dir": run,
        "stages": {s.name: stage_state(manifests, s.label("main")) for s in STAGES},
        "sources": sources,
        "candidates": candidates,
        **estimate,
        "settings": yaml.safe_load(as_yaml(settings)),
    }


def sources_of(settings: Settings) -> dict[str, Any]:
    """What each source shows of itself. Raises SourceError where one cannot be read."""
    shown: dict[str, Any] = {}
    if settings.demo is not None:
        shown["demo"] = f"a generated web of about {settings.demo.pages} pages on loopback"
    for key, source in settings.collect.all_sources().items():
        if key != "crawl" or settings.demo is None:  # of the demo's web, whose server names the seeds
            shown |= source.overview()
    if seconds := crawl_seconds(settings):
        shown["pages_seconds"] = seconds
    return shown


def lines_of(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, value) of each line for a person: a screen full at most."""
    yield "run directory", plan["run_dir"]
    yield from source_lines(plan["sources"])
    yield from plan["stages"].items()
    if plan["candidates"] is not None:
        yield "candidates", f"{plan['candidates']:,}"
    if "urls" in plan:
        yield from estimate_lines(plan)
    else:
        yield "urls", "none to ask for" if plan["candidates"] is not None else "known when collect is done"
    if host := plan["contact_missing_for"]:
        yield (
            "contact",
            (
                f"missing: {host} is not on this machine, and site owners must be able to reach you; a run needs "
                "--set web.contact=you@example.org"
            ),
        )


def source_lines(sources: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in sources.items():
        title = name.replace("_", " ")
        if isinstance(value, list):
            more = f", and {len(value) - SHOWN_SEEDS:,} more" if len(value) > SHOWN_SEEDS else ""
            yield title, ", ".join(map(str, value[:SHOWN_SEEDS])) + more
        elif name == "pages_seconds":
            yield "time of pages", f"at most about {duration(value)}, at the pace of the seeds' hosts"
        else:
            yield title, f"{value:,}" if isinstance(value, int) else str(value)


def estimate_lines(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    counted = plan["urls_counted"]
    part = f", hosts counted in the first {counted:,} rows" if counted < plan["urls"] else ""
    at_most = "" if plan["candidates"] is not None else " at most: equal ones are asked for once"
    yield "urls", f"{plan['urls']:,}{at_most}{part}"
    more = f"; {n:,} urls of others were not counted by host" if (n := plan["images_of_other_hosts"]) else ""
    yield "hosts", f"{'more than ' if plan['has_more_hosts'] else ''}{plan['hosts']:,}{more}"
    pages = "; the hosts of pages, which are asked for theirs, are not counted" if plan["asks_hosts_of_pages"] else ""
    yield "requests", f"about {plan['requests']:,}, with robots.txt and tdmrep.json of each host{pages}"
    yield "transfer", f"about {size(plan['transferred_bytes'])}, at {size(MEAN_IMAGE_BYTES)} an image"
    yield "on disk", "about " + ", ".join(f"{size(n)} at {side}" for side, n in plan["disk_bytes"].items())
    slowest = plan["slowest_hosts"][0]
    if slowest["seconds"] >= plan["seconds_at_full_rate"]:
        why = f"the {slowest['images']:,} images of {slowest['host']} at its pace (web.images, web.hosts)"
    else:
        why = f"all requests at {IMAGES_PER_S:.0f} a second for each two cores"
    yield "time of fetch", f"at least {duration(plan['seconds'])}: {why}"
    for number, host in enumerate(plan["slowest_hosts"][:SHOWN_HOSTS]):
        yield (
            "slowest hosts" if not number else "",
            (f"{host['host']}: {host['images']:,} images, {duration(host['seconds'])}"),
        )


def size(size_bytes: float) -> str:
    """Bytes in the unit that a person would choose, powers of 1,000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size_bytes < 1_000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1_000
    return f"{size_bytes:,.1f} TB"


def duration(seconds: float) -> str:
    """Seconds in the unit that a person would choose."""
    for unit, length in (("days", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:,.0f} s"
