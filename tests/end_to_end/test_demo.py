"""Everything that the demo plants ends under its own reason, and the funnel sums."""

import json
from collections import Counter

import pyarrow.parquet as pq
import pytest

from pipeline.demo.check import KEPT, SHARES, check_run, compare, funnel_faults, read_fates
from pipeline.demo.settings import DemoSettings
from pipeline.demo.truth import truth

SETTINGS = DemoSettings(pages=100)
NEEDS_A_MODEL = set(SHARES)
NEEDS_THE_LANGUAGE_RULE = {"other_language"}


@pytest.fixture(scope="module")
def lines(finished):
    return compare(truth(SETTINGS).to_pylist(), read_fates(finished, "main"))


def test_every_planted_kind_ends_under_its_reason(lines):
    """But for those that only a model or the language rule can tell, which this run has not."""
    judged = [line for line in lines if line.kind not in NEEDS_A_MODEL | NEEDS_THE_LANGUAGE_RULE]
    assert len(judged) > 40
    assert [(line.kind, line.found, line.planted, line.others) for line in judged if line.found != line.planted] == []


def test_without_a_model_wrong_captions_are_kept(lines):
    """So that the comparison above can fail."""
    wrong = [line for line in lines if line.kind in NEEDS_A_MODEL]
    assert len(wrong) == len(NEEDS_A_MODEL)
    assert all(line.found == 0 for line in wrong)


def test_the_check_names_what_this_run_lacks(finished):
    _, wrong = check_run(finished, SETTINGS)
    assert {sentence.split(":")[0] for sentence in wrong} == NEEDS_A_MODEL | NEEDS_THE_LANGUAGE_RULE


def test_the_funnel_sums_and_agrees_with_the_files(finished):
    stats = json.loads((finished / "stats.json").read_text())
    funnel = stats["funnel"]
    assert funnel_faults(funnel) == []
    assert [step["unit"] for step in funnel] == sorted((step["unit"] for step in funnel), reverse=True)
    rejects = Counter()
    for step in funnel:
        rejects.update(step["rejects"])
    images = Counter(r for r in rows(finished / "images", "reason", "[0-9]*[0-9].parquet") if r)
    selected = Counter(rows(finished / "selection/main", "reason"))
    collected = Counter(rows(finished / "rejects", "reason"))
    later = selected - images  # `select` repeats why an image could not be fetched
    assert rejects == collected + images + Counter({r: n for r, n in later.items() if r})
    assert funnel[0]["rows_in"] == sum(rows(finished / "candidates", "occurrences", "pages-*.parquet"))
    assert funnel[0]["rows_in"] >= sum(row["occurrences"] for row in truth(SETTINGS).to_pylist())  # and og:image
    assert funnel[-1]["rows_out"] == json.loads((finished / "shards/main/manifest.json").read_text())["samples"]


def rows(folder, column, pattern="*.parquet") -> list:
    files = [p for p in sorted(folder.glob(pattern)) if ".log." not in p.name]
    return [value for path in files for value in pq.read_table(path, columns=[column])[column].to_pylist()]


def test_kept_images_are_those_of_the_shards(finished):
    kept = {uid.hex() for uid, fate in read_fates(finished, "main").items() if fate == KEPT}
    assert kept == set(rows(finished / "shards/main", "uid"))
