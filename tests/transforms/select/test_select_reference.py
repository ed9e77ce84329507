"""select on parts against a plain loop over all pairs at once: the same rows, the same bytes, in the same files."""

import random
from collections import Counter

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from helpers.samples import image

from filters.contact import redact
from filters.near_duplicate import bands, hamming
from filters.reasons import Drop, Reason
from filters.score import cut_for_top_share, judge_top_share
from transforms.formats import parquet
from transforms.records import Image, Pair, Score, Selected
from transforms.select.pairs import best_similarity, dropped, kept, rank_key, read_part
from transforms.select.settings import (
    CaptionStep,
    ExactDuplicateStep,
    NearDuplicateStep,
    RepetitionStep,
    ScoreStep,
    SelectSettings,
    SizeStep,
)
from transforms.select.transform import Select

STEMS = [f"0000-{n:05d}-00000" for n in range(4)]
TEXTS = ["a hot text at many images", "another text at some images", "logo", "IMG_2041.JPG"]
WAYS = {
    "the default": SelectSettings().rules,
    "all in a row": (SizeStep(min_side=100), CaptionStep(), ScoreStep(min=0.05), ExactDuplicateStep(),
                     NearDuplicateStep(radius=12), RepetitionStep(max_images=6), ScoreStep(top_share=0.5)),
    "backwards": (ScoreStep(top_share=0.7), RepetitionStep(max_images=9), NearDuplicateStep(radius=0),
                  ExactDuplicateStep(), CaptionStep()),
    "twice the same": (RepetitionStep(max_images=20), ExactDuplicateStep(), CaptionStep(),
                       RepetitionStep(max_images=4), ExactDuplicateStep()),
    "no rule of many": (CaptionStep(), SizeStep()),
    "no rule": (),
}  # fmt: skip


def any_image(url, rng, bases):
    if rng.random() < 0.1:
        return image(url, status="failed_to_download", reason="timeout", sha256=None, phash=None)
    near = int.from_bytes(rng.choice(bases), "big")
    for bit in rng.sample(range(256), rng.choice([0, 0, 3, 8, 12, 40])):
        near ^= 1 << bit
    texts = [rng.choice([*TEXTS, f"a text of its own {rng.random()}"]) for _ in range(rng.choice([1, 1, 2, 3]))]
    sha256 = rng.choice(["aa" * 32, f"{rng.randrange(8):064x}", rng.randbytes(32).hex()])
    side = rng.choice([99, 200, 300])
    changes = {"phash_quality": rng.choice([0, 49, 50, 100]), "original_width": side, "original_height": side}
    return image(url, *dict.fromkeys(texts), sha256=sha256, phash=near.to_bytes(32, "big"), **changes)


@pytest.fixture(params=range(3))
def run(tmp_path, request):
    rng = random.Random(request.param)
    bases = [rng.randbytes(32) for _ in range(6)]
    for stem in STEMS:
        rows = [any_image(f"http://h.example/{stem}/{n}.jpg", rng, bases) for n in range(rng.randrange(1, 60))]
        parquet.write_rows(str(tmp_path / "images" / f"{stem}.parquet"), Image, rows)
        scores = [Score(r.uid, c.id, "m", any_score(rng)) for r in rows for c in r.captions if rng.random() < 0.9]
        parquet.write_rows(str(tmp_path / "scores" / f"{stem}.parquet"), Score, scores)
    return tmp_path


def any_score(rng):
    return rng.choice([0.25, round(rng.uniform(-0.1, 0.5), 2), rng.uniform(-0.1, 0.5), float("nan")])


@pytest.mark.parametrize("way", WAYS)
def test_the_files_are_those_of_a_plain_loop(run, way):
    settings = SelectSettings(rules=WAYS[way], max_captions=2)
    with beam.Pipeline("FnApiRunner") as pipeline:
        pipeline | beam.Create(STEMS) | Select(str(run), "main", settings)
    for stem, rows in plain(run, settings).items():
        parquet.write_rows(str(run / "plain" / f"{stem}.parquet"), Selected, rows)
        found, expected = (run / folder / f"{stem}.parquet" for folder in ("selection/main", "plain"))
        rows_found, rows_expected = (map(repr, parquet.read_rows(str(p), Selected)) for p in (found, expected))
        assert list(rows_found) == list(rows_expected)
        assert found.read_bytes() == expected.read_bytes()


@pytest.mark.parametrize("run", [7], indirect=True)
def test_worker_processes_write_the_same_files(run):
    settings = SelectSettings(rules=WAYS["all in a row"])
    for name, workers in (("one", 1), ("two", 2)):
        mode = "multi_processing" if workers > 1 else "in_memory"
        options = PipelineOptions([f"--direct_num_workers={workers}", f"--direct_running_mode={mode}"])
        with beam.Pipeline(FnApiRunner(), options) as pipeline:
            pipeline | beam.Create(STEMS) | Select(str(run), name, settings)
    one, two = ([(run / "selection" / name / f"{s}.parquet").read_bytes() for s in STEMS] for name in ("one", "two"))
    assert one == two


def plain(run, settings) -> dict[str, list[Selected]]:
    """All pairs in one list, rule by rule."""
    rows = [row for stem in STEMS for row in read_part(str(run), stem)]
    ended = {row.uid: row for row in rows if isinstance(row, Selected)}
    alive = [row for row in rows if isinstance(row, Pair)]
    for label, step in zip(settings.labels(), settings.rules, strict=True):
        answers = [(pair, judge_among(pair, alive, step)) for pair in alive]
        alive = [answer for _, answer in answers if isinstance(answer, Pair)]
        for pair, answer in answers:
            if isinstance(answer, Drop):
                ended[pair.uid] = dropped(pair, label, answer, best_similarity(pair))
    ended |= {pair.uid: kept(pair, settings.max_captions) for pair in alive}
    return {stem: [ended[row.uid] for row in rows if row.part == stem] for stem in STEMS}


def judge_among(pair, alive, step) -> Pair | Drop:
    if isinstance(step, ExactDuplicateStep):
        group = [p for p in alive if p.sha256 == pair.sha256]
        best = max(group, key=rank_key)
        return pair if best is pair else Drop(Reason.EXACT_DUPLICATE, float(len(group)), best.uid.hex())
    if isinstance(step, NearDuplicateStep):
        return judge_near(pair, alive, step)
    if isinstance(step, RepetitionStep):
        counts = Counter(s.caption.id for p in alive for s in p.captions)
        return judge_repetition(pair, counts, step.max_images)
    if isinstance(step, ScoreStep) and step.top_share is not None:
        measured = Counter(s for p in alive if (s := best_similarity(p)) is not None)
        return judge_top_share(best_similarity(pair), cut_for_top_share(measured, step.top_share), step) or pair
    return step.judge(pair)


def judge_near(pair, alive, step) -> Pair | Drop:
    """Of equally near better ones of the same hash the best speaks; then the smallest uid does."""
    if pair.phash_quality < step.min_quality:
        return pair
    better = [p for p in alive if p.phash_quality >= step.min_quality and rank_key(p) > rank_key(pair)]
    near = [(hamming(p.phash, pair.phash), p) for p in better]
    least = min((distance for distance, _ in near), default=256)
    if least > step.radius:
        return pair
    hashes = {p.phash for distance, p in near if distance == least}
    leaders = [max((p for p in alive if usable(p, step) and p.phash == h), key=rank_key) for h in hashes]
    return Drop(Reason.NEAR_DUPLICATE, float(least), winner(pair, leaders, step).uid.hex())


def usable(pair, step) -> bool:
    return pair.phash_quality >= step.min_quality


def winner(pair, leaders, step):
    """In each band that both share the best is named; of those names the smallest uid."""
    named = []
    for band in bands(pair.phash, step.radius):
        here = [leader for leader in leaders if band in set(bands(leader.phash, step.radius))]
        named += [max(here, key=rank_key)] if here else []
    return min(named, key=lambda p: p.uid)


def judge_repetition(pair, counts, most) -> Pair | Drop:
    left = tuple(s for s in pair.captions if counts[s.caption.id] <= most)
    if left:
        return pair._replace(captions=left)
    worst = max(counts[s.caption.id] for s in pair.captions)
    return Drop(Reason.CAPTION_REPEATED, float(worst), redact(pair.captions[0].caption.text))
