"""The documents' figures are those of the result files, rounded as they are shown: a table row is made anew from them."""

import json
from pathlib import Path

import pytest

from filters.language import LanguageRules

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


def word_rows() -> list[str]:
    known = results("words")

    def row(title: str, key: str) -> str:
        of, before = known[key], known["before"][key]
        shares = [f"{s[name]:.3f}" for s in (before, of) for name in ("precision", "recall")]
        return f"| {title} | {of['labelled']} | {' | '.join(shares)} |"

    return [
        f"| of {known['captions']} captions | labelled | precision before | recall before | precision | recall |",
        row("telephone numbers", "phone"),
        row("boilerplate", "boilerplate"),
    ]


def language_rows() -> list[str]:
    known = results("words")["languages"]
    right = " | ".join(f"{100 * share:.0f} %" for share in known["accuracy_by_words"].values())
    rows = [f"| right of {known['texts']:,} texts | {right} |"]
    for floor, of in known["floors"].items():
        captions = known["floors_from_3_words"][floor]
        shares = [s[name] for s in (of, captions) for name in ("dropped_wrongly", "kept_wrongly")]
        rows.append(f"| {floor} | " + " | ".join(f"{100 * share:.1f} %" for share in shares) + " |")
    return rows


@pytest.mark.parametrize(
    ("page", "rows"),
    [
        ("engines", engine_rows),
        ("from-img2dataset", fetch_rows),
        ("compliance", word_rows),
        ("architecture", language_rows),
    ],
)
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


def test_the_least_probability_of_a_language_is_the_one_that_was_measured():
    """The least floor by which a rule drops under 2 % of the language that it keeps, as the comment beside it says."""
    known = results("words")["languages"]
    default = LanguageRules().min_probability
    assert default == known["default"]
    assert default == min(float(floor) for floor, of in known["floors"].items() if of["dropped_wrongly"] < 0.02)
    comment = (ROOT / "filters/language.py").read_text()
    assert f"{100 * known['floors'][str(default)]['dropped_wrongly']:.1f} %" in comment
