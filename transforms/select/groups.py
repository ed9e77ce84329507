"""The rules that look at many pairs: duplicates, repetition, top shares. Pure; `transform.py` brings the groups.

Each has three steps: what a part tells of its pairs, summed up within the part, so that a group has at most one member
a part; what a group of such members finds out, as facts for the parts; how a part judges its pairs by the facts.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from filters.contact import redact
from filters.near_duplicate import Member, NearDuplicateRules, bands, within_bucket
from filters.reasons import Drop, Reason
from filters.score import ScoreRules, bucket_of, cut_in_bucket, is_measured, judge_top_share
from transforms.records import Pair
from transforms.select.pairs import best_similarity, standing
from transforms.select.settings import ExactDuplicateStep, NearDuplicateStep, RepetitionStep, ScoreStep


class Fact(NamedTuple):
    """What a part needs to know of a group. What stands in it is the rule's affair."""

    key: bytes  # sha256, uid or caption id
    value: float
    better: bytes = b""  # uid of the pair that stays


class Held(NamedTuple):
    """The pairs of a part that share a sha256: how many, and the standing of the best."""

    part: str
    count: int  # type: ignore[assignment]
    best: tuple[int, float, bytes]


class Near(NamedTuple):
    """A pair in a band of perceptual hashes."""

    part: str
    member: Member


class Use(NamedTuple):
    """On how many images of a part a caption stands."""

    part: str
    count: int  # type: ignore[assignment]


def needs_many(step: Any) -> bool:
    """Whether a rule compares pairs with each other."""
    if isinstance(step, ScoreStep):
        return step.top_share is not None
    return isinstance(step, ExactDuplicateStep | NearDuplicateStep | RepetitionStep)


def judge_by_facts(step: Any, facts: Iterable[Fact]) -> Callable[[Pair], Pair | Drop]:
    """The judgement of a pair by what a rule of many found out about its part."""
    if isinstance(step, ExactDuplicateStep):
        return _judge_exact({fact.key: fact for fact in facts})
    if isinstance(step, NearDuplicateStep):
        return _judge_near(nearest(facts))
    if isinstance(step, RepetitionStep):
        counts = {fact.key: int(fact.value) for fact in facts}
        return lambda pair: without_repeated(pair, counts, step.max_images)
    (cut,) = (fact.value for fact in facts)
    return lambda pair: judge_top_share(best_similarity(pair), cut, step) or pair


# the same bytes


def bytes_held(part: str, pairs: Iterable[Pair]) -> list[tuple[str, Held]]:
    """(sha256, Held) once a sha256 of the part."""
    counts: Counter[str] = Counter()
    best: dict[str, tuple[int, float, bytes]] = {}
    for pair in pairs:
        counts[pair.sha256] += 1
        best[pair.sha256] = max(best.get(pair.sha256, (-1, -2.0, b"")), standing(pair))
    return [(sha256, Held(part, counts[sha256], best[sha256])) for sha256 in counts]


def same_bytes(sha256: str, members: Iterable[Held]) -> Iterator[tuple[str, Fact]]:
    """The best of all and how many there are, told to every part; nothing where there is one alone."""
    held = list(members)
    count = sum(h.count for h in held)
    if count > 1:
        fact = Fact(sha256.encode(), float(count), max(h.best for h in held)[2])
        yield from ((h.part, fact) for h in held)


def _judge_exact(facts: Mapping[bytes, Fact]) -> Callable[[Pair], Pair | Drop]:
    def judge(pair: Pair) -> Pair | Drop:
        fact = facts.get(pair.sha256.encode())
        if fact is None or fact.better == pair.uid:
            return pair
        return Drop(Reason.EXACT_DUPLICATE, fact.value, fact.better.hex())

    return judge


# near hashes


def band_members(part: str, pairs: Iterable[Pair], rules: NearDuplicateRules) -> Iterator[tuple[bytes, Near]]:
    """Each pair under each band of its hash; none where the hash says too little."""
    for pair in pairs:
        if pair.phash and pair.phash_quality >= rules.min_quality:
            pixels, similarity, uid = standing(pair)
            near = Near(part, Member(pair.phash, uid, (float(pixels), similarity)))
            yield from ((_band_key(*band), near) for band in bands(pair.phash, rules.radius))


def _band_key(number: int, bits: int) -> bytes:
    """Bytes, because few and therefore wide bands go beyond Beam's integers of 64 bits."""
    return bytes([number]) + bits.to_bytes(-(-bits.bit_length() // 8), "big")


def near_losers(members: Iterable[Near], rules: NearDuplicateRules) -> Iterator[tuple[str, Fact]]:
    """The nearest better one of each that loses within one band, told to the loser's part.

    The members of one band are held in memory, about 0.5 kB each. Of unrelated hashes and a radius of 12 that is one
    or two in a million images; of a band that very many share (flat pictures) a million members are half a gigabyte.
    """
    parts = {near.member.uid: (near.part, near.member) for near in members}
    if len(parts) > 1:
        for worse, better, distance in within_bucket([member for _, member in parts.values()], rules.radius):
            yield parts[worse][0], Fact(worse, float(distance), better)


def nearest(facts: Iterable[Fact]) -> dict[bytes, Fact]:
    """Of all the better ones that a pair lost to, band by band, the nearest; the smallest uid of equals."""
    found: dict[bytes, Fact] = {}
    for fact in facts:
        found[fact.key] = min(found.get(fact.key, fact), fact)
    return found


def _judge_near(losses: Mapping[bytes, Fact]) -> Callable[[Pair], Pair | Drop]:
    def judge(pair: Pair) -> Pair | Drop:
        loss = losses.get(pair.uid)
        return pair if loss is None else Drop(Reason.NEAR_DUPLICATE, loss.value, loss.better.hex())

    return judge


# the same text


def caption_uses(part: str, pairs: Iterable[Pair]) -> list[tuple[bytes, Use]]:
    """(caption id, Use) once a caption of the part."""
    counts = Counter(scored.caption.id for pair in pairs for scored in pair.captions)
    return [(caption, Use(part, count)) for caption, count in counts.items()]


def repeated(caption: bytes, uses: Iterable[Use], max_images: int) -> Iterator[tuple[str, Fact]]:
    """On how many images a caption stands, told to every part that uses it; nothing where they are few enough."""
    held = list(uses)
    count = sum(use.count for use in held)
    if count > max_images:
        fact = Fact(caption, float(count))
        yield from ((use.part, fact) for use in held)


def without_repeated(pair: Pair, counts: Mapping[bytes, int], max_images: int) -> Pair | Drop:
    """A pair without the captions that too many images share. `counts`: images by caption id."""
    left = tuple(s for s in pair.captions if counts.get(s.caption.id, 0) <= max_images)
    if left:
        return pair._replace(captions=left)
    worst = max(counts.get(s.caption.id, 0) for s in pair.captions)
    return Drop(Reason.CAPTION_REPEATED, float(worst), redact(pair.captions[0].caption.text))


# the top share


def similarities(pairs: Iterable[Pair]) -> list[tuple[int, bytes]]:
    """(bucket, its similarities as packed doubles) of a part."""
    packed: dict[int, array[float]] = {}
    for pair in pairs:
        similarity = best_similarity(pair)
        if is_measured(similarity):
            packed.setdefault(bucket_of(similarity), array("d")).append(similarity)
    return [(bucket, values.tobytes()) for bucket, values in packed.items()]


def count_packed(bucket: int, packed: bytes) -> tuple[int, int]:
    """(bucket, how many similarities are packed)"""
    return bucket, len(packed) // array("d").itemsize


def cuts(bucket: int, packed: Iterable[bytes], counts: Mapping[int, int], rules: ScoreRules) -> list[float]:
    """The cut of the top share where it lies in this bucket; nothing elsewhere. `counts`: similarities by bucket."""
    assert rules.top_share is not None
    values = array("d", b"".join(packed))
    cut = cut_in_bucket(bucket, values, counts, rules.top_share)
    return [] if cut is None else [cut]
