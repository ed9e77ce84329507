"""Writes what people read of a run: stats.json, report.html, the dataset card."""

import json
from typing import Any

import yaml

from pipeline import layout
from pipeline.report import card
from pipeline.report.stats import check_funnel, collect_stats
from transforms import storage


def write_report(run: str, name: str = "main", thumbnails: bool = False) -> dict[str, Any]:
    """Write `stats.json`, `report.html` and, beside finished shards, the dataset card; returns the stats."""
    stats = collect_stats(run, name)
    stats["faults"] = check_funnel(stats["funnel"], run)
    publish(storage.join(run, "stats.json"), json.dumps(stats, indent=2, ensure_ascii=False) + "\n")
    if stats["shards"]:
        folder = layout.shards_folder(run, name)
        publish(storage.join(folder, "README.md"), card.render(stats, run_settings(run)))
    return stats


def run_settings(run: str) -> dict[str, Any]:
    """What stands in run.yaml."""
    return yaml.safe_load(storage.read_bytes(storage.join(run, "run.yaml")))


def publish(path: str, text: str) -> None:
    storage.publish(path, text.encode())


def read_stats(run: str) -> dict[str, Any] | None:
    """The stats of the last report, or None where there is none."""
    path = storage.join(run, "stats.json")
    return json.loads(storage.read_bytes(path)) if storage.exists(path) else None
