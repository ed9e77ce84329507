"""Near-duplicates: images whose perceptual hashes lie within a Hamming radius of each other.

Hashes are PDQ's (256 bits, 32 bytes). Two hashes that differ in at most r bits agree exactly on at least one of r + 1
bands (pigeonhole): bands bring together all who may be near, and within a band all are compared.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from pydantic import Field

from filters.rules import Rules

HASH_BITS = 256
BLOCK = 1_024  # members compared at once with as many others: 1,024 x 1,024 x 32 bytes
MAX_BUCKET = 8_192  # distinct hashes of one band; more are divided again before they are compared


class NearDuplicateRules(Rules):
    """Which hashes are near, and which say too little to be compared."""

    radius: int = Field(12, ge=0, le=63)  # bits of 256; copies at another size or quality differ in less than 10
    min_quality: int = Field(50, ge=0, le=100)  # points of PDQ, whose advice this is: below, features are too few


class Member(NamedTuple):
    """A hash in a band, with what decides who stays."""

    hash: bytes  # (32,)
    uid: bytes
    rank_key: tuple[float, ...]  # higher is better; the uid breaks ties


def bands(hash_: bytes, radius: int) -> Iterator[tuple[int, int]]:
    """(number of the band, its bits) for the radius + 1 bands of a hash, as even in size as can be."""
    whole = int.from_bytes(hash_, "big")
    count = radius + 1
    for number in range(count):
        start, end = number * HASH_BITS // count, (number + 1) * HASH_BITS // count
        yield number, (whole >> (HASH_BITS - end)) & ((1 << (end - start)) - 1)


def hamming(one: bytes, other: bytes) -> int:
    """How many bits differ."""
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()


def within_bucket(members: Sequence[Member], radius: int) -> Iterator[tuple[bytes, bytes, int]]:
    """(uid, uid of the nearest better one, distance) for each member with a better one within the radius.

    Beside the members themselves memory is bounded by a block of them, however many share the bucket. More than
    `MAX_BUCKET` distinct hashes are divided into bands once more, so that time grows with those that are truly alike.
    """
    ordered = sorted(members, key=lambda m: (m.rank_key, m.uid), reverse=True)  # best first
    leaders: dict[bytes, Member] = {}  # the best of each hash; thousands of equal copies are compared once
    for member in ordered:
        leader = leaders.setdefault(member.hash, member)
        if leader is not member:
            yield member.uid, leader.uid, 0
    yield from _among_leaders(list(leaders.values()), radius)


def _among_leaders(ordered: Sequence[Member], radius: int) -> Iterator[tuple[bytes, bytes, int]]:
    words = np.frombuffer(b"".join(m.hash for m in ordered), np.uint64).reshape(len(ordered), HASH_BITS // 64)
    for index, (distance, better) in _all_nearest(words, radius).items():
        yield ordered[index].uid, ordered[better].uid, distance


def _all_nearest(words: np.ndarray, radius: int) -> dict[int, tuple[int, int]]:
    """index → (distance, index of its nearest better one); the best of equally near ones."""
    best: dict[int, tuple[int, int]] = {}
    for indexes in _buckets(words, radius):
        some = words[indexes]
        for start in range(0, len(some), BLOCK):
            for index, (better, distance) in _nearest_better(some, start, radius).items():
                found = (distance, int(indexes[better]))
                best[int(indexes[index])] = min(best.get(int(indexes[index]), found), found)
    return best


def _buckets(words: np.ndarray, radius: int) -> Iterator[np.ndarray]:
    """Indexes, ascending, of hashes that may be near each other: all at once, or those that share strided bits.

    Strided bits are every (radius + 1)th one: bands again, but the band that all here share anyway is spread out.
    """
    if len(words) <= MAX_BUCKET:
        yield np.arange(len(words))
        return
    for first in range(radius + 1):
        keys = _strided_bits(words, first, radius + 1)
        order = np.argsort(keys, kind="stable")
        runs = np.split(order, np.flatnonzero(keys[order][1:] != keys[order][:-1]) + 1)
        yield from (run for run in runs if len(run) > 1)


def _strided_bits(words: np.ndarray, first: int, step: int) -> np.ndarray:
    """(n,) the bits first, first + step, ... of each hash, packed."""
    octets = words.view(np.uint8).reshape(len(words), HASH_BITS // 8)
    blocks = [octets[start : start + BLOCK] for start in range(0, len(octets), BLOCK)]
    packed = np.concatenate([np.packbits(np.unpackbits(b, axis=1)[:, first::step], axis=1) for b in blocks])
    return np.ascontiguousarray(packed).view(f"S{packed.shape[1]}").ravel()


def _nearest_better(words: np.ndarray, start: int, radius: int) -> dict[int, tuple[int, int]]:
    """index → (index of its nearest better one, distance) for the block of indexes that begins at `start`."""
    block = words[start : start + BLOCK]  # (b, 4)
    best: dict[int, tuple[int, int]] = {}
    for first in range(0, start + len(block), BLOCK):
        others = words[first : first + BLOCK]  # (o, 4)
        distances = np.bitwise_count(block[:, None, :] ^ others[None, :, :]).sum(axis=2, dtype=np.int64)  # (b, o)
        worse = np.arange(start, start + len(block))[:, None] <= np.arange(first, first + len(others))[None, :]
        distances[worse] = HASH_BITS + 1
        nearest = distances.argmin(axis=1)
        for row in np.flatnonzero(distances[np.arange(len(block)), nearest] <= radius):
            found = (int(nearest[row]) + first, int(distances[row, nearest[row]]))
            known = best.get(start + int(row))
            if known is None or found[1] < known[1]:
                best[start + int(row)] = found
    return best
