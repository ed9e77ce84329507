"""Runs `pairmill run site` on the two sites that run.sh serves, validates the shards, writes the figures."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

RESULTS = Path("bench/results/sites.json")
PAIRMILL = ".venv/bin/pairmill"
SEEDS = "[http://handbook.test/, http://skimage.test/index.html]"


def command(run: str, port: str) -> list[str]:
    """The demo model knows drawn shapes, not screenshots: nothing is scored here."""
    settings = (
        f"collect.crawl.seeds={SEEDS}",
        "collect.crawl.max_depth=20",
        f'web.connect_to={{"*.test:80": "127.0.0.1:{port}"}}',
        'web.hosts=[{pattern: "*.test", at_once: 8, gap_s: 0}]',
        "score.model=none",
    )
    return [PAIRMILL, "run", "site", "--run-dir", run, *(w for s in settings for w in ("--set", s))]


def main(run: str, port: str) -> int:
    shutil.rmtree(run, ignore_errors=True)
    words = command(run, port)
    began = time.monotonic()
    subprocess.run(words, check=True)
    seconds = time.monotonic() - began
    subprocess.run([PAIRMILL, "validate", f"{run}/shards/main"], check=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures(Path(run), seconds, words), indent=2) + "\n")
    print(RESULTS.read_text())
    return 0


def figures(run: Path, seconds: float, words: list[str]) -> dict:
    stats = json.loads((run / "stats.json").read_text())
    pages = stats["pages"]
    steps = stats["funnel"]
    return {
        "command": " ".join(words),
        "seconds": round(seconds, 1),
        "pages": pages,
        "occurrences": steps[0]["rows_in"],
        "candidates": next(s["rows_out"] for s in steps if s["step"] == "merge"),
        "kept": steps[-1]["rows_out"],
        "rejects": {f"{s['stage']}/{s['step']}": s["rejects"] for s in steps if s["rejects"]},
        "ratios": {
            "kept_per_candidate": round(steps[-1]["rows_out"] / max(1, steps[3]["rows_out"]), 4),
            "pages_per_s": round(sum(pages.values()) / stats["timings"]["collect"]["duration_s"], 1),
        },
        "timings": {stage: log["duration_s"] for stage, log in stats["timings"].items()},
        "peak_bytes_largest_process": max(log["peak_bytes"] for log in stats["timings"].values()),
        "versions": stats["timings"]["collect"]["versions"],
    }


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
