"""Four worker processes at three hosts, judged by the server's log alone: pace, concurrency, names, refusals."""

import asyncio
import io
import json
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from helpers.command import pairmill
from helpers.counting_server import CountingServer
from helpers.in_thread import in_thread
from helpers.raw_server import gaps_between, http
from PIL import Image as Picture

GAP_S, AT_ONCE = 0.1, 2  # the defaults for pictures
ANSWER_S = 0.35  # from head to body, longer than the gap: two at once meet
CLOCK_S = 0.03
HOSTS = ("a.test", "b.test", "c.test")
EACH = 100
REFUSING = ("Pairmill", "CCBot", "GPTBot", "Google-Extended", "img2dataset")


class Site(CountingServer):
    """Pictures under every name."""

    def __init__(self) -> None:
        super().__init__(self.said, ANSWER_S)
        out = io.BytesIO()
        Picture.linear_gradient("L").convert("RGB").save(out, "JPEG")
        self._picture = http(200, out.getvalue(), "Content-Type: image/jpeg")

    async def _hold(self, request) -> None:
        """A picture until a second request of its host is there: who asks one at a time meets a deadline."""
        await super()._hold(request)
        while request.path.endswith(".jpg") and self.most[request.host] < AT_ONCE:
            await asyncio.sleep(0.01)

    def said(self, request) -> bytes:
        if request.path == "/robots.txt":
            agent = next((name for name in REFUSING if request.host == f"{name.lower()}.test"), "")
            rules = f"User-agent: {agent}\nDisallow: /\n" if agent else "User-agent: *\nDisallow: /closed/\n"
            return http(200, rules.encode())
        return self._picture if request.path.endswith(".jpg") else http(404)


def table(path: Path) -> None:
    """300 pictures of three hosts; one of each host that refuses an agent; some whose page's host says no."""
    rows = [(f"http://{host}/{n}.jpg", f"http://{HOSTS[n % 3]}/page") for host in HOSTS for n in range(EACH)]
    rows += [(f"http://{name.lower()}.test/1.jpg", "") for name in REFUSING]
    rows += [(f"http://{host}/closed-page.jpg", "http://pages.test/closed/x.html") for host in HOSTS]
    urls, pages = zip(*rows, strict=True)
    captions = [f"a picture with the number {n} in a list" for n in range(len(rows))]
    pq.write_table(pa.table({"url": urls, "page": pages, "caption": captions}), path)


@pytest.fixture(scope="module")
def fetched(tmp_path_factory):
    """(site, rows of images/) of one run with four workers."""
    folder = tmp_path_factory.mktemp("manners")
    table(folder / "t.parquet")
    with in_thread(Site()) as site:
        config = {
            "collect": {"tables": {"paths": [str(folder / "t.parquet")], "page_url": "page"}},
            "fetch": {"rows_per_task": 50, "rows_per_part": 40, "decoders": 1},
            "web": {"connect_to": {"*.test:80": f"127.0.0.1:{site.port}"}, "contact": "me@example.org"},
            "engine": {"workers": 4},
        }
        (folder / "c.yaml").write_text(yaml.safe_dump(config))
        outcome = pairmill("run", folder / "c.yaml", "--run-dir", folder / "run", "--to", "fetch")
    assert outcome.code == 0, outcome.err
    tables = [pq.read_table(p) for p in (folder / "run/images").glob("*.parquet") if ".log." not in p.name]
    assert len(json.loads((folder / "run/images/plan/0000.json").read_text())["tasks"]) >= 3
    site.clocks = [row for p in (folder / "run/images").glob("*.log.parquet") for row in pq.read_table(p).to_pylist()]
    return site, [row for found in tables for row in found.to_pylist()]


def test_every_picture_was_asked_for_once(fetched):
    site, rows = fetched
    asked = sorted(f"http://{r.host}{r.path}" for r in site.log if r.path.endswith(".jpg"))
    assert asked == sorted(row["url"] for row in rows if row["status"] == "success")
    assert len(asked) == len(HOSTS) * EACH


@pytest.mark.parametrize("host", [*HOSTS, "pages.test"])
def test_no_host_saw_more_than_its_limit(fetched, host):
    site, _ = fetched
    requests = [request for request in site.log if request.host == host]
    assert requests
    assert min(gaps_between(requests), default=GAP_S) >= GAP_S - CLOCK_S
    assert site.most[host] <= AT_ONCE


@pytest.mark.parametrize("host", HOSTS)
def test_no_request_began_too_soon_by_our_own_clock(fetched, host):
    """Nothing that holds the server up can shorten these gaps, and nothing that holds us up."""
    site, _ = fetched
    moments = sorted(log["started_s"] for log in site.clocks if log["host"] == host and log["started_s"])
    assert len(moments) >= EACH
    assert min(b - a for a, b in pairwise(moments)) >= GAP_S - 0.001  # two clocks of one machine


def test_two_at_once_are_used(fetched):
    site, _ = fetched
    assert {site.most[host] for host in HOSTS} == {AT_ONCE}


def test_every_request_says_who_asks(fetched):
    site, _ = fetched
    assert {r.headers["user-agent"].partition("/")[0] for r in site.log} == {"Pairmill"}
    assert all(r.headers["user-agent"].endswith("(+me@example.org)") for r in site.log)


@pytest.mark.parametrize("agent", REFUSING)
def test_a_no_to_one_of_these_agents_is_a_no_to_us(fetched, agent):
    site, rows = fetched
    host = f"{agent.lower()}.test"
    assert {request.path for request in site.log if request.host == host} == {"/robots.txt"}
    (row,) = [row for row in rows if row["url"].startswith(f"http://{host}/")]
    assert (row["reason"], row["detail"].partition(":")[0]) == ("robots", agent)


def test_a_pages_host_can_say_no_to_a_picture_elsewhere(fetched):
    site, rows = fetched
    refused = [row for row in rows if row["url"].endswith("closed-page.jpg")]
    assert [row["reason"] for row in refused] == ["robots"] * len(HOSTS)
    assert all(row["detail"].startswith("page on pages.test: ") for row in refused)
    assert not any(request.path == "/closed-page.jpg" for request in site.log)
    assert [r.path for r in site.log if r.host == "pages.test"].count("/robots.txt") == 1
