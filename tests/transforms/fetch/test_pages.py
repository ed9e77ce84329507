"""The hosts of pages are asked by their owners, once each, before any image: from the server's own log."""

import json
from collections import Counter

import apache_beam as beam
import pytest
from helpers.in_thread import in_thread
from helpers.raw_server import RawServer, http, settings_for
from helpers.samples import candidate, caption

from transforms.fetch.settings import FetchSettings
from transforms.fetch.transform import Fetch, PlanFetch
from transforms.formats import parquet
from transforms.partition import task_of
from transforms.records import Candidate, Image, PageRule, PlanRow

TASKS = 5
FETCH = FetchSettings(local_pauses_s=())
REFUSE_PRIVATE = http(200, b"User-agent: *\nDisallow: /private/\n")
RESERVED = http(200, json.dumps([{"location": "/sold/*", "tdm-reservation": 1}]).encode())


def seen(server: RawServer) -> list[tuple[str, str]]:
    return [(request.host, request.path) for request in server.log]


def on_page(url: str, page_url: str) -> Candidate:
    return candidate(url, captions=(caption(page_url=page_url),))


def plan(run, candidates, web) -> dict[str, PlanRow]:
    """The rows of the plan by url."""
    parquet.write_rows(str(run / "candidates/part-00000.parquet"), Candidate, candidates)
    with beam.Pipeline() as pipeline:
        files = pipeline | beam.Create([str(run / "candidates/part-00000.parquet")])
        files | PlanFetch(str(run), 0, TASKS, FETCH, web, None)
    rows = parquet.read_all(str(run / "images/plan"), "*.parquet", PlanRow)
    return {row.candidate.url: row for row in rows}


def fetch(run, web) -> list[Image]:
    with beam.Pipeline() as pipeline:
        (
            pipeline
            | beam.Create(sorted({task_of(f"{h}.test", TASKS) for h in "abcdef"}))
            | Fetch(str(run), 0, TASKS, FETCH, web)
        )
    return [row for path in (run / "images").glob("*.parquet") if "log" not in path.name
            for row in parquet.read_rows(str(path), Image)]  # fmt: skip


@pytest.fixture
def candidates() -> list[Candidate]:
    """Images on six hosts, each found on pages of all of them."""
    return [
        on_page(f"http://{image}.test/{page}-{place}.jpg", f"http://{page}.test/{place}/page.html")
        for image in "abcdef"
        for page in "abcdef"
        for place in ("private", "sold", "public")
    ]


def owner(letter: str) -> int:
    return task_of(f"{letter}.test", TASKS)


def test_the_hosts_are_spread_over_tasks():
    assert len({owner(letter) for letter in "abcdef"}) >= 3


def test_each_host_is_asked_for_its_rules_by_its_owner_alone(tmp_path, candidates):
    routes = {"a.test/robots.txt": REFUSE_PRIVATE, "b.test/.well-known/tdmrep.json": RESERVED}
    with in_thread(RawServer(routes)) as server:
        web = settings_for(server)
        rows = plan(tmp_path, candidates, web)
        assert {path for path, count in Counter(seen(server)).items() if count > 1} == set()
        assert not any(path.endswith(".jpg") for path in server.paths())
        images = fetch(tmp_path, web)
        twice = {path: count for path, count in Counter(seen(server)).items() if count > 1}
        assert twice == {}  # the images' task knows what was asked for the pages
    no = {row.url: (row.reason, row.detail) for row in images if "page on" in row.detail}
    assert {url: reason for url, (reason, _) in no.items()} == {
        c.url: reason
        for c in candidates
        for page, place, reason in (("a", "private", "robots"), ("b", "sold", "page_opt_out"))
        if c.captions[0].page_url.startswith(f"http://{page}.test/{place}")
    }
    assert no["http://c.test/a-private.jpg"][1].startswith("page on a.test: Pairmill: ")
    for c in candidates:
        page = c.captions[0].page_url[7]
        same_task = owner(page) == owner(c.url[7])
        assert (rows[c.url].page_reason is None) == same_task, c.url


def test_what_is_known_is_not_asked_again(tmp_path, candidates):
    with in_thread(RawServer({})) as server:
        web = settings_for(server)
        first = plan(tmp_path, candidates, web)
        for path in (tmp_path / "images/plan").glob("*"):
            path.unlink()
        before = len(seen(server))
        assert plan(tmp_path, candidates, web) == first
        assert len(seen(server)) == before
    rules = list(parquet.read_all(str(tmp_path / "images/pages"), "*.parquet", PageRule))
    assert len({rule.page_url for rule in rules}) == len(rules) > 10


def test_nobody_is_asked_without_a_contact_but_this_machine(tmp_path):
    found = [on_page("http://a.test/1.jpg", f"http://{letter}.example.org/page") for letter in "abcdefgh"]
    with in_thread(RawServer({})) as server:
        rows = plan(tmp_path, found, settings_for(server, contact=""))
        assert seen(server) == []
    assert {row.page_reason for row in rows.values()} == {None}
