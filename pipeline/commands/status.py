"""stages done, parts left, rates, time left"""

import argparse
import json
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.arguments import add_run, check_run
from pipeline.commands.plan import stage_state
from pipeline.manifest import Manifests
from pipeline.stages import STAGES
from pipeline.ui.fetch_view import FetchView, line_of, warning_of
from transforms import run_dir, storage
from transforms.rounds import rounds_of

Stems = Callable[[str], list[str]]  # folder of the run directory → the stems of the parts in it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    status = status_of(check_run(args.run))
    print(json.dumps(status, indent=2)) if args.json else print_status(status)
    return 0


def status_of(run: str) -> dict[str, Any]:
    """{"run", "stages": [...]}: a stage's state, counts and duration, or its parts, rate and time left.

    Read from the run directory alone, at any time.
    """
    manifests = Manifests(run)
    labels = [(s.name, label) for s in STAGES for label in (manifests.labels(s.name) or [s.label("main")])]
    stems = cache(partial(run_dir.part_stems, run))  # of a folder: each is listed once
    return {"run": run, "stages": [stage_status(run, manifests, stage, label, stems) for stage, label in labels]}


def stage_status(run: str, manifests: Manifests, stage: str, label: str, stems: Stems) -> dict[str, Any]:
    state = stage_state(manifests, label)
    row: dict[str, Any] = {"stage": label, "state": state}
    if state == "done":
        row["counts"] = manifests.read(label)["counts"]  # type: ignore[index]
        row["duration_s"] = (manifests.log(label) or {}).get("duration_s")
    if state == "begun":
        row |= parts_of(run, stage, label, stems)
    if stage == "fetch":
        newest = rounds_of(run)[-1]
        view = FetchView(run, newest)
        view.glance([stem for stem in stems(run_dir.IMAGES) if run_dir.round_of(stem) == newest])
        row["outcome"] = view.facts()
    return row


def parts_of(run: str, stage: str, label: str, stems: Stems) -> dict[str, Any]:
    """Parts done and left of a stage at work, and the rate since the first of them."""
    total, folder = {
        "fetch": (planned_parts(run), run_dir.IMAGES),
        "score": (len(stems(run_dir.IMAGES)), run_dir.SCORES),
    }.get(stage, (None, None))
    if folder is None or total is None:
        return {}
    names = stems(folder)
    row: dict[str, Any] = {"parts_done": len(names), "parts": total}
    if names:
        began = storage.modified_s(storage.join(run, run_dir.MANIFEST, f"{label}.started.json"))
        rate = len(names) / max(time.time() - began, 0.001)
        row |= {"parts_per_s": round(rate, 4), "left_s": round((total - len(names)) / rate, 1)}
    return row


def planned_parts(run: str) -> int | None:
    """Of all rounds that are planned."""
    folder = storage.join(run, run_dir.IMAGES, run_dir.PLAN)
    plans = [json.loads(storage.read_bytes(storage.join(folder, n))) for n in storage.list_names(folder, "*.json")]
    return sum(plan["parts"] for plan in plans) if plans else None


def print_status(status: dict[str, Any]) -> None:
    table = Table("stage", "state", "parts", "time", "counts", title=status["run"])
    for row in status["stages"]:
        parts = f"{row['parts_done']} of {row['parts']}" if "parts" in row else ""
        seconds = f"{row['left_s']:.0f} s left" if "left_s" in row else duration(row.get("duration_s"))
        counts = ", ".join(f"{n:,} {what}" for what, n in row.get("counts", {}).items())
        table.add_row(row["stage"], row["state"], parts, seconds, counts)
    Console().print(table)
    for row in status["stages"]:
        if "outcome" in row and row["outcome"]["rows"]:
            line = f"{row['stage']}: {line_of(row['outcome'])}"
            Console().print(line, highlight=False, markup=False, soft_wrap=True)
            if warning := warning_of(row["outcome"]):
                Console().print(f"{row['stage']}: {warning}", highlight=False, markup=False, soft_wrap=True)


def duration(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f} s"
