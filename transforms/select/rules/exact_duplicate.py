"""Rule `exact_duplicate`."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Literal, NamedTuple

from filters.reasons import Drop, Reason
from transforms.records import Pair
from transforms.select.pairs import rank_key
from transforms.select.rules.base import CrossPairRule, GroupResult, Judge


class HashSummary(NamedTuple):
    """The pairs of a part that share a sha256: how many, and the rank key of the best."""

    part: str
    count: int  # type: ignore[assignment]
    best: tuple[int, float, bytes]


class ExactDuplicateStep(CrossPairRule):
    """Of images with the same bytes, the best pair stays."""

    key_type: ClassVar[type] = str  # sha256
    aggregate_type: ClassVar[type] = HashSummary
    rule: Literal["exact_duplicate"] = "exact_duplicate"

    def map_part(self, part: str, pairs: Sequence[Pair]) -> list[tuple[str, HashSummary]]:
        counts: Counter[str] = Counter()
        best: dict[str, tuple[int, float, bytes]] = {}
        for pair in pairs:
            counts[pair.sha256] += 1
            best[pair.sha256] = max(best.get(pair.sha256, (-1, -2.0, b"")), rank_key(pair))
        return [(sha256, HashSummary(part, counts[sha256], best[sha256])) for sha256 in counts]

    def combine(self, key: str, aggregates: Iterable[HashSummary]) -> Iterator[tuple[str, GroupResult]]:
        """The best of all and how many there are; nothing where there is one alone."""
        summaries = list(aggregates)
        count = sum(summary.count for summary in summaries)
        if count > 1:
            result = GroupResult(key.encode(), float(count), max(summary.best for summary in summaries)[2])
            yield from ((summary.part, result) for summary in summaries)

    def apply(self, results: Sequence[GroupResult]) -> Judge:
        by_hash = {result.key: result for result in results}

        def judge(pair: Pair) -> Pair | Drop:
            result = by_hash.get(pair.sha256.encode())
            if result is None or result.better == pair.uid:
                return pair
            return Drop(Reason.EXACT_DUPLICATE, result.value, result.better.hex())

        return judge
