"""Servers that send a header line without a colon: browsers pass over it, and it costs no image."""

import asyncio

import pytest
from helpers.certificates import certificate
from helpers.raw_server import RawServer, gaps_between, settings_for

from filters.reasons import Reason
from transforms.web.client import Client
from transforms.web.polite import PoliteWeb
from transforms.web.settings import Pace, Timeouts

JUNK = b"HTTP/1.1 200 OK\r\nX-One: 1\r\nPHP Notice  undefined index in line 3\r\nContent-Type: image/png\r\n"
WHOLE = JUNK + b"Content-Length: 4\r\n\r\nbody"

ANSWERS = [
    ("a length", WHOLE),
    ("chunks", JUNK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2;x=y\r\ndy\r\n0\r\nX: trailer\r\n\r\n"),
    ("lines that end in LF", WHOLE.replace(b"\r\n", b"\n")),
    ("the junk first", b"HTTP/1.1 200 OK\r\nJunk\r\nX-One: 1\r\nContent-Length: 4\r\n\r\nbody"),
    ("the junk last", b"HTTP/1.1 200 OK\r\nX-One: 1\r\nContent-Length: 4\r\nJunk\r\n\r\nbody"),
    ("a NUL", b"HTTP/1.1 200 OK\r\nX-One: 1\r\nX: a\0b\r\nContent-Length: 4\r\n\r\nbody"),
    ("after an interim answer", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + WHOLE),
    ("raw octets", b"HTTP/1.1 200 OK\r\nJ\xfcnk\r\nX-One: 1\r\nContent-Length: 4\r\n\r\nbody"),
]


def closing(answer: bytes):
    async def handler(request, writer):
        writer.write(answer)
        await writer.drain()
        writer.close()

    return handler


def get(routes, url="http://a.test/x", max_bytes=100, tls=None, **settings):
    async def main():
        async with RawServer(routes, tls) as server, Client(settings_for(server, **settings), "Pairmill/1") as client:
            return await client.get(url, max_bytes=max_bytes, accept="*/*"), server

    return asyncio.run(main())


@pytest.mark.parametrize(("name", "sent"), ANSWERS, ids=[name for name, _ in ANSWERS])
def test_a_line_without_a_colon_costs_nothing(name, sent):
    answer, server = get({"/x": sent})
    assert (answer.status, answer.body, answer.drop) == (200, b"body", None)
    assert ("X-One", "1") in answer.headers
    assert server.paths() == ["/x", "/x"]  # once for curl, once leniently
    assert server.log[1].headers["user-agent"] == "Pairmill/1"


def test_a_body_that_ends_with_the_connection():
    answer, _ = get({"/x": closing(JUNK + b"\r\nbody")})
    assert (answer.body, answer.drop) == (b"body", None)


def test_a_redirect_and_its_target():
    redirect = b"HTTP/1.1 302 Found\r\nJunk\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n"
    answer, server = get({"/x": redirect, "/y": WHOLE})
    assert (answer.final_url, answer.body, answer.redirects) == ("http://a.test/y", b"body", 1)
    assert server.paths() == ["/x", "/x", "/y"]  # the host is known by then


@pytest.mark.parametrize(("sent", "reason"), [
    (closing(JUNK + b"Content-Length: 9\r\n\r\nbody"), Reason.CONNECTION_LOST),
    (closing(JUNK), Reason.CONNECTION_LOST),
    (closing(JUNK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nbody"), Reason.CONNECTION_LOST),
    (closing(JUNK + b"Content-Length: 500\r\n\r\n" + b"x" * 500), Reason.TOO_MANY_BYTES),
    (closing(JUNK + b"\r\n" + b"x" * 500), Reason.TOO_MANY_BYTES),
    (closing(JUNK + b"\r\n" + b"x" * 900_000), Reason.TOO_MANY_BYTES),
    (closing(JUNK + b"X: y\r\n" * 500 + b"\r\n"), Reason.BAD_HTTP),
    (closing(JUNK.replace(b"200", b"404") + b"Content-Length: 4\r\n\r\nbody"), Reason.HTTP_STATUS),
])  # fmt: skip
def test_what_is_broken_or_too_large_stays_so(sent, reason):
    answer, _ = get({"/x": sent})
    assert (answer.body, answer.drop.reason) == (b"", reason)


def test_a_server_that_stops_in_the_middle_ends_by_its_deadline():
    answer, _ = get(
        {"/x": JUNK + b"Content-Length: 9\r\n\r\nbody"}, timeouts=Timeouts(connect_s=1, read_s=1, total_s=2)
    )
    assert (answer.drop.reason, answer.drop.detail) == (Reason.TIMEOUT, "read")


def test_over_tls_its_certificate_counts(tmp_path):
    context, path = certificate(tmp_path, "a.test", 30)
    answer, server = get({"/x": WHOLE}, "https://a.test/x", tls=context, ca_file=path)
    assert (answer.body, answer.drop, len(server.log)) == (b"body", None, 2)


def test_the_second_request_keeps_the_hosts_gap():
    async def main():
        slow = Pace(at_once=1, gap_s=0.3)
        async with RawServer({"/x": WHOLE, "/y": WHOLE}) as server:
            settings = settings_for(server, images=slow, pages=slow)
            async with PoliteWeb(settings, "1") as web:
                answers = [await web.ask(f"http://a.test/{name}") for name in "xy"]
            return answers, server

    answers, server = asyncio.run(main())
    assert [answer.body for answer in answers] == [b"body", b"body"]
    pictures = [request for request in server.log if request.path in ("/x", "/y")]
    assert [request.path for request in pictures] == ["/x", "/x", "/y"]
    assert min(gaps_between(pictures)) >= 0.299
