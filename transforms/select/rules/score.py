"""Rule `score`: a cut of CLIP similarity, or the top share of all pairs."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from filters.reasons import Drop
from filters.score import ScoreRules, bucket_of, cut_in_bucket, is_measured, judge_score, judge_top_share
from transforms.records import Pair, ScoredCaption
from transforms.select.pairs import best_similarity
from transforms.select.rules.base import GlobalRule, GroupResult, Judge, LocalRule, Rule


class ScoreStep(LocalRule, GlobalRule, ScoreRules):
    """A cut of CLIP similarity, or a top share.

    Keys are buckets of similarities, aggregates a part's similarities in a bucket as packed doubles: the cut lies in
    one bucket, which the counts of all tell, and only that one is sorted.
    """

    key_type: ClassVar[type] = int
    aggregate_type: ClassVar[type] = bytes
    needs_scores: ClassVar[bool] = True
    rule: Literal["score"] = "score"

    def check_beside(self, rules: Sequence[Rule]) -> None:
        if sum(isinstance(rule, ScoreStep) and rule.top_share is not None for rule in rules) > 1:
            raise ValueError("rules: more than one score rule has a top_share; keep one")

    def compares_pairs(self) -> bool:
        return self.top_share is not None

    def judge_caption(self, scored: ScoredCaption, pair: Pair) -> Drop | None:
        return judge_score(scored.similarity, scored.caption.language, self)

    def map_part(self, part: str, pairs: Sequence[Pair]) -> list[tuple[int, bytes]]:
        packed: dict[int, array[float]] = {}
        for pair in pairs:
            similarity = best_similarity(pair)
            if is_measured(similarity):
                packed.setdefault(bucket_of(similarity), array("d")).append(similarity)
        return [(bucket, values.tobytes()) for bucket, values in packed.items()]

    def count(self, aggregate: bytes) -> int:
        return len(aggregate) // array("d").itemsize

    def combine(self, key: int, aggregates: Iterable[bytes], counts: Mapping[int, int]) -> Iterator[GroupResult]:
        """The cut where it lies in this bucket; nothing elsewhere."""
        assert self.top_share is not None
        cut = cut_in_bucket(key, array("d", b"".join(aggregates)), counts, self.top_share)
        if cut is not None:
            yield GroupResult(b"", cut)

    def apply(self, results: Sequence[GroupResult]) -> Judge:
        # Without a single measured pair there is no cut, and -1 is the lowest cosine.
        cut = results[0].value if results else -1.0
        return lambda pair: judge_top_share(best_similarity(pair), cut, self) or pair
