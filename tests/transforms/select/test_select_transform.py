"""The whole of select against a plain loop over the same rows: every candidate has exactly one fate."""

import random

import apache_beam as beam
import pytest
from helpers.samples import caption, image

from filters.near_duplicate import hamming
from filters.score import cut_for_top_share
from transforms import storage
from transforms.formats import parquet
from transforms.records import Image, Score, Selected
from transforms.select.settings import (
    CaptionStep,
    ExactDuplicateStep,
    NearDuplicateStep,
    RepetitionStep,
    ScoreStep,
    SelectSettings,
)
from transforms.select.transform import Select

STEMS = ("0000-00000-00000", "0000-00001-00000")


@pytest.fixture
def run(tmp_path):
    """Two parts with failures, copies, near copies, repeated texts and scores."""
    rng = random.Random(5)
    bases = [rng.randbytes(32) for _ in range(12)]
    for stem in STEMS:
        rows = [any_image(f"http://h.example/{stem}/{n}.jpg", rng, bases) for n in range(60)]
        parquet.write_rows(str(tmp_path / "images" / f"{stem}.parquet"), Image, rows)
        scores = [Score(r.uid, c.id, "m", round(rng.uniform(0, 0.5), 6)) for r in rows for c in r.captions]
        parquet.write_rows(str(tmp_path / "scores" / f"{stem}.parquet"), Score, scores)
    return tmp_path


def any_image(url, rng, bases):
    if rng.random() < 0.1:
        return image(url, status="failed_to_download", reason="timeout", sha256=None, phash=None)
    flips = rng.sample(range(256), rng.choice([0, 3, 8, 40]))
    near = int.from_bytes(rng.choice(bases), "big") ^ sum(1 << bit for bit in flips)
    texts = rng.choice([["a text that is on every page"], [f"the one text of picture {rng.random()}"], ["logo"]])
    sha256 = rng.choice(["aa" * 32, rng.randbytes(32).hex(), rng.randbytes(32).hex()])
    side = rng.choice([100, 200, 300])
    return image(url, *texts, sha256=sha256, phash=near.to_bytes(32, "big"), original_width=side, original_height=side)


def select(run, *rules) -> list[Selected]:
    settings = SelectSettings(rules=rules)
    with beam.Pipeline("FnApiRunner") as pipeline:
        pipeline | beam.Create(STEMS) | Select(str(run), "main", settings)
    return list(parquet.read_all(str(run / "selection/main"), "*.parquet", Selected))


def rows_of(run) -> list[Image]:
    return list(parquet.read_all(str(run / "images"), "*.parquet", Image))


def similarity(run) -> dict[bytes, float]:
    return {s.uid: s.similarity for s in parquet.read_all(str(run / "scores"), "*.parquet", Score)}


def test_every_candidate_has_one_fate_in_its_place(run):
    fates = select(run, CaptionStep(), ExactDuplicateStep(), NearDuplicateStep(), RepetitionStep(max_images=5))
    assert [f.uid for f in fates] == [r.uid for r in rows_of(run)]
    assert all(f.kept != bool(f.reason) and f.kept == bool(f.caption_ids) for f in fates)
    assert {f.step for f in fates} == {
        "",
        "fetch",
        "caption",
        "exact_duplicate",
        "near_duplicate",
        "caption_repetition",
    }


def test_of_equal_bytes_the_best_stays(run):
    fates = {f.uid: f for f in select(run, ExactDuplicateStep())}
    score = similarity(run)
    groups: dict[str, list[Image]] = {}
    for row in rows_of(run):
        if row.status == "success":
            groups.setdefault(row.sha256, []).append(row)
    for group in groups.values():
        best = max(group, key=lambda r: (r.original_width * r.original_height, score[r.uid], r.uid))
        assert [r.uid for r in group if fates[r.uid].kept] == [best.uid]


def test_near_duplicates_are_what_brute_force_finds(run):
    fates = {f.uid: f for f in select(run, NearDuplicateStep(radius=12))}
    score = similarity(run)
    rows = [r for r in rows_of(run) if r.status == "success"]

    def standing(row):
        return row.original_width * row.original_height, score[row.uid], row.uid

    for row in rows:
        better = [hamming(row.phash, o.phash) for o in rows if standing(o) > standing(row)]
        assert fates[row.uid].kept == (min(better, default=256) > 12)
        if not fates[row.uid].kept:
            assert fates[row.uid].value == min(better)


def test_repeated_texts_fall(run):
    fates = {f.uid: f for f in select(run, RepetitionStep(max_images=5))}
    rows = [r for r in rows_of(run) if r.status == "success"]
    uses = [r.caption for r in rows]
    assert all(fates[r.uid].kept == (uses.count(r.caption) <= 5) for r in rows)
    assert {f.value for f in fates.values() if f.reason == "caption_repeated"} <= {float(uses.count(u)) for u in uses}


def test_the_top_share_stays(run):
    fates = {f.uid: f for f in select(run, ScoreStep(top_share=0.3))}
    score = similarity(run)
    rows = [r for r in rows_of(run) if r.status == "success"]
    counts = {score[r.uid]: 1 for r in rows}
    cut = cut_for_top_share(counts, 0.3)
    assert all(fates[r.uid].kept == (score[r.uid] >= cut) for r in rows)
    kept = sum(fates[r.uid].kept for r in rows)
    assert 0.3 * len(rows) <= kept <= 0.3 * len(rows) + 1


def test_without_scores_pairs_stay_and_a_cut_says_what_is_missing(run):
    storage.delete_folder(str(run / "scores"))
    assert any(f.kept and f.similarity is None for f in select(run, CaptionStep()))
    assert {f.reason for f in select(run, ScoreStep(min=0.1))} == {"score_missing", "timeout"}


def test_chosen_captions_stand_best_first(run, tmp_path):
    captions = tuple(caption(t) for t in ("the first text here", "the second text here", "the third text here"))
    row = image("http://h.example/x.jpg", captions=captions)
    stem = STEMS[0]
    parquet.write_rows(str(run / "images" / f"{stem}.parquet"), Image, [row])
    values = (0.1, 0.3, 0.2)
    rows = [Score(row.uid, c.id, "m", v) for c, v in zip(captions, values, strict=True)]
    parquet.write_rows(str(run / "scores" / f"{stem}.parquet"), Score, rows)
    (fate,) = [f for f in select(run, CaptionStep()) if f.uid == row.uid]
    assert fate.caption_ids == (captions[1].id, captions[2].id, captions[0].id)
    assert fate.similarity == 0.3
