"""Spark against a local run on the demo, and `select` of two million rows on executors of 1 GB."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from bench.engines import synth
from bench.engines.measure import children_of, command_line, say, watching

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "cluster"))

from cluster import Cluster, spark_cluster

PAIRMILL = str(Path(sys.executable).with_name("pairmill"))
STAGES = ("collect", "fetch", "score", "select.main", "pack.main")
DEMO_PAGES = (500, 2_500)
SELECT_ROWS = (100_000, 2_000_000)
ROWS_PER_PARTITION = 15_000  # an executor holds what comes of a partition: 13 rows a pair for near-duplicates
LIMIT_S = 3 * 3600  # of one command
JOB_SERVER = "SparkJobServerDriver"
RULES = [
    {"rule": "caption"},
    {"rule": "contact"},
    {"rule": "score", "top_share": 0.9},
    {"rule": "exact_duplicate"},
    {"rule": "near_duplicate"},
    {"rule": "caption_repetition"},
]


def pairmill(words: Sequence[str], environment: dict[str, str]) -> tuple[float, dict[str, int]]:
    """Run a command: seconds, and the peak bytes of driver and job server."""
    began = time.monotonic()
    process = subprocess.Popen([PAIRMILL, *words], env={**os.environ, **environment})

    def pids() -> dict[str, list[int]]:
        children = children_of(process.pid)
        servers = [pid for pid in children if JOB_SERVER in command_line(pid)]
        return {"driver": [process.pid], "job_server": servers}

    try:
        with watching(pids) as peaks:
            code = process.wait(LIMIT_S)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if code:
        raise SystemExit(f"pairmill {' '.join(words)} ended with {code}")
    return time.monotonic() - began, peaks


# the demo


def demo_costs(folder: Path, scale: float) -> dict[str, Any]:
    """Seconds = fixed x pipelines + per row x rows, on two cores each, through two sizes of the demo."""
    sizes = [max(int(pages * scale), 100 * place) for place, pages in enumerate(DEMO_PAGES, 1)]
    local = [demo_run(folder / f"local-{n}", n, ("--engine", "local-parallel"), {}) for n in sizes]
    with spark_cluster() as cluster:
        spark = [demo_run(folder / f"spark-{n}", n, cluster.words(), cluster.environment) for n in sizes]
    fixed = {name: fixed_of(runs) for name, runs in (("local", local), ("spark", spark))}
    ratio = per_row(spark, fixed["spark"]) / per_row(local, fixed["local"])
    return {
        "ratios": {"spark_per_row": round(ratio, 3)},
        "spark_demo": {"fixed_s_a_pipeline": {k: round(v, 2) for k, v in fixed.items()}, "local": local,
                       "spark": spark},
    }  # fmt: skip


def fixed_of(runs: Sequence[dict[str, Any]]) -> float:
    """Seconds of a pipeline without rows: select and pack are one each, and their rows can be told off by the line."""
    found = []
    small, large = runs
    for stage in ("select.main", "pack.main"):
        slope = (large["stages"][stage] - small["stages"][stage]) / (large["rows"] - small["rows"])
        found.append(small["stages"][stage] - slope * small["rows"])
    return max(sum(found) / len(found), 0.0)


def per_row(runs: Sequence[dict[str, Any]], fixed: float) -> float:
    """Seconds a row, without what the pipelines cost by themselves: a larger demo is crawled in more rounds."""
    small, large = runs
    seconds = (large["seconds"] - small["seconds"]) - fixed * (large["pipelines"] - small["pipelines"])
    return seconds / (large["rows"] - small["rows"])


def demo_run(run: Path, pages: int, words: Sequence[str], environment: dict[str, str]) -> dict[str, Any]:
    """Rows and seconds of a demo of `pages`. Scoring is left out: it costs the same everywhere, and much."""
    say(f"demo of {pages} pages{' on Spark' if environment else ''}")
    rules = "[{rule: caption}, {rule: caption_repetition}, {rule: exact_duplicate}, {rule: near_duplicate}]"
    settings = (f"demo.pages={pages}", "score.model=none", f"select.rules={rules}")
    sets = [w for s in settings for w in ("--set", s)]
    pairmill(["run", "demo", "--run-dir", str(run), *sets, *words], environment)
    manifests = {label: json.loads((run / "manifest" / f"{label}.log.json").read_text()) for label in STAGES}
    stages = {label: log["duration_s"] for label, log in manifests.items()}
    rows = json.loads((run / "manifest" / "collect.json").read_text())["counts"]["candidates"]
    rounds = {path.name.split("-")[0] for path in (run / "pages").glob("*.warc.gz")}
    pipelines = len(rounds) + len(STAGES)  # a crawl round is one; scoring runs none, planning the fetch does
    shutil.rmtree(run)
    say(f"  {rows} candidates, {pipelines} pipelines, {stages}")
    return {"rows": rows, "seconds": round(sum(stages.values()), 1), "pipelines": pipelines, "stages": stages}


# two million rows


def large_select(folder: Path, scale: float) -> dict[str, Any]:
    """`select` on Spark: seconds and peak memory by role, for few rows and for many."""
    sizes = [int(rows * scale) for rows in SELECT_ROWS]
    results = {str(rows): select_on_spark(folder / str(rows), rows) for rows in sizes}
    few, many = (results[str(rows)]["peak_bytes"] for rows in sizes)
    growth = {role: round(many[role] / few[role], 3) for role in few if few[role]}
    return {"ratios": {"memory_2m_to_100k_rows": growth}, "spark_select": results}


def select_on_spark(run: Path, rows: int) -> dict[str, Any]:
    say(f"select: writing {rows} rows")
    synth.write_fetch(run, rows)
    config = run / "bench.yaml"
    settings = {"collect": {"warc": {"paths": ["none.warc.gz"]}}, "select": {"rules": RULES}}
    config.write_text(yaml.safe_dump(settings | {"score": {"model": "synthetic"}}))
    words = ["run", str(config), "--run-dir", str(run), "--from", "select", "--to", "select"]
    say(f"select: {rows} rows on Spark")
    with spark_cluster() as cluster, watching(lambda: roles_of(cluster)) as peaks:
        more = cluster.words(partitions=str(max(8, rows // ROWS_PER_PARTITION)))
        seconds, ours = pairmill([*words, *more], cluster.environment)
    shutil.rmtree(run)
    result = {"seconds": round(seconds, 1), "peak_bytes": ours | peaks}
    say(f"  {result}")
    return result


def roles_of(cluster: Cluster) -> dict[str, list[int]]:
    return {"executor": cluster.executors(), "worker": cluster.sdk_workers()}
