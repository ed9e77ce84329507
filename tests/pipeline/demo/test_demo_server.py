"""The demo's server over real HTTP: virtual hosts, redirects, bad bodies, a log, and no life of its own."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from urllib.parse import urlsplit

import aiohttp
import pytest

from pipeline.demo.server import READY, DemoServer, serve_demo
from pipeline.demo.settings import DemoSettings
from pipeline.demo.web import build_web, seeds

SETTINGS = DemoSettings(pages=100)


def item_of(kind):
    return next(item for item in build_web(SETTINGS).items.values() if item.kind == kind)


def ask(address, *urls, follow=False, timeout_s=5.0, limit=None):
    """(status, headers, body) of each url, asked of the server at `address` under the url's own host."""

    async def one(session, url):
        parts = urlsplit(url)
        target = f"http://{address}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        async with session.get(target, headers={"Host": parts.netloc}, allow_redirects=follow) as answer:
            body = await answer.content.read(limit) if limit else await answer.read()
            return answer.status, answer.headers, body

    async def all_of():
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            return [await one(session, url) for url in urls]

    return asyncio.run(all_of())


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    log = tmp_path_factory.mktemp("demo") / "requests.log"
    with serve_demo(SETTINGS, log) as address:
        yield address, log


def test_every_front_page_answers_under_its_own_name(served):
    for status, headers, body in ask(served[0], *seeds(SETTINGS)):
        assert status == 200
        assert headers["Content-Type"].startswith("text/html")
        assert b"<nav>" in body


def test_the_log_has_a_whole_line_for_every_request(served):
    address, log = served
    before = len(log.read_text().splitlines())
    ask(address, "http://shop.demo.test/robots.txt", "http://blog.demo.test/nothing-here")
    lines = [line.split() for line in log.read_text().splitlines()[before:]]
    assert [line[1:] for line in lines] == [
        ["shop.demo.test", "/robots.txt", "404"],
        ["blog.demo.test", "/nothing-here", "404"],
    ]
    assert all(abs(float(line[0]) - time.time()) < 60 for line in lines)


def test_the_same_request_gets_the_same_bytes(served):
    url = item_of("clean").url
    (first, headers, body), (again, headers_again, body_again) = ask(served[0], url, url)
    assert (first, body) == (again, body_again)
    assert dict(headers) == dict(headers_again)


@pytest.mark.parametrize(
    ("kind", "status", "header"),
    [
        ("not_found", 404, ("Content-Type", "text/plain")),
        ("server_error", 500, ("Content-Type", "text/plain")),
        ("redirect_private", 302, ("Location", "http://10.")),
        ("redirect_loopback", 302, ("Location", "http://127.0.0.1/")),
        ("redirect_scheme", 302, ("Location", "ftp://")),
        ("html_body", 200, ("Content-Type", "image/")),
        ("noai", 200, ("X-Robots-Tag", "noai")),
        ("tdm_header", 200, ("TDM-Reservation", "1")),
        ("other_bot", 200, ("X-Robots-Tag", "otherbot:")),
        ("bad_gzip", 200, ("Content-Encoding", "gzip")),
    ],
)
def test_defects_look_as_planned(served, kind, status, header):
    ((found, headers, _),) = ask(served[0], item_of(kind).url)
    assert found == status
    assert headers[header[0]].startswith(header[1])


def test_repeated_headers_arrive_as_two_lines(served):
    ((_, headers, _),) = ask(served[0], item_of("repeated_header").url)
    assert headers.getall("X-Robots-Tag") == ["nofollow", "noindex"]


@pytest.mark.parametrize(("kind", "hops"), [("redirected", 3), ("redirect_chain", 7)])
def test_redirects_end_after_their_hops(served, kind, hops):
    url, asked = item_of(kind).url, 0
    while True:
        ((status, headers, _),) = ask(served[0], url)
        if status != 302:
            break
        url, asked = f"http://{urlsplit(url).netloc}{headers['Location']}", asked + 1
    assert (status, asked) == (200, hops)


def test_a_loop_comes_back_to_its_url(served):
    url = item_of("redirect_loop").url
    ((_, first, _),) = ask(served[0], url)
    ((_, second, _),) = ask(served[0], f"http://{urlsplit(url).netloc}{first['Location']}")
    assert second["Location"] == urlsplit(url).path


@pytest.mark.parametrize("kind", ["slow_body", "silent"])
def test_slow_answers_outlast_a_clients_patience(served, kind):
    with pytest.raises(asyncio.TimeoutError):
        ask(served[0], item_of(kind).url, timeout_s=1.2)


def test_an_endless_body_goes_beyond_the_default_limit_and_ends_with_its_client(served):
    ((status, _, body),) = ask(served[0], item_of("endless").url, limit=200_000)
    assert status == 200
    assert len(body) > 0
    assert ask(served[0], seeds(SETTINGS)[0])[0][0] == 200


def test_other_methods_and_names_are_refused(served):
    assert ask(served[0], "http://elsewhere.test/")[0][0] == 421

    async def post():
        async with aiohttp.ClientSession() as session, session.post(f"http://{served[0]}/") as answer:
            return answer.status

    assert asyncio.run(post()) == 405


def test_the_server_in_this_process_starts_and_stops():
    async def round_trip():
        server = DemoServer(build_web(SETTINGS))
        address = await server.start()
        wiki = {"Host": "wiki.demo.test"}
        async with aiohttp.ClientSession() as session, session.get(f"http://{address}/", headers=wiki) as answer:
            status = answer.status
        await server.stop()
        return status

    assert asyncio.run(round_trip()) == 200


PARENT = """
import os, sys, time
from pathlib import Path
from pipeline.demo.server import serve_demo
from pipeline.demo.settings import DemoSettings
with serve_demo(DemoSettings(pages=100), Path(sys.argv[1])) as address:
    print(address, flush=True)
    os.kill(os.getpid(), 9)
"""


def test_the_server_ends_when_its_parent_is_killed(tmp_path):
    parent = subprocess.run(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")], capture_output=True, text=True, timeout=60
    )
    assert parent.returncode == -signal.SIGKILL
    address = parent.stdout.strip()
    assert _is_gone(address, 10)


def test_an_interrupt_of_the_run_does_not_stop_the_server(tmp_path):
    """Ctrl-C reaches the whole process group: the run must be able to finish what it asked for."""
    busy = "print(os.getpgid(0), flush=True)\n    for _ in range(1200): time.sleep(0.05)"  # a read may miss a signal
    code = PARENT.replace("os.kill(os.getpid(), 9)", busy)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "log")],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    ) as parent:  # fmt: skip
        assert parent.stdout is not None
        address, group = parent.stdout.readline().strip(), int(parent.stdout.readline())
        os.killpg(group, signal.SIGSTOP)  # the run is busy; its server is not
        status = ask(address, seeds(SETTINGS)[0])[0][0]
        os.killpg(group, signal.SIGCONT)
        os.killpg(group, signal.SIGINT)
        parent.wait(20)
    assert status == 200
    assert _is_gone(address, 10)


def test_the_server_ends_after_its_time():
    command = [sys.executable, "-m", "pipeline.demo", "serve", "--pages", "100", "--seconds", "0.5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stdout.startswith(READY)


def _is_gone(address, patience_s):
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        try:
            ask(address, seeds(SETTINGS)[0])
        except aiohttp.ClientConnectionError:
            return True
        time.sleep(0.1)
    return False


def test_a_server_that_cannot_start_is_told(tmp_path):
    with serve_demo(SETTINGS, tmp_path / "a") as address:
        port = int(address.rpartition(":")[2])
        with pytest.raises(RuntimeError, match="did not start"), serve_demo(SETTINGS, tmp_path / "b", port):
            pytest.fail("two servers on one port")
