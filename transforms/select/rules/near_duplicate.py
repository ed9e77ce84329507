"""Rule `near_duplicate`."""

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Literal, NamedTuple

from filters.near_duplicate import Member, NearDuplicateRules, bands, within_bucket
from filters.reasons import Drop, Reason
from transforms.records import Pair
from transforms.select.pairs import rank_key
from transforms.select.rules.base import CrossPairRule, GroupResult, Judge


class BandMember(NamedTuple):
    """A pair in a band of perceptual hashes."""

    part: str
    member: Member


class NearDuplicateStep(CrossPairRule, NearDuplicateRules):
    """Of images within a Hamming radius, the best pair stays."""

    key_type: ClassVar[type] = bytes  # a band's number and bits
    aggregate_type: ClassVar[type] = BandMember
    rule: Literal["near_duplicate"] = "near_duplicate"

    def map_part(self, part: str, pairs: Sequence[Pair]) -> Iterator[tuple[bytes, BandMember]]:
        """Each pair under each band of its hash; none where the hash says too little."""
        for pair in pairs:
            if pair.phash and pair.phash_quality >= self.min_quality:
                pixels, similarity, uid = rank_key(pair)
                member = BandMember(part, Member(pair.phash, uid, (float(pixels), similarity)))
                yield from ((_band_key(*band), member) for band in bands(pair.phash, self.radius))

    def combine(self, key: bytes, aggregates: Iterable[BandMember]) -> Iterator[tuple[str, GroupResult]]:
        """The nearest better pair of each that loses within one band, for the loser's part.

        The members of one band are held in memory, about 0.5 kB each. Of unrelated hashes and a radius of 12 that is
        one or two in a million images; of a band that very many share (flat pictures) a million members are half a
        gigabyte.
        """
        members = {member.member.uid: member for member in aggregates}
        if len(members) > 1:
            for worse, better, distance in within_bucket([m.member for m in members.values()], self.radius):
                yield members[worse].part, GroupResult(worse, float(distance), better)

    def apply(self, results: Sequence[GroupResult]) -> Judge:
        losses: dict[bytes, GroupResult] = {}
        for result in results:
            # A pair may lose in several bands: the nearest better one is named, and of equals the smallest uid.
            losses[result.key] = min(losses.get(result.key, result), result)

        def judge(pair: Pair) -> Pair | Drop:
            loss = losses.get(pair.uid)
            return pair if loss is None else Drop(Reason.NEAR_DUPLICATE, loss.value, loss.better.hex())

        return judge


def _band_key(number: int, bits: int) -> bytes:
    """Bytes, because few and therefore wide bands go beyond Beam's integers of 64 bits."""
    return bytes([number]) + bits.to_bytes(-(-bits.bit_length() // 8), "big")
