"""The rules that look at many pairs: duplicates, repetition, top shares. Pure; `transform.py` brings the groups."""

from collections.abc import Iterable, Iterator, Mapping

from filters.contact import redact
from filters.near_duplicate import Member, NearDuplicateRules, bands, within_bucket
from filters.reasons import Drop, Reason
from filters.score import ScoreRules, cut_for_top_share, judge_top_share
from transforms.records import Pair
from transforms.select.pairs import best_similarity, standing


def exact_losers(pairs: Iterable[Pair]) -> Iterator[tuple[Pair, Drop | None]]:
    """Pairs of one sha256, each with its drop or None for the best."""
    ordered = sorted(pairs, key=standing, reverse=True)
    best = ordered[0]
    yield best, None
    for pair in ordered[1:]:
        yield pair, Drop(Reason.EXACT_DUPLICATE, float(len(ordered)), best.uid.hex())


def band_keys(pair: Pair, rules: NearDuplicateRules) -> list[tuple[tuple[int, int], Member]]:
    """A pair under each band of its hash; none where the hash says too little."""
    if not pair.phash or pair.phash_quality < rules.min_quality:
        return []
    pixels, similarity, uid = standing(pair)
    member = Member(pair.phash, uid, (float(pixels), similarity))
    return [(band, member) for band in bands(pair.phash, rules.radius)]


def near_losers(members: Iterable[Member], rules: NearDuplicateRules) -> Iterator[tuple[bytes, tuple[int, bytes]]]:
    """(uid, (distance, uid of the better one)) for those of one band that lose."""
    for worse, better, distance in within_bucket(list(members), rules.radius):
        yield worse, (distance, better)


def nearest(losses: Iterable[tuple[int, bytes]]) -> tuple[int, bytes]:
    """Of all the better ones that a pair lost to, the nearest; the smallest uid of equals."""
    return min(losses)


def near_drop(loss: tuple[int, bytes]) -> Drop:
    return Drop(Reason.NEAR_DUPLICATE, float(loss[0]), loss[1].hex())


def without_repeated(pair: Pair, counts: Mapping[bytes, int], max_images: int) -> Pair | Drop:
    """A pair without the captions that too many images share. `counts`: images by caption id."""
    left = tuple(s for s in pair.captions if counts.get(s.caption.id, 0) <= max_images)
    if left:
        return pair._replace(captions=left)
    worst = max(counts.get(s.caption.id, 0) for s in pair.captions)
    return Drop(Reason.CAPTION_REPEATED, float(worst), redact(pair.captions[0].caption.text))


def top_share_drop(pair: Pair, counts: Mapping[float, int], rules: ScoreRules) -> Drop | None:
    """Whether a pair falls out of the top share. `counts`: how often each similarity occurs among all pairs."""
    assert rules.top_share is not None
    return judge_top_share(best_similarity(pair), cut_for_top_share(counts, rules.top_share), rules)
