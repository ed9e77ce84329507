"""Cuts of CLIP similarity."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from pydantic import Field, model_validator

from filters.reasons import Drop, Reason
from filters.rules import Rules

BUCKETS = 4_096  # of all cosines: a thousandth of the values a bucket, and few counts


class ScoreRules(Rules):
    """Either `min`, a cut (LAION with ViT-B/32: 0.28 for English, 0.26 for other languages), or `top_share`."""

    min: float | None = Field(None, ge=-1, le=1)  # cosine
    languages: dict[str, float] = {}  # cosine: another cut for captions of a language
    top_share: float | None = Field(None, gt=0, le=1)  # DataComp's baseline keeps 0.3
    keep_unscored: bool = False  # whether pairs without a score stay

    @model_validator(mode="after")
    def _one_of_both(self) -> "ScoreRules":
        if (self.min is None) == (self.top_share is None):
            raise ValueError("give exactly one of min (a cosine such as 0.28) and top_share (such as 0.3)")
        if self.languages and self.min is None:
            raise ValueError("languages has cuts of its own, which go with min, not with top_share")
        return self


def is_measured(similarity: float | None) -> TypeGuard[float]:
    return similarity is not None and math.isfinite(similarity)


def judge_score(similarity: float | None, language: str, rules: ScoreRules) -> Drop | None:
    """Why a caption with that similarity falls below the cut, or None."""
    if not is_measured(similarity):
        return None if rules.keep_unscored else Drop(Reason.SCORE_MISSING)
    assert rules.min is not None
    if similarity < rules.languages.get(language, rules.min):
        return Drop(Reason.SCORE_TOO_LOW, similarity)
    return None


def cut_for_top_share(counts: Mapping[Any, int], share: float) -> float:
    """The lowest similarity that still belongs to the top `share` of all; `counts`: how often each value occurs.

    Pairs of equal similarity stay or fall together, so that a little more than the share may stay. -1 of nothing.
    """
    measured = {similarity: n for similarity, n in counts.items() if math.isfinite(similarity)}
    wanted = _wanted(measured, share)
    reached = 0
    for similarity in sorted(measured, reverse=True):
        reached += measured[similarity]
        if reached >= wanted:
            return similarity
    return -1.0


def bucket_of(similarity: float) -> int:
    """One of `BUCKETS`; a higher similarity is never in a lower bucket."""
    return min(int((min(max(similarity, -1.0), 1.0) + 1) / 2 * BUCKETS), BUCKETS - 1)


def cut_in_bucket(bucket: int, values: Iterable[float], counts: Mapping[int, int], share: float) -> float | None:
    """`cut_for_top_share` of all, where it lies among the `values` of `bucket`; None elsewhere.

    `counts`: measured similarities by bucket. Nobody needs to hold more than these counts and one bucket.
    """
    if cut_for_top_share(counts, share) != bucket:
        return None
    above = sum(n for other, n in counts.items() if other > bucket)
    return sorted(values, reverse=True)[max(_wanted(counts, share) - above, 1) - 1]


def _wanted(counts: Mapping[Any, int], share: float) -> int:
    return math.ceil(round(share * sum(counts.values()), 6))  # 0.1 x 30 is a little more than 3 in floats


def judge_top_share(similarity: float | None, cut: float, rules: ScoreRules) -> Drop | None:
    """Why a pair whose best similarity lies below the cut of a top share falls, or None."""
    if not is_measured(similarity):
        return None if rules.keep_unscored else Drop(Reason.SCORE_MISSING)
    return Drop(Reason.SCORE_NOT_IN_TOP_SHARE, similarity) if similarity < cut else None
