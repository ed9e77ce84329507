"""A crawl in rounds over a real server: budgets by turns and sort order, parts that are never asked twice, rounds that go on."""

import asyncio
import threading
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from helpers.in_thread import in_thread
from helpers.raw_server import RawServer, http
from hypothesis import given
from hypothesis import strategies as st

from filters.reasons import Drop, Reason
from pipeline import config
from pipeline.context import Context
from pipeline.engines.engine import Engine
from pipeline.stages.crawl import committed_names, crawl, frontier_tasks, in_turn, write_frontier
from pipeline.ui.progress import Progress
from transforms.crawl.passes import Retry, newest_pages, publish_retry, rounds_planned
from transforms.crawl.settings import CrawlSource
from transforms.formats import parquet
from transforms.records import CrawlPage, CrawlTarget
from transforms.web.parts import NetworkTrouble
from transforms.web.polite import PoliteWeb

HTML = "Content-Type: text/html; charset=utf-8"


def page(*links: str) -> bytes:
    return http(200, "".join(f'<a href="{link}">x</a>' for link in links).encode(), HTML)


# Two hosts, linked; every page is at most two links from a front page.
SITE = {
    "a.test/": page("/1", "/2", "/9", "http://b.test/", "http://elsewhere.example/", "/picture.jpg"),
    "a.test/1": page("/1/1", "/1/2", "/", "#here"),
    "a.test/2": page("/2/1", "/1"),
    "a.test/1/1": page(),
    "a.test/1/2": page("/1/2?page=2"),
    "a.test/1/2?page=2": page(),
    "a.test/2/1": page(),
    "b.test/": page("/x", "http://a.test/1", "/private/x"),
    "b.test/x": page(),
    "b.test/robots.txt": http(200, b"User-agent: *\nDisallow: /private/\n", "Content-Type: text/plain"),
}
PAGES = {f"http://{name}" for name in SITE if not name.endswith(".txt")} - {"http://a.test/1/2?page=2"}


def serving(routes):
    """The server in a thread of its own: the crawl is no coroutine."""
    return in_thread(RawServer(routes))


@pytest.fixture
def site():
    with serving(SITE) as server:
        yield server


def run_crawl(run: Path, server: RawServer, web=(), **changes) -> None:
    data = {
        "collect": {"crawl": {"seeds": ["http://a.test/", "http://b.test/"], "pages_per_part": 2, **changes}},
        "web": {
            "connect_to": {"*.test:80": f"127.0.0.1:{server.port}"},
            "hosts": [{"pattern": "*", "at_once": 4, "gap_s": 0}],
        }
        | dict(web),
    }
    settings = config.parse(data, "test")
    with Progress() as progress:
        crawl(Context(str(run), "main", settings, Engine(settings.engine), progress), settings.collect.crawl)


def seen(run: Path) -> dict[str, CrawlPage]:
    pages = list(parquet.read_all(str(run / "pages"), "*.parquet", CrawlPage))
    assert len(pages) == len({p.url for p in pages})  # nothing twice
    return {p.url: p for p in pages}


def asked(server: RawServer) -> list[str]:
    """The pages that the server was asked for; its own files are another matter."""
    urls = [f"http://{r.host}{r.path}" for r in server.log]
    return [u for u in urls if not u.endswith(("/robots.txt", "/tdmrep.json"))]


def test_every_page_is_asked_once_in_rounds(site, tmp_path):
    run_crawl(tmp_path, site)
    pages = seen(tmp_path)
    assert {url for url, page in pages.items() if not page.reason} >= PAGES
    assert pages["http://a.test/9"].reason == "http_status"
    assert pages["http://b.test/private/x"].reason == "robots"
    assert "http://b.test/private/x" not in asked(site)
    assert sorted(asked(site)) == sorted(set(asked(site)))
    assert not [url for url in pages if "elsewhere" in url or url.endswith(".jpg")]
    rounds = {name.split("-")[0] for name in committed_names(str(tmp_path / "pages"))}
    assert rounds == {"0000", "0001", "0002", "0003"}  # the last one has the second page of 1/2


def own_files(server: RawServer) -> Counter[tuple[str, str]]:
    found = ((request.host, request.path) for request in server.log)
    return Counter((host, path) for host, path in found if path.endswith(("/robots.txt", "/tdmrep.json")))


def test_a_hosts_own_files_are_asked_once_for_all_rounds_and_passes(site, tmp_path):
    run_crawl(tmp_path, site)
    once = {(f"{host}.test", path): 1 for host in "ab" for path in ("/robots.txt", "/.well-known/tdmrep.json")}
    assert own_files(site) == once
    publish_retry(str(tmp_path), Retry(rounds_planned(str(tmp_path)), (), "digest"))
    run_crawl(tmp_path, site)
    assert own_files(site) == once


def test_a_crawl_that_went_on_after_a_kill_knows_what_it_was_told(site, tmp_path):
    """As after a kill in the first round: no part is committed, what hosts said was written."""
    run_crawl(tmp_path, site, max_depth=0)
    for path in (tmp_path / "pages").glob("0000-*"):
        path.unlink()
    run_crawl(tmp_path, site, max_depth=0)
    assert set(own_files(site).values()) == {1}
    assert asked(site).count("http://a.test/") == 2


@pytest.mark.parametrize("page_of_all", [
    http(200, b'<a href="/2">x</a>', HTML, "X-Robots-Tag: noarchive; nofollow"),
    http(200, b'<a href="/2">x</a>', HTML, "x-robots-tag: otherbot: all, gptbot: none"),
    http(200, b'<meta name=pairmill content="nofollow"><a href="/2">x</a>', HTML),
    http(200, b'<meta name=robots content="index; nofollow"><a href="/2">x</a>', HTML),
])  # fmt: skip
def test_who_asks_not_to_be_followed_is_not(tmp_path, page_of_all):
    with serving({"a.test/": page_of_all}) as server:
        run_crawl(tmp_path, server, seeds=["http://a.test/"])
    assert asked(server) == ["http://a.test/"]
    assert seen(tmp_path)["http://a.test/"].reason == ""


def test_others_are_not_meant_by_a_nofollow_for_one_of_them(tmp_path):
    body = b'<meta name=googlebot content="nofollow"><a href="/2">x</a>'
    with serving({"a.test/": http(200, body, HTML, "X-Robots-Tag: otherbot: nofollow")}) as server:
        run_crawl(tmp_path, server, seeds=["http://a.test/"])
    assert asked(server) == ["http://a.test/", "http://a.test/2"]


def test_a_budget_is_shared_by_the_hosts(tmp_path):
    many = page(*(f"/{n}" for n in range(200)))
    with serving({"a.test/": many, "b.test/": many}) as server:
        run_crawl(tmp_path, server, max_pages=50, pages_per_part=20)
    assert Counter(url.split("/")[2] for url in seen(tmp_path)) == {"a.test": 25, "b.test": 25}


def test_pages_that_hang_do_not_hold_up_the_parts_behind_them(tmp_path):
    """The first three answer when the last has been asked for, some parts behind them."""
    last = threading.Event()

    async def hanging_page(request, writer):
        while not last.is_set():
            await asyncio.sleep(0.01)
        writer.write(page())

    async def last_page(request, writer):
        last.set()
        writer.write(page())

    routes = {"h5.test/": last_page} | {f"h{n}.test/": hanging_page if n < 3 else page() for n in range(5)}
    with serving(routes) as server:
        seeds = [f"http://h{n}.test/" for n in range(6)]
        run_crawl(tmp_path, server, seeds=seeds, tasks=1, pages_per_part=1, max_depth=0)
    assert {page.reason for page in seen(tmp_path).values()} == {""}


def test_pages_of_a_part_do_not_stand_in_memory(tmp_path):
    """Thirty pages of 2 MB in one part. Decoding and parsing one of them takes some times its size."""
    large = http(200, b"<p>" + b" " * 2_000_000, HTML)
    with serving({f"a.test/{n}": large for n in range(30)}) as server:
        seeds = [f"http://a.test/{n}" for n in range(30)]
        tracemalloc.start()
        try:
            run_crawl(tmp_path, server, seeds=seeds, pages_per_part=200, max_depth=0, spool_bytes=1_000_000)
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert {page.reason for page in seen(tmp_path).values()} == {""}
    assert peak_bytes < 45_000_000


def test_a_finished_crawl_asks_nothing(site, tmp_path):
    run_crawl(tmp_path, site)
    before, names = len(site.log), committed_names(str(tmp_path / "pages"))
    run_crawl(tmp_path, site)
    assert len(site.log) == before
    assert committed_names(str(tmp_path / "pages")) == names


def test_a_lost_part_is_asked_again_and_nothing_else(site, tmp_path):
    """As after a crash in the last round: its WARC stands there, uncommitted."""
    run_crawl(tmp_path, site)
    lost = tmp_path / "pages" / sorted(p.name for p in (tmp_path / "pages").glob("0002-*.parquet"))[0]
    urls = [p.url for p in parquet.read_rows(str(lost), CrawlPage)]
    lost.unlink()
    before, pages = len(asked(site)), seen(tmp_path)
    run_crawl(tmp_path, site)
    assert sorted(asked(site)[before:]) == sorted(urls)
    assert {u: p._replace(warc="", warc_sha256="") for u, p in seen(tmp_path).items() if u in pages} == {
        u: p._replace(warc="", warc_sha256="") for u, p in pages.items()
    }
    files = {p.name for p in (tmp_path / "pages").iterdir() if p.is_file()}
    assert files == committed_names(str(tmp_path / "pages"))  # the stray WARC is swept


def test_a_frontier_that_was_half_written_is_written_again(site, tmp_path):
    run_crawl(tmp_path, site, max_depth=0)
    plan = tmp_path / "pages/plan"
    (plan / "0001-00003.parquet").write_bytes(b"half")
    run_crawl(tmp_path, site, max_depth=0)
    assert frontier_tasks(str(tmp_path), 1) is None
    assert frontier_tasks(str(tmp_path), 0) is not None


@pytest.mark.parametrize(("changes", "expected"), [
    ({"max_depth": 0}, {"http://a.test/", "http://b.test/"}),
    ({"max_pages": 4}, {"http://a.test/", "http://b.test/", "http://a.test/1", "http://b.test/private/x"}),
    ({"max_pages_per_host": 2, "max_depth": 1}, {"http://a.test/", "http://a.test/1", "http://b.test/", "http://b.test/private/x"}),
    ({"exclude": ["a.test/1", "/9", "private"]}, {"http://a.test/", "http://a.test/2", "http://a.test/2/1", "http://b.test/", "http://b.test/x"}),
])  # fmt: skip
def test_budgets_go_to_hosts_in_turn_and_cut_by_sort_order(site, tmp_path, changes, expected):
    run_crawl(tmp_path, site, **changes)
    assert set(seen(tmp_path)) == expected


def test_a_server_that_is_not_there_gives_rows_with_a_reason(tmp_path):
    with serving({}) as server:
        pass
    run_crawl(tmp_path, server)
    assert {page.reason for page in seen(tmp_path).values()} <= {"connect_failed", "robots_unavailable"}
    assert len(seen(tmp_path)) == 2


def test_a_dead_network_makes_nothing_final(site, tmp_path):
    """The same command asks again when it is back, and what it finds is what an undisturbed crawl finds."""
    dead = {"resolvers": ["127.0.0.1:9"], "timeouts": {"connect_s": 0.2}}  # nobody listens there
    with pytest.raises(NetworkTrouble, match=r"requests failed on our side.*run the same command again"):
        run_crawl(tmp_path / "run", site, local_pauses_s=[0.01, 0.01], web={"connect_to": {}} | dead)
    assert seen(tmp_path / "run") == {}
    assert not list((tmp_path / "run/pages").glob("*.warc.gz"))
    run_crawl(tmp_path / "run", site)
    run_crawl(tmp_path / "undisturbed", site)
    runs = [seen(tmp_path / name) for name in ("run", "undisturbed")]
    timeless = [{url: page._replace(warc="", warc_sha256="") for url, page in run.items()} for run in runs]
    assert timeless[0] == timeless[1]


def test_a_run_with_a_dead_network_can_go_on(tmp_path, call):
    dead = [
        "--set",
        "web.resolvers=['127.0.0.1:9']",
        "--set",
        "web.timeouts.connect_s=0.2",
        "--set",
        "web.contact=a@b.example",
    ]
    words = ["run", "site", "--run-dir", tmp_path / "run", "--set", "collect.crawl.seeds=[http://a.example/]"]
    outcome = call(*words, *dead, "--set", "collect.crawl.local_pauses_s=[0.01]")
    assert outcome.code == 3
    assert outcome.err.splitlines()[-1].endswith("then run the same command again")
    assert not (tmp_path / "run/manifest/collect.json").exists()


def test_pages_that_a_broken_name_cost_are_few_enough_to_go_on(site, tmp_path, monkeypatch):
    """One of six: a row with its reason, and the crawl goes on."""
    asked_by = PoliteWeb.ask

    async def ask(self, url, **more):
        answer = await asked_by(self, url, **more)
        broken = answer._replace(drop=Drop(Reason.LOCAL_RESOLVER, None, "look-up failed"), body=b"")
        return broken if url == "http://b.test/x" else answer

    monkeypatch.setattr(PoliteWeb, "ask", ask)
    run_crawl(tmp_path, site, local_pauses_s=[0.01], pages_per_part=6, tasks=1)
    assert seen(tmp_path)["http://b.test/x"].reason == "local_resolver"
    assert set(seen(tmp_path)) >= PAGES


# asking pages again


class Sick(RawServer):
    """A site of which some pages answer 503 until it is `well`."""

    def __init__(self, sick: set[str]) -> None:
        super().__init__(dict(SITE))
        self.sick = sick
        self.well = False

    async def _answer(self, request, writer):
        if not self.well and request.host + request.path in self.sick:
            writer.write(http(503, b"", "Retry-After: 0"))
        else:
            await super()._answer(request, writer)


def timeless(pages: dict[str, CrawlPage]) -> dict[str, CrawlPage]:
    return {url: page._replace(warc="", warc_sha256="") for url, page in pages.items()}


def newest(run: Path) -> dict[str, CrawlPage]:
    found = [page for _, page in newest_pages(str(run))]
    assert len(found) == len({page.url for page in found})
    return {page.url: page for page in found}


@pytest.fixture
def sick():
    with in_thread(Sick({"a.test/1", "b.test/", "a.test/2/1"})) as server:
        yield server


def test_failed_pages_are_asked_again_and_their_links_followed(sick, site, tmp_path):
    """Pages at three depths, one of which hid three others: in the end all is as if nothing had failed."""
    run_crawl(tmp_path / "run", sick)
    before = newest(tmp_path / "run")
    assert {url for url, page in before.items() if page.value == 503} == {f"http://{name}" for name in sick.sick}
    assert "http://a.test/1/1" not in before
    sick.well, asked_before = True, len(sick.log)
    publish_retry(str(tmp_path / "run"), Retry(rounds_planned(str(tmp_path / "run")), (), "digest"))
    run_crawl(tmp_path / "run", sick)
    again = sorted(f"{r.host}{r.path}" for r in sick.log[asked_before:] if not r.path.endswith((".txt", ".json")))
    hidden = ["a.test/1/1", "a.test/1/2", "a.test/1/2?page=2", "b.test/x"]
    assert again == sorted([*sick.sick, "a.test/9", *hidden])  # 404 is among what may end otherwise
    run_crawl(tmp_path / "undisturbed", site)
    assert timeless(newest(tmp_path / "run")) == timeless(newest(tmp_path / "undisturbed"))
    asked_before = len(sick.log)
    run_crawl(tmp_path / "run", sick)
    assert len(sick.log) == asked_before


def test_a_page_that_fails_twice_can_be_asked_a_third_time(sick, tmp_path):
    run = str(tmp_path)
    run_crawl(tmp_path, sick)
    for _ in range(2):
        publish_retry(run, Retry(rounds_planned(run), ("http_status",), "digest"))
        run_crawl(tmp_path, sick)
    assert {url for url, page in newest(tmp_path).items() if page.value == 503} == {f"http://{n}" for n in sick.sick}
    sick.well = True
    publish_retry(run, Retry(rounds_planned(run), ("http_status",), "digest"))
    run_crawl(tmp_path, sick)
    assert {url for url, page in newest(tmp_path).items() if not page.reason} >= PAGES


def test_only_pages_with_one_of_the_reasons_are_asked_again(sick, tmp_path):
    run_crawl(tmp_path, sick)
    sick.well, asked_before = True, len(sick.log)
    publish_retry(str(tmp_path), Retry(rounds_planned(str(tmp_path)), ("timeout",), "digest"))
    run_crawl(tmp_path, sick)
    assert len(sick.log) == asked_before


def test_a_level_below_is_asked_though_the_one_above_has_nothing(tmp_path):
    """Only a page two clicks from the seeds failed: the rounds before it are empty, and do not end the pass."""
    with in_thread(Sick({"a.test/2/1"})) as server:
        run_crawl(tmp_path, server)
        server.well = True
        publish_retry(str(tmp_path), Retry(rounds_planned(str(tmp_path)), ("http_status",), "digest"))
        run_crawl(tmp_path, server)
    assert newest(tmp_path)["http://a.test/2/1"].reason == ""


# frontiers

hosts = st.dictionaries(
    st.sampled_from(["a.example", "b.example", "c.example"]), st.lists(st.integers(0, 99), min_size=1, unique=True)
).map(lambda found: {h: [f"http://{h}/{n:02d}" for n in numbers] for h, numbers in found.items()})


@given(hosts)
def test_hosts_take_turns_and_keep_their_order(found):
    """Brute force: the n-th page of a host stands before the (n+1)-th page of any other one."""
    turns = list(in_turn(found))
    assert sorted(turns) == sorted(url for urls in found.values() for url in urls)
    rank = {url: sorted(urls).index(url) for urls in found.values() for url in urls}
    assert [rank[url] for url in turns] == sorted(rank[url] for url in turns)


def test_a_host_belongs_to_one_task_and_parts_are_bounded(tmp_path):
    urls = [f"http://h{host}.example/{n}" for host in range(9) for n in range(7)]
    settings = CrawlSource(tasks=4, pages_per_part=5)
    tasks = write_frontier(str(tmp_path), 3, urls, settings)
    assert frontier_tasks(str(tmp_path), 3) == tasks
    owners: dict[str, set[str]] = {}
    rows = 0
    for path in sorted((tmp_path / "pages/plan").glob("0003-*.parquet")):
        targets = list(parquet.read_rows(str(path), CrawlTarget))
        rows += len(targets)
        parts = [target.part for target in targets]
        assert parts == sorted(parts)
        assert max(parts.count(part) for part in parts) <= 5
        for target in targets:
            owners.setdefault(target.url.split("/")[2], set()).add(path.name)
    assert rows == len(urls)
    assert {len(names) for names in owners.values()} == {1}


def test_a_frontier_does_not_follow_the_order_of_arrival(tmp_path, digest_of_folder):
    urls = [f"http://h{n % 5}.example/{n}" for n in range(40)]
    write_frontier(str(tmp_path / "a"), 0, urls, CrawlSource())
    write_frontier(str(tmp_path / "b"), 0, reversed(urls), CrawlSource())
    assert digest_of_folder(tmp_path / "a") == digest_of_folder(tmp_path / "b")
