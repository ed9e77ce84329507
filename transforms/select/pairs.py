"""The rows of one part as pairs: images joined with their scores, and what became of each as `Selected`. Pure."""

from collections.abc import Iterator, Mapping
from functools import partial

from filters.reasons import Drop
from filters.score import is_measured
from transforms import run_dir, storage
from transforms.formats import parquet
from transforms.records import Image, Pair, Score, ScoredCaption, Selected
from transforms.rounds import live_images
from transforms.select.caption_choice import NO_PREFERENCE, UNMEASURED, Preference, caption_order


def read_part(run: str, stem: str) -> Iterator[Pair | Selected]:
    """A Pair for each fetched image of a part, a dropped Selected for each that was not: of the live rows."""
    scores = read_scores(run, stem)
    for row, image in live_images(run, stem):
        yield pair_of(image, stem, row, scores) if image.status == "success" else _not_fetched(image, stem, row)


def read_scores(run: str, stem: str) -> Mapping[tuple[bytes, bytes], float]:
    """(uid, caption id) → similarity; empty where nothing was scored."""
    path = run_dir.score_rows(run, stem)
    if not storage.exists(path):
        return {}
    return {(s.uid, s.caption_id): s.similarity for s in parquet.read_rows(path, Score)}


def _not_fetched(image: Image, stem: str, row: int) -> Selected:
    return Selected(image.uid, image.url, False, "fetch", image.reason, image.value, image.detail, (), None, stem, row)


def pair_of(image: Image, stem: str, row: int, scores: Mapping[tuple[bytes, bytes], float]) -> Pair:
    captions = [ScoredCaption(c, scores.get((image.uid, c.id))) for c in image.captions]
    return Pair(
        image.uid,
        image.url,
        stem,
        row,
        image.sha256 or "",
        image.phash or b"",
        image.phash_quality or 0,
        image.original_width or 0,
        image.original_height or 0,
        image.original_bytes or 0,
        tuple(sorted(captions, key=caption_order)),
    )


def best_similarity(pair: Pair) -> float | None:
    return pair.captions[0].similarity if pair.captions else None


def rank_key(pair: Pair) -> tuple[int, float, bytes]:
    """Sorts the best member of a group of duplicates highest: pixels, then similarity, then uid."""
    similarity = best_similarity(pair)
    return pair.width * pair.height, similarity if is_measured(similarity) else UNMEASURED, pair.uid


def dropped(pair: Pair, step: str, drop: Drop, similarity: float | None) -> Selected:
    """The final row of a dropped pair. `similarity`: of the best caption that it had left."""
    return Selected(
        pair.uid,
        pair.url,
        False,
        step,
        str(drop.reason),
        drop.value,
        drop.detail,
        (),
        similarity,
        pair.part,
        pair.row,
    )


def kept(pair: Pair, max_captions: int, first: Preference = NO_PREFERENCE) -> Selected:
    """The final row of a kept pair. `first`: the captions that go first among equally similar ones."""
    captions = sorted(pair.captions, key=partial(caption_order, first=first))
    ids = tuple(scored.caption.id for scored in captions[:max_captions])
    return Selected(pair.uid, pair.url, True, "", "", None, "", ids, best_similarity(pair), pair.part, pair.row)
