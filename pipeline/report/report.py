"""Writes what people read of a run: the stats and the page of each selection, the dataset card."""

import json
import tarfile
from itertools import islice
from typing import Any

import yaml

from pipeline.report import card, html
from pipeline.report.examples import find_examples
from pipeline.report.stats import check_funnel, collect_stats
from transforms import run_dir, storage

THUMBNAILS = 60
MEDIA_TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}


def write_report(run: str, name: str = "main", thumbnails: bool = False) -> dict[str, Any]:
    """Write a selection's `report.NAME.html` and `stats.NAME.json` and, beside finished shards, the dataset card.

    `report.html` and `stats.json` are those of the selection that was reported last; the page links to the others.
    Returns the stats.
    """
    stats = collect_stats(run, name)
    stats["faults"] = check_funnel(stats["funnel"], run)
    figures = json.dumps(stats, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    settings = run_settings(run)
    if stats["shards"]:
        folder = run_dir.shards_folder(run, name)
        publish(storage.join(folder, "README.md"), card.render(stats, settings))
    pictures = kept_pictures(run, name) if thumbnails else []
    examples = find_examples(run, name)
    publish(run_dir.stats(run, name), figures)
    publish(run_dir.report(run, name), html.render(stats, settings, examples, pictures))
    others = [other for other in run_dir.report_names(run) if other != name]
    publish(run_dir.stats(run), figures)
    publish(run_dir.report(run), html.render(stats, settings, examples, pictures, [name, *others]))
    return stats


def kept_pictures(run: str, name: str) -> list[html.Thumbnail]:
    """The first images of the first shard: the shuffle has made them a sample."""
    folder = run_dir.shards_folder(run, name)
    tars = storage.list_names(folder, "*.tar")
    pictures: list[html.Thumbnail] = []
    if tars:
        with storage.open_for_reading(storage.join(folder, tars[0])) as file, tarfile.open(fileobj=file) as tar:
            members = ((member, tar.extractfile(member)) for member in tar)
            parts = {m.name: data.read() for m, data in islice(members, 3 * THUMBNAILS) if data is not None}
        for image, extension in ((n, n.rpartition(".")[2]) for n in parts if n.endswith(tuple(MEDIA_TYPES))):
            caption = parts[image.replace(f".{extension}", ".txt")].decode()
            pictures.append(html.Thumbnail(parts[image], MEDIA_TYPES[extension], caption))
    return pictures


def run_settings(run: str) -> dict[str, Any]:
    """The settings in run.yaml."""
    return yaml.safe_load(storage.read_bytes(storage.join(run, "run.yaml")))


def publish(path: str, text: str) -> None:
    storage.publish(path, text.encode())


def read_stats(run: str, name: str | None = None) -> dict[str, Any] | None:
    """The stats of a selection's report, of the newest without `name`; None where there is none."""
    path = run_dir.stats(run, name)
    return json.loads(storage.read_bytes(path)) if storage.exists(path) else None
