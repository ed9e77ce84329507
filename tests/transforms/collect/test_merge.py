"""The url merge gives one row an image, whatever the order and the grouping in which occurrences arrive."""

from helpers.samples import occurrence
from hypothesis import given
from hypothesis import strategies as st

from transforms.collect.merge import candidate_of, merge, merged

texts = st.sampled_from(["a red kite", "a blue kite", "kite festival", "the sea"])
occurrences = st.lists(st.builds(lambda t, p: occurrence(text=t, position=f"{p:04d}"), texts, st.integers(0, 99)),
                       min_size=1, max_size=20, unique_by=lambda o: o.position)  # fmt: skip


@given(occurrences, st.randoms(), st.integers(1, 5))
def test_order_and_grouping_change_nothing(items, random, groups):
    whole = merge(merged(o) for o in items)
    shuffled = random.sample(items, len(items))
    parts = [merge(merged(o) for o in shuffled[n::groups]) for n in range(groups) if shuffled[n::groups]]
    assert merge(parts) == whole


@given(occurrences)
def test_counts_add_up(items):
    candidate = candidate_of(items[0].uid, merge(merged(o) for o in items), 99)
    assert candidate.occurrences == len(items) == sum(c.count for c in candidate.captions)
    assert [c.count for c in candidate.captions] == sorted((c.count for c in candidate.captions), reverse=True)


def test_the_most_frequent_captions_stay():
    items = [occurrence(text=t, position=str(n)) for n, t in enumerate(["x one", "y two", "y two", "z three"])]
    candidate = candidate_of(items[0].uid, merge(merged(o) for o in items), 1)
    assert [c.text for c in candidate.captions] == ["y two"]
    assert candidate.occurrences == 4
