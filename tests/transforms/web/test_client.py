"""Hostile and broken servers: every request ends as a value, in time, with its own reason."""

import asyncio
import gzip
import resource
import zlib

import brotli
import pytest
import zstandard
from helpers.certificates import certificate
from helpers.raw_server import SHORT, RawServer, http, settings_for

from filters.reasons import Reason
from transforms.web.address import Resolver
from transforms.web.client import Answer, Client
from transforms.web.dns import Found
from transforms.web.loop import SERVED_S
from transforms.web.settings import Timeouts, WebSettings

URL = "http://a.test/x"


def get(routes, url=URL, max_bytes=1_000_000, **settings) -> tuple[Answer, RawServer]:
    async def main():
        async with RawServer(routes) as server, Client(settings_for(server, **settings), "Pairmill/1") as client:
            return await client.get(url, max_bytes=max_bytes, accept="*/*"), server

    return asyncio.run(main())


def reason_of(answer: Answer) -> tuple[Reason, float | None, str]:
    assert answer.drop is not None
    assert answer.body == b""
    return tuple(answer.drop)


def raw(data: bytes, close: bool = True):
    async def handler(request, writer):
        writer.write(data)
        await writer.drain()
        if close:
            writer.close()

    return handler


def drip(first: bytes, piece: bytes, every_s: float):
    async def handler(request, writer):
        writer.write(first)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(every_s)

    return handler


def test_an_answer_has_it_all():
    answer, server = get({"/x": http(200, b"body", "X-One: 1", "X-One: 2", "Set-Cookie: a=b")})
    assert (answer.status, answer.body, answer.drop, answer.redirects) == (200, b"body", None, 0)
    assert answer.url == answer.final_url == URL
    assert answer.address == "127.0.0.1"
    assert [v for k, v in answer.headers if k == "X-One"] == ["1", "2"]
    assert answer.bytes_received == 4
    assert server.log[0].headers["user-agent"] == "Pairmill/1"


def test_no_cookies_no_credentials_no_fragment_and_the_connection_stays():
    async def main():
        routes = {"/x": http(200, b"1", "Set-Cookie: a=b")}
        async with RawServer(routes) as server, Client(settings_for(server), "P") as client:
            for _ in range(3):
                await client.get("http://user:secret@a.test/x#part", max_bytes=9, accept="*/*")
            return server

    server = asyncio.run(main())
    assert server.connections == 1
    assert {request.path for request in server.log} == {"/x"}
    assert not any({"cookie", "authorization"} & set(request.headers) for request in server.log)


@pytest.mark.parametrize("status", [201, 204, 206, 304, 400, 403, 404, 410, 429, 500, 503, 999])
def test_other_statuses(status):
    answer, _ = get({"/x": http(status, b"" if status in (204, 304) else b"sorry")})
    assert reason_of(answer) == (Reason.HTTP_STATUS, status, "")
    assert answer.status == status


def test_203_is_a_whole_answer():
    answer, _ = get({"/x": http(203, b"body")})
    assert (answer.status, answer.body, answer.drop) == (203, b"body", None)


@pytest.mark.parametrize(("location", "path"), [
    (b"/caf\xe9.jpg", "/caf%E9.jpg"),  # Latin-1 stays Latin-1
    ("/café.jpg".encode(), "/caf%C3%A9.jpg"),
    (b"/\x93\xfa.jpg", "/%93%FA.jpg"),  # Shift_JIS
    (b"/a b?q=\xff", "/a%20b?q=%FF"),
    (b"/caf%E9.jpg", "/caf%E9.jpg"),
])  # fmt: skip
def test_a_locations_raw_octets_go_back_as_they_are(location, path):
    redirect = b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"
    answer, server = get({"/x": redirect, path.partition("?")[0]: http(200, b"body")})
    assert (answer.body, answer.redirects, server.log[-1].path) == (b"body", 1, path)


BODIES = [
    ("missing status line", raw(b"hello\r\n\r\n"), Reason.BAD_HTTP),
    ("nothing like HTTP", raw(b"\x00\x01\x02\x03" * 50), Reason.BAD_HTTP),
    ("length that is no number", raw(b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\nx"), Reason.BAD_HTTP),
    ("negative length", raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nx"), Reason.BAD_HTTP),
    ("overlong header", raw(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n"), Reason.BAD_HTTP),
    ("thousands of headers", raw(b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 5_000 + b"\r\n"), Reason.BAD_HTTP),
    ("broken chunk", raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n"), Reason.BAD_HTTP),
    ("wrong length", raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"), Reason.CONNECTION_LOST),
    (
        "chunks that stop",
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
        Reason.CONNECTION_LOST,
    ),
    ("no answer", raw(b""), Reason.CONNECTION_LOST),
    ("half a header", raw(b"HTTP/1.1 200 OK\r\nContent-Le"), Reason.CONNECTION_LOST),
    ("silence", raw(b"", close=False), Reason.TIMEOUT),
    ("a byte now and then", drip(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", b"x", 0.1), Reason.TIMEOUT),
    ("a header now and then", drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 0.1), Reason.TIMEOUT),
    (
        "chunks without end",
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n", 0),
        Reason.TOO_MANY_BYTES,
    ),
    ("headers without end", drip(b"HTTP/1.1 200 OK\r\n", b"X-Y: z\r\n" * 1000, 0), Reason.BAD_HTTP),
    ("declared too long", raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000001\r\n\r\nx"), Reason.TOO_MANY_BYTES),
]


@pytest.mark.parametrize(("name", "handler", "reason"), BODIES, ids=[name for name, *_ in BODIES])
def test_broken_answers_end_in_time_with_their_reason(name, handler, reason):
    answer, _ = get({"/x": handler}, timeouts=SHORT)
    assert answer.duration_s - answer.loop_late_s < SHORT.total_s + 2 * SERVED_S  # whatever holds this process up
    assert reason_of(answer)[0] is reason


def test_the_deadlines_are_told_apart():
    silent, _ = get({"/x": raw(b"", close=False)}, timeouts=SHORT)
    slow, _ = get({"/x": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", b"x", 0.1)}, timeouts=SHORT)
    assert reason_of(silent) == (Reason.TIMEOUT, None, "read")
    assert reason_of(slow) == (Reason.TIMEOUT, None, "total")
    assert slow.status == 200


def test_a_body_that_ends_with_the_connection_is_whole():
    answer, _ = get({"/x": raw(http(200, b"to the end", length=False))})
    assert (answer.body, answer.drop) == (b"to the end", None)


def test_the_cap_is_exact():
    assert get({"/x": http(200, b"x" * 100)}, max_bytes=100)[0].body == b"x" * 100
    answer, _ = get({"/x": http(200, b"x" * 101)}, max_bytes=100)
    assert reason_of(answer) == (Reason.TOO_MANY_BYTES, 100, "")


TEXT = b"what the web says " * 500
CODINGS = [
    ("gzip", gzip.compress(TEXT)),
    ("x-gzip", gzip.compress(TEXT)),
    ("GZIP", gzip.compress(TEXT[:99]) + gzip.compress(TEXT[99:])),
    ("gzip", gzip.compress(TEXT) + b"\0\0\0 behind the end"),
    ("deflate", zlib.compress(TEXT)),
    ("deflate", zlib.compress(TEXT, wbits=-15)),
    ("br", brotli.compress(TEXT)),
    ("zstd", zstandard.compress(TEXT)),
    ("zstd", zstandard.compress(TEXT[:99]) + zstandard.compress(TEXT[99:])),
    ("gzip, br", brotli.compress(gzip.compress(TEXT))),
    ("identity", TEXT),
    ("compress", TEXT),  # nobody knows it: browsers show the body as it is
]


@pytest.mark.parametrize(("name", "data"), CODINGS)
def test_content_codings(name, data):
    answer, _ = get({"/x": http(200, data, f"Content-Encoding: {name}")})
    assert (answer.body, answer.drop) == (TEXT, None)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("gzip", gzip.compress(TEXT)[:-9]),
        ("gzip", b"not gzip at all"),
        ("deflate", zlib.compress(TEXT)[:-9]),
        ("br", brotli.compress(TEXT)[:-3]),
        ("zstd", zstandard.compress(TEXT)[:-3]),
        ("zstd", b"\0" * 40),
        ("gzip, gzip, gzip, gzip", b"x"),
    ],
)
def test_broken_codings(name, data):
    assert reason_of(get({"/x": http(200, data, f"Content-Encoding: {name}")})[0])[0] is Reason.BAD_ENCODING


ZEROS = b"\0" * 11_000_000
BOMBS = {
    "gzip": gzip.compress(ZEROS),
    "deflate": zlib.compress(ZEROS),
    "br": brotli.compress(ZEROS),
    "zstd": zstandard.compress(ZEROS),
    "gzip, gzip": gzip.compress(gzip.compress(ZEROS)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_cut_at_the_cap(name):
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer, _ = get({"/x": http(200, BOMBS[name], f"Content-Encoding: {name}")}, max_bytes=1_000_000)
    assert reason_of(answer) == (Reason.TOO_MANY_BYTES, 1_000_000, "")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 65 * 1024


def to(location: str, status: int = 302) -> bytes:
    return http(status, b"", f"Location: {location}")


def chain(length: int) -> dict[str, bytes]:
    hops = {f"/{n}": to(f"/{n + 1}") for n in range(length)}
    return hops | {f"/{length}": http(200, b"end")}


def test_redirects_are_followed_up_to_the_limit():
    answer, _ = get(chain(5), "http://a.test/0")
    assert (answer.body, answer.redirects, answer.final_url) == (b"end", 5, "http://a.test/5")
    answer, server = get(chain(6), "http://a.test/0")
    assert reason_of(answer) == (Reason.TOO_MANY_REDIRECTS, 5, "")
    assert server.paths() == [f"/{n}" for n in range(6)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_all_kinds_of_redirects(status):
    answer, server = get({"/x": to("//b.test/y?q#z", status), "b.test/y": http(200, b"y")})
    assert (answer.body, answer.final_url) == (b"y", "http://b.test/y?q")
    assert [request.host for request in server.log] == ["a.test", "b.test"]


REDIRECTS = [
    (to("/x"), Reason.REDIRECT_LOOP, ""),
    (to("/y"), Reason.REDIRECT_LOOP, ""),
    (http(302), Reason.BAD_REDIRECT, "no Location"),
    (to("http://[::1"), Reason.BAD_REDIRECT, "Location is no url"),
    (to("file:///etc/hostname"), Reason.BAD_REDIRECT, "to file:"),
    (to("ftp://a.test/x"), Reason.BAD_REDIRECT, "to ftp:"),
    (to("javascript:alert(1)"), Reason.BAD_REDIRECT, "to javascript:"),
    (to("data:image/png;base64,AAAA"), Reason.BAD_REDIRECT, "to data:"),
    (to("http://127.0.0.1/x"), Reason.PRIVATE_ADDRESS, ""),
    (to("http://10.0.0.1/x"), Reason.PRIVATE_ADDRESS, ""),
    (to("http://0x7f.1/x"), Reason.PRIVATE_ADDRESS, ""),
    (to("http://2130706433/x"), Reason.PRIVATE_ADDRESS, ""),
    (to("http://0177.0.0.1:8080/x"), Reason.PRIVATE_ADDRESS, ""),
    (to("http://[::ffff:127.0.0.1]/x"), Reason.PRIVATE_ADDRESS, ""),
    (to("http://[::1]:22/x"), Reason.PRIVATE_ADDRESS, ""),
    (to("http://a.test:8080/x"), Reason.PORT_NOT_ALLOWED, ""),
    (to("http://8.8.8.8:25/x"), Reason.PORT_NOT_ALLOWED, ""),
]


@pytest.mark.parametrize(("first", "reason", "detail"), REDIRECTS)
def test_bad_redirects(first, reason, detail):
    answer, server = get({"/x": first, "/y": to("/x")})
    found, _, said = reason_of(answer)
    assert (found, said) == (reason, detail)
    assert set(server.paths()) <= {"/x", "/y"}


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///etc/hostname", Reason.URL_SCHEME),
        ("ftp://a.test/x", Reason.URL_SCHEME),
        ("data:image/png;base64,AAAA", Reason.URL_SCHEME),
        ("gopher://a.test/", Reason.URL_SCHEME),
        ("javascript:alert(1)", Reason.URL_SCHEME),
        ("pipe:ls", Reason.URL_SCHEME),
        ("not a url", Reason.URL_INVALID),
        ("http://", Reason.URL_INVALID),
    ],
)
def test_urls_that_are_never_asked(url, reason):
    answer, server = get({}, url)
    assert reason_of(answer)[0] is reason
    assert not server.log


def test_a_closed_port_is_connect_failed():
    async def main():
        async with RawServer({}) as server:
            settings = settings_for(server)
        async with Client(settings, "P") as client:
            return await client.get(URL, max_bytes=9, accept="*/*")

    assert reason_of(asyncio.run(main()))[0] is Reason.CONNECT_FAILED


def test_a_rebinding_resolver_reaches_nothing():
    """The canary listens on loopback; the resolver first says so openly, then hides it among public addresses."""
    answers = iter([["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::ffff:127.0.0.1"], ["169.254.169.254"]])

    async def look_up(host):
        return Found(next(answers), 0)

    async def main():
        async with RawServer({"/x": http(200, b"secret")}) as canary:
            settings = WebSettings(ports=[canary.port], timeouts=Timeouts(connect_s=1, read_s=1, total_s=2))
            async with Client(settings, "P", Resolver(settings, look_up)) as client:
                url = f"http://rebind.test:{canary.port}/x"
                drops = [(await client.get(url, max_bytes=9, accept="*/*")).drop for _ in range(4)]
            return drops, canary

    drops, canary = asyncio.run(main())
    assert [drop.reason for drop in drops] == [Reason.PRIVATE_ADDRESS] * 4
    assert canary.connections == 0


def test_one_look_up_a_connection_and_what_it_says_is_connected_to():
    asked = []

    async def look_up(host):
        asked.append(host)
        return Found(["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"], 0)

    async def main():
        async with RawServer({"/x": http(200, b"ok")}) as server:
            settings = WebSettings(ports=[server.port], allow_private=["127.0.0.1/32"])
            async with Client(settings, "P", Resolver(settings, look_up)) as client:
                return await client.get(f"http://once.test:{server.port}/x", max_bytes=9, accept="*/*")

    assert asyncio.run(main()).body == b"ok"
    assert asked == ["once.test"]


def get_tls(context, **settings) -> Answer:
    async def main():
        served = RawServer({"/x": http(200, b"tls")}, tls=context)
        async with served as server, Client(settings_for(server, **settings), "P") as client:
            return await client.get("https://a.test/x", max_bytes=9, accept="*/*")

    return asyncio.run(main())


def test_tls_is_verified(tmp_path):
    context, path = certificate(tmp_path, "a.test", 30)
    assert reason_of(get_tls(context)) == (Reason.TLS_FAILED, None, "self-signed certificate")
    assert get_tls(context, ca_file=path).body == b"tls"


def test_tls_of_another_host_or_time_fails(tmp_path):
    context, path = certificate(tmp_path, "other.test", 30)
    reason, _, detail = reason_of(get_tls(context, ca_file=path))
    assert (reason, "Hostname mismatch" in detail) == (Reason.TLS_FAILED, True)
    context, path = certificate(tmp_path, "a.test", -1)
    assert reason_of(get_tls(context, ca_file=path)) == (Reason.TLS_FAILED, None, "certificate has expired")


def test_tls_with_a_server_that_speaks_none():
    answer, _ = get({"/x": http(200)}, "https://a.test/x", timeouts=SHORT)
    assert reason_of(answer)[0] in (Reason.TLS_FAILED, Reason.CONNECTION_LOST, Reason.TIMEOUT)


def test_large_bodies_wait_for_each_other_without_losing_time():
    body = b"x" * 3_000_000

    async def main():
        async with RawServer({"/x": http(200, body)}) as server:
            settings = settings_for(server, large_bodies_at_once=1)
            async with Client(settings, "P") as client:
                asks = [client.get(URL, max_bytes=4_000_000, accept="*/*") for _ in range(8)]
                return await asyncio.gather(*asks)

    assert [len(answer.body) for answer in asyncio.run(main())] == [len(body)] * 8
