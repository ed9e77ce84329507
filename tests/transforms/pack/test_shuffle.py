"""The global shuffle found bucket by bucket is the one that sorting everything finds."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from transforms.pack.shuffle import bucket_of, first_ranks, rank_of, shard_of

uids = st.lists(st.binary(min_size=16, max_size=16), unique=True, min_size=1, max_size=200)


@given(uids, st.integers(1, 40), st.integers(0, 3))
def test_shards_are_slices_of_the_sorted_ranks(uids, size, seed):
    ranks = [rank_of(uid, seed) for uid in uids]
    counts = Counter(map(bucket_of, ranks))
    starts = [start for b in counts for start in first_ranks(b, [r for r in ranks if bucket_of(r) == b], counts, size)]
    order = sorted(ranks)
    assert sorted(starts) == [(n, order[n * size]) for n in range(-(-len(order) // size))]
    begins = [rank for _, rank in sorted(starts)]
    assert all(shard_of(rank, begins) == place // size for place, rank in enumerate(order))


def test_the_seed_makes_the_order():
    uid = bytes(16)
    assert rank_of(uid, 0) == rank_of(uid, 0) != rank_of(uid, 1)
