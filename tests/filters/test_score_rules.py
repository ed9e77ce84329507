import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.reasons import Drop, Reason
from filters.score import ScoreRules, bucket_of, cut_for_top_share, cut_in_bucket, judge_score, judge_top_share


@pytest.mark.parametrize(
    ("similarity", "language", "expected"),
    [
        (0.28, "en", None),
        (0.2799, "en", Drop(Reason.SCORE_TOO_LOW, 0.2799)),
        (0.27, "de", None),
        (0.25, "de", Drop(Reason.SCORE_TOO_LOW, 0.25)),
        (-1.0, "und", Drop(Reason.SCORE_TOO_LOW, -1.0)),
        (None, "en", Drop(Reason.SCORE_MISSING)),
        (math.nan, "en", Drop(Reason.SCORE_MISSING)),
    ],
)
def test_a_cut_holds_for_each_language(similarity, language, expected):
    assert judge_score(similarity, language, ScoreRules(min=0.28, languages={"de": 0.26})) == expected


def test_what_was_not_scored_stays_when_asked():
    assert judge_score(None, "en", ScoreRules(min=0.28, keep_unscored=True)) is None
    assert judge_top_share(None, 0.2, ScoreRules(top_share=0.5, keep_unscored=True)) is None
    assert judge_top_share(None, 0.2, ScoreRules(top_share=0.5)) == Drop(Reason.SCORE_MISSING)


@pytest.mark.parametrize(
    "wrong",
    [{}, {"min": 0.3, "top_share": 0.5}, {"top_share": 0.5, "languages": {"de": 0.2}}, {"min": 1.5}, {"top_share": 0.0},
     {"min": math.nan}],
)  # fmt: skip
def test_impossible_rules_are_refused(wrong):
    with pytest.raises(ValueError, match=r"min|top_share|languages"):
        ScoreRules(**wrong)


@given(st.lists(st.integers(-100, 100).map(lambda n: n / 100), min_size=1, max_size=80), st.integers(1, 100))
def test_a_top_share_is_the_share_and_only_ties_more(similarities, percent):
    share = percent / 100
    rules = ScoreRules(top_share=share)
    cut = cut_for_top_share(Counter(similarities), share)
    kept = [s for s in similarities if judge_top_share(s, cut, rules) is None]
    wanted = -(-percent * len(similarities) // 100)  # in whole numbers, rounded up
    assert len(kept) >= wanted
    assert sum(s > cut for s in kept) < wanted
    assert min(kept) == cut


@given(
    st.lists(st.floats(-1.5, 1.5) | st.integers(-20, 20).map(lambda n: n / 20), max_size=200),
    st.floats(1e-9, 1) | st.integers(1, 100).map(lambda n: n / 100),
)
def test_counts_and_one_bucket_give_the_exact_cut(similarities, share):
    buckets: dict[int, list[float]] = {}
    for similarity in similarities:
        buckets.setdefault(bucket_of(similarity), []).append(similarity)
    counts = {bucket: len(values) for bucket, values in buckets.items()}
    found = [cut_in_bucket(bucket, values, counts, share) for bucket, values in buckets.items()]
    cut = cut_for_top_share(Counter(similarities), share)
    assert [c for c in found if c is not None] == ([cut] if similarities else [])


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_buckets_keep_the_order(one, other):
    assert bucket_of(min(one, other)) <= bucket_of(max(one, other))


def test_exact_shares_are_not_rounded_up_by_floats():
    values = Counter({n / 100: 1 for n in range(30)})
    assert cut_for_top_share(values, 0.1) == 0.27  # 0.1 * 30 > 3 in floats


def test_a_top_share_of_nothing_drops_nothing_and_nan_does_not_count():
    assert cut_for_top_share({}, 0.3) == -1.0
    assert cut_for_top_share({math.nan: 5, 0.3: 1, 0.1: 1}, 0.5) == 0.3
    assert judge_top_share(0.2, 0.3, ScoreRules(top_share=0.5)) == Drop(Reason.SCORE_NOT_IN_TOP_SHARE, 0.2)
