"""What a run came to, counted from the files that its stages wrote: the funnel first of all.

Nothing is held but counters: memory does not grow with the number of rows, but for the hosts' names.
"""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from pipeline.columns import live_columns, read_columns
from pipeline.manifest import Manifests
from pipeline.report.remedies import main_reasons
from transforms import run_dir, storage
from transforms.crawl.passes import newest_pages

TOP_HOSTS = 50
SIDE_STEP, SCORE_STEP, LENGTH_STEP = 64, 0.02, 10

Step = dict[str, Any]


def collect_stats(run: str, name: str = "main") -> dict[str, Any]:
    """Everything that the report shows of a run. Stages that are not done yet are left out."""
    stats: dict[str, Any] = {"name": name, "funnel": funnel(run, name), "pages": page_outcomes(run)}
    stats["main_reasons"] = main_reasons(stats["funnel"])
    stats["notes"] = (Manifests(run).read("collect") or {}).get("notes", [])
    stats["archives"] = archive_losses(run)
    stats |= image_facts(run)
    stats |= selection_facts(run, name)
    stats["shards"] = shard_table(run, name)
    stats["timings"] = timings(run, name)
    return stats


def funnel(run: str, name: str) -> list[Step]:
    """The steps from occurrences to samples, in order; it ends where the run has come to."""
    manifests = Manifests(run)
    collect = manifests.read("collect")
    if collect is None:
        return []
    steps = collect_funnel(run, collect["steps"])
    if manifests.read("fetch") is None:
        return steps
    reasons = Counter(row["reason"] for row in live_columns(run, ["reason"]))
    steps.append(step_of("fetch", "fetch", "candidate", sum(reasons.values()), _drops(reasons), reasons[""]))
    select = manifests.read(f"select.{name}")
    if select is not None:
        steps += select_funnel(run, name, select["steps"])
    if manifests.read(f"pack.{name}") is not None:
        samples = sum(shard["samples"] for shard in shard_table(run, name))
        steps.append(step_of("pack", "pack", "candidate", steps[-1]["rows_out"], {}, samples))
    return steps


def step_of(stage: str, step: str, unit: str, rows_in: int, rejects: dict[str, int], rows_out: int,
            merged: int = 0) -> Step:  # fmt: skip
    return {"stage": stage, "step": step, "unit": unit, "rows_in": rows_in, "rows_out": rows_out, "merged": merged,
            "rejects": dict(sorted(rejects.items()))}  # fmt: skip


def _drops(reasons: Counter[str]) -> dict[str, int]:
    return {reason: n for reason, n in reasons.items() if reason}


def collect_funnel(run: str, names: Sequence[str]) -> list[Step]:
    """The steps of collect. What was on the pages is counted there, what came of it in candidates and rejects."""
    rows = sum(r["occurrences"] for r in read_columns(run, run_dir.CANDIDATES, ["occurrences"], "pages-*.parquet"))
    rejects: dict[str, Counter[str]] = {name: Counter() for name in names}
    for row in read_columns(run, run_dir.REJECTS, ["step", "reason"]):
        rejects[row["step"]][row["reason"]] += 1
    candidates = sum(1 for _ in read_columns(run, run_dir.CANDIDATES, ["occurrences"], "part-*.parquet"))
    steps = []
    for name in (n for n in names if n != "stored"):
        left = rows - sum(rejects[name].values())
        steps.append(step_of("collect", name, "occurrence", rows, rejects[name], left))
        rows = left
    missing = sum(rejects["stored"].values()) if "stored" in names else 0
    steps.append(_merge_step(rows, candidates + missing))
    if "stored" in names:
        steps.append(step_of("collect", "stored", "candidate", candidates + missing, rejects["stored"], candidates))
    return steps


def _merge_step(occurrences: int, candidates: int) -> Step:
    return step_of("collect", "merge", "occurrence", occurrences, {}, candidates, occurrences - candidates)


def select_funnel(run: str, name: str, labels: Sequence[str]) -> list[Step]:
    drops: dict[str, Counter[str]] = {}
    kept = 0
    for row in read_columns(run, run_dir.selection(name), ["step", "reason", "kept"]):
        kept += row["kept"]
        if not row["kept"]:
            drops.setdefault(row["step"], Counter())[row["reason"]] += 1
    rows = kept + sum(sum(drops.get(label, Counter()).values()) for label in labels)
    steps = []
    for label in labels:
        rejects = drops.get(label, Counter())
        left = rows - sum(rejects.values())
        steps.append(step_of("select", label, "candidate", rows, rejects, left))
        rows = left
    return steps


def check_funnel(steps: Sequence[Step], run: str | None = None) -> list[str]:
    """Every step where the funnel does not add up; none where it does."""
    found = []
    for step in steps:
        label = f"{step['stage']}/{step['step']}"
        if step["rows_in"] != step["rows_out"] + step["merged"] + sum(step["rejects"].values()):
            found.append(f"{label}: {step['rows_in']} rows in, but out, merged and rejects make another sum")
        if min(step["rows_in"], step["rows_out"], step["merged"]) < 0:
            found.append(f"{label}: a negative count")
    for before, after in pairwise(steps):
        if before["rows_out"] != after["rows_in"]:
            found.append(f"{after['stage']}/{after['step']}: {after['rows_in']} rows in, "
                         f"{before['rows_out']} out of the step before")  # fmt: skip
    return found + (merge_faults(run) if run is not None and steps else [])


def merge_faults(run: str) -> list[str]:
    """Occurrences counted on the pages against those in candidates and rejects: measured in two places."""
    pages = sum(r["occurrences"] for r in read_columns(run, run_dir.CANDIDATES, ["occurrences"], "pages-*.parquet"))
    merged = sum(r["occurrences"] for r in read_columns(run, run_dir.CANDIDATES, ["occurrences"], "part-*.parquet"))
    rejects = 0
    for row in read_columns(run, run_dir.REJECTS, ["unit", "value"]):
        rejects += 1 if row["unit"] == "occurrence" else int(row["value"])  # a candidate's value: its occurrences
    if pages == merged + rejects:
        return []
    return [f"collect: {pages} occurrences on the pages, {merged} in candidates, {rejects} among the rejects"]


def page_outcomes(run: str) -> dict[str, int]:
    """Pages of our own crawl by reason; "" is read."""
    return dict(Counter(page.reason for _, page in newest_pages(run)).most_common())


def archive_losses(run: str) -> dict[str, int]:
    """What damage to WARC files cost: {"lost_bytes", "lost_records"}, both 0 where they were whole."""
    counts = (Manifests(run).read("collect") or {}).get("counts", {})
    return {name: counts.get(name, 0) for name in ("lost_bytes", "lost_records")}


def image_facts(run: str) -> dict[str, Any]:
    """Hosts, sizes and formats of what was fetched."""
    hosts: dict[str, Counter[str]] = {}
    sides: Counter[int] = Counter()
    formats: Counter[str] = Counter()
    columns = ["url", "status", "original_width", "original_height", "format"]
    for row in live_columns(run, columns):
        known = hosts.setdefault(host_text(row["url"]), Counter())
        known["images"] += 1
        if row["status"] == "success":
            known["fetched"] += 1
            sides[min(row["original_width"], row["original_height"]) // SIDE_STEP * SIDE_STEP] += 1
            formats[row["format"]] += 1
    top = sorted(hosts.items(), key=lambda item: (-item[1]["images"], item[0]))[:TOP_HOSTS]
    return {
        "hosts": [{"host": host, "images": n["images"], "fetched": n["fetched"]} for host, n in top],
        "hosts_total": len(hosts),
        "short_side_px": {str(side): n for side, n in sorted(sides.items())},
        "formats": dict(formats.most_common()),
    }


def host_text(url: str) -> str:
    """The host as it is written in a url: quick, for counting."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0].lower()


def selection_facts(run: str, name: str) -> dict[str, Any]:
    """Scores of kept and dropped pairs; languages and lengths of the kept captions."""
    scores: dict[str, Counter[str]] = {"kept": Counter(), "dropped": Counter()}
    for row in read_columns(run, run_dir.selection(name), ["kept", "similarity"]):
        if row["similarity"] is not None:
            lower = row["similarity"] // SCORE_STEP * SCORE_STEP
            scores["kept" if row["kept"] else "dropped"][f"{lower:.2f}"] += 1
    languages: Counter[str] = Counter()
    lengths: Counter[int] = Counter()
    captions: Counter[int] = Counter()
    licenses: Counter[str] = Counter()
    for row in read_columns(run, run_dir.shards(name), ["language", "text", "captions"]):
        languages[row["language"]] += 1
        lengths[len(row["text"]) // LENGTH_STEP * LENGTH_STEP] += 1
        captions[len(row["captions"])] += 1
        licenses[row["captions"][0]["license"]] += 1
    return {
        "scores": {kind: dict(sorted(n.items(), key=lambda e: float(e[0]))) for kind, n in scores.items()},
        "languages": dict(languages.most_common()),
        "caption_characters": {str(length): n for length, n in sorted(lengths.items())},
        "captions_per_image": {str(n): count for n, count in sorted(captions.items())},
        "licenses": dict(licenses.most_common()),
    }


def shard_table(run: str, name: str) -> list[dict[str, Any]]:
    """{"name", "samples", "size_bytes"} of each shard."""
    path = storage.join(run_dir.shards_folder(run, name), "manifest.json")
    if not storage.exists(path):
        return []
    shards = json.loads(storage.read_bytes(path))["shards"]
    return [{key: shard[key] for key in ("name", "samples", "size_bytes")} for shard in shards]


def timings(run: str, name: str) -> dict[str, dict[str, Any]]:
    """Clocks of the finished stages, from their logs: duration and CPU in seconds, peak memory in bytes."""
    manifests = Manifests(run)
    logs = {label: manifests.log(label) for label in ("collect", "fetch", "score", f"select.{name}", f"pack.{name}")}
    return {label.partition(".")[0]: log for label, log in logs.items() if log is not None}
