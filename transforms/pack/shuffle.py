"""The global shuffle: a seeded hash is a sample's rank, shards are equal slices of the sorted ranks. Pure.

Nobody holds all samples: counts per bucket of ranks say how many samples come before a bucket, so that the ranks
at which shards begin are found bucket by bucket.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence

from transforms.partition import stable_bytes


def rank_of(uid: bytes, seed: int) -> bytes:
    """(8,) bytes: where `uid` sorts in the shuffled order. Same seed, same order, on every engine."""
    return stable_bytes("rank", str(seed), uid)


def bucket_of(rank: bytes) -> int:
    return rank[0]


def first_ranks(bucket: int, ranks: Iterable[bytes], counts: Mapping[int, int], size: int) -> list[tuple[int, bytes]]:
    """(shard, rank at which it begins) for the shards of `size` samples that begin inside `bucket`."""
    before = sum(n for b, n in counts.items() if b < bucket)
    ordered = sorted(ranks)
    first = -(-before // size) * size
    return [(index // size, ordered[index - before]) for index in range(first, before + len(ordered), size)]


def shard_of(rank: bytes, starts: Sequence[bytes]) -> int:
    """Which shard holds `rank`, given the sorted ranks at which shards begin."""
    return bisect_right(starts, rank) - 1
