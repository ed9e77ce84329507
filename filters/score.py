"""Cuts of CLIP similarity."""

import math
from collections.abc import Mapping

from pydantic import Field, model_validator

from filters.reasons import Drop, Reason
from filters.rules import Rules


class ScoreRules(Rules):
    """Either `min`, a cut (LAION with ViT-B/32: 0.28 for English, 0.26 for other languages), or `top_share`."""

    min: float | None = Field(None, ge=-1, le=1)  # cosine
    languages: dict[str, float] = {}  # another cut for captions of a language
    top_share: float | None = Field(None, gt=0, le=1)  # DataComp's baseline keeps 0.3
    keep_unscored: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> "ScoreRules":
        if (self.min is None) == (self.top_share is None):
            raise ValueError("give exactly one of min (a cosine such as 0.28) and top_share (such as 0.3)")
        if self.languages and self.min is None:
            raise ValueError("languages has cuts of its own, which go with min, not with top_share")
        return self


def judge_score(similarity: float | None, language: str, rules: ScoreRules) -> Drop | None:
    """Why a caption with that similarity falls below the cut, or None."""
    if similarity is None or math.isnan(similarity):
        return None if rules.keep_unscored else Drop(Reason.SCORE_MISSING)
    assert rules.min is not None
    if similarity < rules.languages.get(language, rules.min):
        return Drop(Reason.SCORE_TOO_LOW, similarity)
    return None


def cut_for_top_share(counts: Mapping[float, int], share: float) -> float:
    """The lowest similarity that still belongs to the top `share` of all; `counts`: how often each value occurs.

    Pairs of equal similarity stay or fall together, so that a little more than the share may stay.
    """
    measured = {similarity: n for similarity, n in counts.items() if not math.isnan(similarity)}
    wanted = math.ceil(round(share * sum(measured.values()), 6))  # 0.1 x 30 is a little more than 3 in floats
    reached = 0
    for similarity in sorted(measured, reverse=True):
        reached += measured[similarity]
        if reached >= wanted:
            return similarity
    return -1.0


def judge_top_share(similarity: float | None, cut: float, rules: ScoreRules) -> Drop | None:
    """Why a pair whose best similarity lies below the cut of a top share falls, or None."""
    if similarity is None or math.isnan(similarity):
        return None if rules.keep_unscored else Drop(Reason.SCORE_MISSING)
    return Drop(Reason.SCORE_NOT_IN_TOP_SHARE, similarity) if similarity < cut else None
