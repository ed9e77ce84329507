"""What a run prints at its end: the funnel, and where everything is."""

import sys
from typing import TextIO, cast

from rich.console import Console

from pipeline.logs import ToWhoeverReads
from pipeline.report.report import read_stats
from pipeline.report.tables import funnel_table, lost_text
from transforms import run_dir, storage


def print_summary(run: str, name: str, complete: bool) -> None:
    width = None if sys.stdout.isatty() else 110
    # Without markup: a path may hold brackets.
    console = Console(file=cast(TextIO, ToWhoeverReads(sys.stdout)), width=width, markup=False)
    if not complete:
        console.print("this slice is done; the run is complete when the other slices are", highlight=False)
        return
    stats = read_stats(run, name)
    if stats is not None:
        console.print(funnel_table(stats))
        for line in stats.get("main_reasons", []):  # a run of an older version has none, nor the figures below
            console.print(line, highlight=False, soft_wrap=True)
        lost = stats.get("archives", {})
        if lost.get("lost_records"):
            console.print(f"archives are damaged: {lost_text(**lost)} bytes were lost", highlight=False)
    for label, path in paths_of(run, name):
        console.print(f"{label:<9} {path}", highlight=False, soft_wrap=True)


def paths_of(run: str, name: str) -> list[tuple[str, str]]:
    """What exists of the results of a run: (label, path)."""
    candidates = [
        ("shards", run_dir.shards_folder(run, name)),
        ("selection", run_dir.selection_folder(run, name)),
        ("report", run_dir.report(run, name)),
        ("stats", run_dir.stats(run, name)),
    ]
    return [(label, path) for label, path in candidates if storage.exists(path)]
