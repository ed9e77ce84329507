import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from transforms.crawl.frontier import (
    first_frontier,
    in_scope,
    is_trap,
    next_frontier,
    scope_of,
)
from transforms.crawl.settings import CrawlSource, SeedError

SEEDS = ["https://www.example.org/docs/index.html"]


@pytest.mark.parametrize(
    ("scope", "inside", "outside"),
    [
        ("host", "http://www.example.org/x", "http://example.org/x"),
        ("domain", "http://img.example.org/x", "http://badexample.org/x"),
        ("domain", "http://example.org/", "http://org/"),
        ("prefix", "https://www.example.org/docs/a/b", "https://www.example.org/other"),
        ("any", "http://elsewhere.example/", "ftp://www.example.org/"),
    ],
)
def test_scope_is_measured_from_the_seeds(scope, inside, outside):
    settings = CrawlSource(scope=scope)
    assert in_scope(inside, settings, scope_of(SEEDS))
    assert not in_scope(outside, settings, scope_of(SEEDS))


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/a", True),
        ("/a.html", True),
        ("/a.php?x=1", True),
        ("/v1.2/", True),
        ("/a.JPG", False),
        ("/a.pdf?x=1", False),
        ("/x.zip", False),
        ("/.png", True),
        ("/?file=a.jpg", True),
        ("/?a=1&b=2&c=3&d=4", True),
        ("/?a=1&b=2&c=3&d=4&e=5", False),
        ("/a/b/a/b/", True),
        ("/a/b/a/b/a/b/", False),
        ("/x/a/b/a/b/a/b/y", False),
        ("/img/img/img/", False),
        ("/en/us/en/us/en", True),
        ("/a/b/a/a/b/b/a/b/a", False),  # two broken links in turn
        ("/11/11/11/post", True),
        ("/2011/11/11/11", True),
        ("/1/1/1/1/1/", False),
        ("/2011/11/2011/11/2011/11/", False),
        ("/blog/a/edit/b/edit/c/edit", True),
        ("/" + "/".join(map(str, range(16))), True),
        ("/" + "/".join(map(str, range(17))), False),
        ("/" + "x" * 1_100, False),
    ],
)
def test_files_and_endless_sites_are_not_asked(path, asked):
    assert in_scope("https://www.example.org" + path, CrawlSource(), scope_of(SEEDS)) is asked


def test_include_and_exclude_are_searched_in_the_url():
    settings = CrawlSource(include=["/docs/", "/blog/"], exclude=[r"\?print="])
    asked = [
        in_scope(f"https://www.example.org{p}", settings, scope_of(SEEDS)) for p in ("/docs/a", "/a", "/docs/?print=1")
    ]
    assert asked == [True, False, False]


def test_the_guards_can_be_moved():
    assert not is_trap("http://e.org/a/a/a/a?b&c&d&e&f", CrawlSource(max_repeated_segments=4, max_query_parameters=9))


URLS = st.sampled_from([f"http://{host}.org/{i}" for host in "abc" for i in range(12)])


@given(st.sets(URLS), st.sets(URLS), st.integers(1, 20), st.integers(1, 8), st.randoms(use_true_random=False))
def test_the_frontier_is_what_brute_force_deals_out_in_turn(known, links, pages, per_host, shuffle):
    settings = CrawlSource(scope="any", max_pages=pages, max_pages_per_host=per_host)
    chosen, left = set(known), links - known
    while left and len(chosen) < pages:  # one page at a time, of the host that had the fewest
        had = {host: sum(url.startswith(f"http://{host}") for url in chosen) for host in "abc"}
        waiting = [(had[url[7]], url) for url in left if had[url[7]] < per_host]
        if not waiting:
            break
        chosen.add(min(waiting)[1])
        left -= chosen
    mixed = list(links) * 2
    shuffle.shuffle(mixed)
    assert next_frontier(known, mixed, settings, ["http://a.org/"]) == sorted(chosen - known)


def test_a_budget_goes_to_hosts_in_turn():
    seeds = ["http://a.org/", "http://b.org/"]
    links = [f"http://{host}.org/{n}" for host in "ab" for n in range(12_000)]
    new = next_frontier(set(seeds), links, CrawlSource(max_pages=10_000), seeds)
    assert [sum(url.startswith(seed) for url in new) for seed in seeds] == [4_999, 4_999]
    few = [f"http://b.org/{n}" for n in range(7)]
    new = next_frontier(set(seeds), links[:12_000] + few, CrawlSource(max_pages=102), seeds)
    assert sum(url.startswith("http://a.org") for url in new) == 93  # what one host has no use for is another's
    late = next_frontier(set(links[:90]), links, CrawlSource(max_pages=100), seeds)
    assert {url[7] for url in late} == {"b"}  # who had pages before waits


def test_seeds_of_many_hosts_share_a_small_budget():
    seeds = [f"http://{host}.org/{n}" for host in "abc" for n in range(5)]
    assert [url[7] for url in first_frontier(seeds, CrawlSource(max_pages=4))] == ["a", "a", "b", "c"]


def test_rounds_never_exceed_the_budget():
    settings = CrawlSource(scope="any", max_pages=25, max_pages_per_host=10)
    links = [f"http://{host}.org/{i}" for host in "abcd" for i in range(30)]
    known = set(first_frontier(links[:3], settings))
    while new := next_frontier(known, random.Random(len(known)).sample(links, 40), settings, links[:3]):
        known |= set(new)
    assert len(known) == 25


def test_the_first_round_asks_the_seeds_within_the_budgets():
    settings = CrawlSource(max_pages=3, max_pages_per_host=2)
    seeds = ["http://b.org/", "http://a.org/3", "http://a.org/1", "http://a.org/2", "http://a.org/1"]
    assert first_frontier(seeds, settings) == ["http://a.org/1", "http://a.org/2", "http://b.org/"]


def test_seeds_come_from_the_list_and_the_file(tmp_path):
    file = tmp_path / "seeds.txt"
    file.write_bytes("\ufeff# comment\n\nHTTP://B.org#x\r\n  http://a.org/ \n".encode())
    settings = CrawlSource(seeds=["http://c.org", "http://a.org"], seed_file=str(file))
    assert settings.seed_urls() == ["http://a.org/", "http://b.org/", "http://c.org/"]


@pytest.mark.parametrize(
    ("seeds", "words"),
    [([], "no seeds"), ([" "], "no seeds"), (["example.org"], "example.org"), (["ftp://e.org/"], "http or https")],
)
def test_bad_seeds_are_refused(seeds, words):
    with pytest.raises(SeedError, match=words):
        CrawlSource(seeds=seeds).seed_urls()


def test_a_missing_seed_file_is_refused(tmp_path):
    with pytest.raises(SeedError, match="seed_file"):
        CrawlSource(seed_file=str(tmp_path / "no.txt")).seed_urls()


def test_a_broken_expression_is_refused():
    with pytest.raises(ValidationError, match="regular expression"):
        CrawlSource(exclude=["("])
