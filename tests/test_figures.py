"""The documents' figures are those of the result files, rounded as they are shown: a table row is made anew from them."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def results(name: str) -> dict:
    return json.loads((ROOT / f"bench/results/{name}.json").read_text())


def engine_rows() -> list[str]:
    known = results("engines")
    ratios, shuffle = known["ratios"], known["shuffle_us_per_row"]
    beam = ", ".join(f"{ratios['beam_overhead'][stage]:.2f}" for stage in ("read", "fetch", "score", "pack"))
    select = "nothing to be seen" if shuffle["select"] < 0.5 else f"{shuffle['select']:.0f} µs"
    two = ratios["two_workers"]
    pipeline = known["spark_demo"]["fixed_s_a_pipeline"]
    large = known["spark_select"]["2000000"]
    drivers = [known["spark_select"][rows]["peak_bytes"]["driver"] / 1e6 for rows in ("100000", "2000000")]
    return [
        f"| CPU of a stage on Beam over the same functions in a loop: read, fetch, score, pack | {beam} |",
        f"| CPU of a row and shuffle: url merge, select | {shuffle['merge']:.0f} µs, {select} |",
        "| two local worker processes over one, start included: extraction, decoding "
        f"| {two['extract']:.2f}x, {two['decode']:.2f}x |",
        f"| a pipeline without rows: two local workers, Spark | {pipeline['local']:.1f} s, {pipeline['spark']:.0f} s |",
        f"| a row of the demo on Spark over a local one | {ratios['spark_per_row']:.2f} |",
        f"| `select` of 2 million rows on two Spark executors of 1 GB | {large['seconds'] / 60:.1f} minutes |",
        f"| memory of the driver with 100,000 and with 2 million rows | {drivers[0]:.0f} MB, {drivers[1]:.0f} MB |",
    ]


def fetch_rows() -> list[str]:
    ratios = results("fetch")["ratios"]

    def row(title: str, key: str) -> str:
        return f"| {title} | {ratios[f'{key}_cpu']:.2f} | {ratios[f'{key}_wall']:.1f}x |"

    slow = f"{ratios['slow_web_pairmill_to_ideal']:.1f}, img2dataset {ratios['slow_web_img2dataset_to_ideal']:.1f}"
    return [
        row("HTTPS", "https"),
        row("HTTPS, img2dataset patched to share one TLS context", "https_shared"),
        row("HTTP", "http"),
        f"| 200 ms of latency, a fifth of the hosts dead: time over the ideal | | {slow} |",
    ]


@pytest.mark.parametrize(("page", "rows"), [("engines", engine_rows), ("from-img2dataset", fetch_rows)])
def test_the_tables_of_measured_figures_are_those_of_the_result_files(page, rows):
    text = (ROOT / f"docs/{page}.md").read_text()
    lines = text.splitlines()
    assert [row for row in rows() if row not in lines] == []


def test_beam_costs_a_tenth_at_most():
    """Of each stage's CPU, as last measured at full size: the aim of `make bench-engines`."""
    known = results("engines")
    assert {stage: ratio for stage, ratio in known["ratios"]["beam_overhead"].items() if ratio > 1.1} == {}
    for stage, ratio in known["ratios"]["beam_overhead"].items():
        seconds = known["beam_seconds"][stage]
        assert abs(seconds["beam_cpu_s"] / seconds["plain_cpu_s"] - ratio) < 0.01
