import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import near_duplicate
from filters.near_duplicate import HASH_BITS, Member, NearDuplicateRules, bands, hamming, within_bucket


def flipped(digest, bits):
    whole = int.from_bytes(digest, "big")
    for bit in bits:
        whole ^= 1 << bit
    return whole.to_bytes(HASH_BITS // 8, "big")


@st.composite
def crowds(draw):
    """Members in clusters around a few hashes, so that many lie just within and just beyond the radius."""
    centres = draw(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=3))
    members = []
    for number in range(draw(st.integers(1, 25))):
        centre = draw(st.sampled_from(centres))
        bits = draw(st.sets(st.integers(0, HASH_BITS - 1), max_size=20))
        rank_key = (float(draw(st.integers(0, 3))), draw(st.sampled_from((0.1, 0.2))))
        members.append(Member(flipped(centre, bits), number.to_bytes(16, "big"), rank_key))
    return members


def by_bands(members, radius):
    """worse uid → smallest (distance, better uid) found in any band: what the pipeline does."""
    buckets = {}
    for member in members:
        for band in bands(member.hash, radius):
            buckets.setdefault(band, []).append(member)
    lost = {}
    for bucket in buckets.values():
        for worse, better, distance in within_bucket(bucket, radius):
            lost[worse] = min(lost.get(worse, (HASH_BITS + 1, b"")), (distance, better))
    return lost


def by_brute_force(members, radius):
    """worse uid → (distance to the nearest better member, uids of all better ones at that distance)."""
    lost = {}
    for one in members:
        better = [m for m in members if (m.rank_key, m.uid) > (one.rank_key, one.uid)]
        near = [(hamming(one.hash, m.hash), m.uid) for m in better if hamming(one.hash, m.hash) <= radius]
        if near:
            least = min(near)[0]
            lost[one.uid] = (least, {uid for distance, uid in near if distance == least})
    return lost


@given(crowds(), st.integers(0, 24))
@settings(max_examples=150, deadline=None)
def test_bands_find_what_brute_force_finds(members, radius):
    found, expected = by_bands(members, radius), by_brute_force(members, radius)
    assert found.keys() == expected.keys()
    for uid, (distance, better) in found.items():
        assert distance == expected[uid][0]
        assert better in expected[uid][1]


@given(st.binary(min_size=32, max_size=32), st.integers(0, 63), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_two_hashes_within_the_radius_share_a_band(digest, radius, rng):
    other = flipped(digest, rng.sample(range(HASH_BITS), radius))
    assert hamming(digest, other) == radius
    assert set(bands(digest, radius)) & set(bands(other, radius))


@pytest.mark.parametrize("radius", [0, 1, 5, 12, 30, 63])
def test_bands_cover_every_bit_once_and_evenly(radius):
    zero = bytes(32)
    flips = [dict(bands(flipped(zero, [bit]), radius)) for bit in range(HASH_BITS)]
    assert all(sum(value != 0 for value in bits.values()) == 1 for bits in flips)
    widths = [sum(bits[number] != 0 for bits in flips) for number in range(radius + 1)]
    assert sum(widths) == HASH_BITS
    assert max(widths) - min(widths) <= 1


def test_the_best_stays_and_a_chain_is_judged_link_by_link():
    best = Member(bytes(32), b"a", (9.0,))
    middle = Member(flipped(bytes(32), range(10)), b"b", (5.0,))
    last = Member(flipped(bytes(32), range(20)), b"c", (1.0,))
    assert sorted(within_bucket([last, best, middle], 12)) == [(b"b", b"a", 10), (b"c", b"b", 10)]


def test_a_tie_is_broken_by_the_uid_in_any_order():
    twins = [Member(bytes(32), uid, (1.0,)) for uid in (b"a", b"c", b"b")]
    assert sorted(within_bucket(twins, 0)) == [(b"a", b"c", 0), (b"b", b"c", 0)]
    assert sorted(within_bucket(twins[::-1], 0)) == [(b"a", b"c", 0), (b"b", b"c", 0)]


def test_one_beyond_the_radius_is_kept():
    pair = [Member(bytes(32), b"a", (1.0,)), Member(flipped(bytes(32), range(13)), b"b", (2.0,))]
    assert list(within_bucket(pair, 12)) == []
    assert list(within_bucket(pair, 13)) == [(b"a", b"b", 13)]


def test_blocks_do_not_change_the_answer(monkeypatch):
    rng = random.Random(1)
    centres = [rng.randbytes(32) for _ in range(5)]
    crowd = [
        Member(
            flipped(rng.choice(centres), rng.sample(range(HASH_BITS), rng.randrange(9))), rng.randbytes(16), (n % 7.0,)
        )
        for n in range(300)
    ]
    whole = sorted(within_bucket(crowd, 12))
    monkeypatch.setattr(near_duplicate, "BLOCK", 7)
    assert sorted(within_bucket(crowd, 12)) == whole
    assert {worse for worse, _, _ in whole} == set(by_brute_force(crowd, 12))


@pytest.mark.parametrize("radius", [0, 3, 12])
def test_a_crowd_that_is_divided_again_gives_the_same_answer(monkeypatch, radius):
    rng = random.Random(2)
    centres = [rng.randbytes(32) for _ in range(5)]
    flips = [rng.sample(range(HASH_BITS), rng.randrange(9)) for _ in range(400)]
    crowd = [Member(flipped(rng.choice(centres), bits), rng.randbytes(16), (n % 5.0,)) for n, bits in enumerate(flips)]
    whole = sorted(within_bucket(crowd, radius))
    monkeypatch.setattr(near_duplicate, "MAX_BUCKET", 10)
    monkeypatch.setattr(near_duplicate, "BLOCK", 16)
    assert sorted(within_bucket(crowd, radius)) == whole


def test_a_crowd_that_shares_a_band_alone_is_not_compared_all_with_all(monkeypatch):
    """Nine thousand hashes that agree on the first 24 bits: all with all are 81 million comparisons."""
    compared = []
    nearest = near_duplicate._nearest_better
    count = lambda words, start, radius: compared.append(len(words)) or nearest(words, start, radius)  # noqa: E731
    monkeypatch.setattr(near_duplicate, "_nearest_better", count)
    rng = random.Random(3)
    crowd = [Member(b"\0\0\0" + rng.randbytes(29), n.to_bytes(16, "big"), (0.0,)) for n in range(9_000)]
    assert list(within_bucket(crowd, 12)) == []
    assert sum(n * n for n in compared) < 2_000_000


def test_a_hot_bucket_of_equal_hashes_is_compared_once():
    crowd = [Member(bytes(32), n.to_bytes(16, "big"), (0.0,)) for n in range(50_000)]
    lost = list(within_bucket(crowd, 12))
    assert len(lost) == len(crowd) - 1
    assert {better for _, better, _ in lost} == {(49_999).to_bytes(16, "big")}


def test_hamming_counts_bits():
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 2, (2, HASH_BITS), dtype=np.uint8)
    assert hamming(np.packbits(one).tobytes(), np.packbits(other).tobytes()) == (one != other).sum()


@pytest.mark.parametrize("wrong", [{"radius": -1}, {"radius": 64}, {"min_quality": 101}, {"radios": 3}])
def test_impossible_rules_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NearDuplicateRules(**wrong)
