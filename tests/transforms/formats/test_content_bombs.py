"""Bodies made to keep a worker busy: each ends within half a second of CPU and 64 MiB, live and archived."""

import asyncio
import functools
import gzip
import hashlib
import io
import resource
import threading
import time
import zlib

import brotli
import pytest
import zstandard
from helpers.raw_server import RawServer, http, settings_for
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from filters.reasons import Reason
from transforms.formats.content_coding import MAX_MEMBERS, decode_content
from transforms.formats.warc import read_stored, read_warc
from transforms.web.client import Client
from transforms.web.polite import PoliteWeb

MIB = 1 << 20
CAP = 32 * MIB  # as web.max_image_bytes
SKIPPED = b"\x50\x2a\x4d\x18\0\0\0\0"  # a zstd frame without a byte


def repeated(unit: bytes, size: int) -> bytes:
    return unit * (size // len(unit))


def empty_blocks(size: int) -> bytes:
    """One zlib stream of empty stored blocks."""
    return zlib.compress(b"")[:2] + repeated(b"\0\0\0\xff\xff", size) + b"\1\0\0\xff\xff\0\0\0\1"


EMPTY = {
    "gzip": lambda size: repeated(gzip.compress(b"", mtime=0), size),
    "x-gzip": lambda size: repeated(gzip.compress(b"", mtime=0) + b"\0" * 7, size),
    "zstd": lambda size: repeated(zstandard.compress(b""), size),
    "zstd, skipped frames": lambda size: repeated(SKIPPED, size),
    "deflate": empty_blocks,
    "br": lambda size: brotli.compress(b"") + repeated(brotli.compress(b""), size),
    "gzip, gzip": lambda size: gzip.compress(repeated(gzip.compress(b"", mtime=0), size), 1),
    "br, zstd": lambda size: zstandard.compress(brotli.compress(b"") * size),
}
BOMBS = [pytest.param(name, size, id=f"{name}-{size // MIB}") for name in EMPTY for size in (MIB, 8 * MIB)]


class Cost:
    """CPU of this process, all threads, and by how much its largest memory has grown."""

    def __enter__(self) -> "Cost":
        self._began, self._before_kib = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return self

    def __exit__(self, *error: object) -> None:
        self.cpu_s = time.process_time() - self._began
        self.memory_bytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self._before_kib) * 1024


@functools.cache
def bomb(name: str, size: int) -> bytes:
    return EMPTY[name](size)


def codings_of(name: str) -> str:
    return name.removesuffix(", skipped frames")


@pytest.mark.parametrize(("name", "size"), BOMBS)
def test_empty_members_cost_little(name, size):
    body, codings = bomb(name, size), codings_of(name).split(",")
    with Cost() as cost:
        decoded = decode_content(body, codings, CAP)
    assert cost.cpu_s <= 0.5
    assert decoded.data == b""
    assert cost.memory_bytes <= 64 * MIB


@pytest.mark.parametrize(("name", "size"), BOMBS)
def test_empty_members_of_a_live_answer_cost_little(name, size):
    answer_bytes = http(200, bomb(name, size), f"Content-Encoding: {codings_of(name)}")

    async def main():
        async with RawServer({"/x": answer_bytes}) as server, Client(settings_for(server), "Pairmill/1") as client:
            costs = []
            for _ in range(2):  # beside other processes the same work takes more CPU: the lesser counts
                with Cost() as cost:
                    answer = await client.get("http://a.test/x", max_bytes=CAP, accept="*/*")
                costs.append(cost.cpu_s)
            return answer, min(costs)

    answer, cpu_s = asyncio.run(main())
    assert cpu_s <= 0.5
    assert answer.body == b""
    assert answer.status == 200


@pytest.mark.parametrize(("name", "size"), BOMBS)
def test_empty_members_of_an_archived_answer_cost_little(name, size, tmp_path):
    file = io.BytesIO()
    writer = WARCWriter(file, gzip=False)
    headers = [("Content-Type", "text/html"), ("Content-Encoding", codings_of(name))]
    record = writer.create_warc_record("http://a.test/", "response", payload=io.BytesIO(bomb(name, size)),
                                       http_headers=StatusAndHeaders("200 OK", headers, protocol="HTTP/1.1"))  # fmt: skip
    writer.write_record(record)
    path = tmp_path / "x.warc"
    path.write_bytes(file.getvalue())
    with Cost() as cost:
        entries = list(read_warc(str(path)))
    assert cost.cpu_s <= 0.5
    assert len(entries) <= 1
    with Cost() as cost:
        read_stored(str(path), 0, path.stat().st_size)
    assert cost.cpu_s <= 0.5


def test_a_robots_file_of_empty_members_keeps_nobody_waiting():
    """500 KiB of them: nobody else's turn comes later for it."""
    empty = http(200, repeated(gzip.compress(b"", mtime=0), 500 << 10), "Content-Encoding: gzip")

    async def main():
        routes = {"/robots.txt": empty, "/x": http(200, b"picture")}
        async with RawServer(routes) as server, PoliteWeb(settings_for(server)) as web:
            with Cost() as cost:
                return await web.ask("http://a.test/x"), cost

    answer, cost = asyncio.run(main())
    assert answer.status == 200
    assert cost.cpu_s <= 0.5


def test_a_large_body_is_decoded_off_the_loop(monkeypatch):
    """A small one is not: to hand it over would cost more."""
    large = b"".join(hashlib.sha256(bytes([i % 256, i // 256])).digest() for i in range(9_000))
    routes = {path: http(200, gzip.compress(body), "Content-Encoding: gzip") for path, body in
              (("/large", large), ("/small", b"s"))}  # fmt: skip
    on_loop = []

    def noted(*args):
        on_loop.append(threading.current_thread() is threading.main_thread())
        return decode_content(*args)

    monkeypatch.setattr("transforms.web.client.decode_content", noted)

    async def main():
        async with RawServer(routes) as server, Client(settings_for(server), "Pairmill/1") as client:
            return [(await client.get(f"http://a.test{path}", max_bytes=CAP, accept="*/*")).body for path in routes]

    assert asyncio.run(main()) == [large, b"s"]
    assert on_loop == [False, True]


def test_members_beyond_the_cap_are_broken_and_say_so():
    empty = gzip.compress(b"", mtime=0)
    assert decode_content(empty * MAX_MEMBERS, ["gzip"], CAP) == (b"", None)
    decoded = decode_content(gzip.compress(b"begun") + empty * MAX_MEMBERS, ["gzip"], CAP)
    assert decoded == (b"begun", (Reason.BAD_ENCODING, MAX_MEMBERS, "gzip has too many members"))


def test_a_budget_that_is_used_up_ends_it():
    drop = decode_content(gzip.compress(b"x" * 99), ["gzip"], CAP, cpu_s=-1).drop
    assert drop == (Reason.BAD_ENCODING, None, "takes too long to undo")


PACK = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstandard.compress}
CODINGS = st.lists(st.sampled_from(sorted(PACK)), max_size=3)


def packed(data: bytes, codings: list[str]) -> bytes:
    for coding in codings:
        data = PACK[coding](data)
    return data


@given(st.binary(max_size=3_000), CODINGS)
def test_what_was_packed_comes_out(data, codings):
    body = packed(data, codings)
    assert decode_content(body, codings, max(len(data), len(body)) + 100) == (data, None)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=6), st.integers(0, 5), st.binary(max_size=20))
def test_members_with_padding_and_junk_behind_them(members, padding, junk):
    data = b"".join(members)
    nuls = b"\0" * padding
    assert decode_content(b"".join(gzip.compress(m) + nuls for m in members) + b"j" + junk, ["gzip"], CAP) == (
        data,
        None,
    )
    frames = b"".join(zstandard.compress(m) + SKIPPED for m in members)
    assert decode_content(frames + b"j" + junk, ["zstd"], CAP) == (data, None)


@settings(max_examples=500, deadline=None)
@given(
    st.binary(max_size=2_000),
    st.lists(st.sampled_from([*sorted(PACK), "x"]), max_size=3),
    st.lists(st.tuples(st.integers(0, 5_000), st.binary(max_size=4)), max_size=5),
    st.integers(0, 4_000),
    st.integers(0, 3_000),
)
def test_no_damage_raises_or_passes_the_cap(data, codings, damage, end, cap):
    body = bytearray(packed(data, [c for c in codings if c != "x"]))
    for index, new in damage:
        body[index % (len(body) + 1) :][: len(new)] = new
        start = index % (len(body) + 1)
        body[start : start + len(new)] = new
    decoded = decode_content(bytes(body[:end]), codings, cap)
    assert len(decoded.data) <= cap
    assert decoded.drop is None or decoded.drop.reason in (Reason.BAD_ENCODING, Reason.TOO_MANY_BYTES)


@pytest.mark.parametrize(("coding", "wbits"), [("gzip", 31), ("deflate", 15)])
@given(index=st.integers(1_024, 60_000))
@settings(max_examples=25, deadline=None)
def test_what_stands_before_the_damage_comes_out(coding, wbits, index):
    """All but the last kilobyte before it, which a decoder may hold back."""
    data = bytes((i * i % 251 ^ i >> 9) % 256 for i in range(200_000))
    body = PACK[coding](data)
    index %= len(body)
    decoded = decode_content(body[:index] + b"\xff" * (len(body) - index), [coding], CAP)
    assert decoded.drop is not None
    assert decoded.data.startswith(zlib.decompressobj(wbits).decompress(body[: max(0, index - 1_024)]))
