"""A host belongs to one task, hosts take turns, and nothing depends on the order of arrival."""

from collections import Counter

from helpers.samples import candidate
from hypothesis import given
from hypothesis import strategies as st

from filters.url import host_of
from transforms.fetch.plan import plan_rows, tasks_for, unplanned
from transforms.partition import partition_of, stable_hash, task_of

urls = st.lists(
    st.builds(lambda h, n: f"http://h{h}.example/{n}.jpg", st.integers(0, 5), st.integers(0, 500)), unique=True
)


@given(urls, st.randoms())
def test_the_plan_is_a_function_of_the_set(urls, random):
    rows = [unplanned(candidate(u)) for u in urls]
    shuffled = random.sample(rows, len(rows))
    assert plan_rows(rows, 10) == plan_rows(shuffled, 10)


@given(urls)
def test_every_row_once_in_bounded_parts(urls):
    rows = plan_rows([unplanned(candidate(u)) for u in urls], 7)
    assert Counter(r.candidate.url for r in rows) == Counter(urls)
    assert all(n <= 7 for n in Counter(r.part for r in rows).values())
    assert [r.part for r in rows] == sorted(r.part for r in rows)


def test_hosts_take_turns():
    urls = [f"http://{h}.example/{n}" for h in "abc" for n in range(3)]
    hosts = [host_of(r.candidate.url) for r in plan_rows([unplanned(candidate(u)) for u in urls], 100)]
    assert hosts == ["a.example", "b.example", "c.example"] * 3


def test_ownership_is_final():
    """These figures may never change: two versions at work on one run would ask a host twice as fast."""
    assert stable_hash("ab", "c") != stable_hash("a", "bc")
    assert [task_of(h, 7) for h in ("a.example", "b.example", "c.example")] == [
        stable_hash(h) % 7 for h in ("a.example", "b.example", "c.example")
    ]
    assert partition_of(b"\x00\x00\x01\x01" + bytes(12), 256) == 1


def test_tasks_follow_the_rows():
    assert [tasks_for(n, 10) for n in (0, 1, 10, 11)] == [1, 1, 1, 2]
