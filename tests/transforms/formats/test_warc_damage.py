"""Damage in the middle of an archive: what is whole is read, what is lost is told in bytes and records."""

import gzip
import io
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from filters.reasons import Reason
from transforms.formats.warc import read_stored, read_warc

RNG = random.Random(5)


def archive(count: int, zipped: bool = True, per_member: int = 1) -> tuple[bytes, list[int]]:
    """An archive by another tool, and the offsets of its records (of their members, where they are compressed)."""
    file, offsets = io.BytesIO(), []
    for index in range(count):
        offsets.append(file.tell())
        headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
        body = b"<html><img src=a.jpg alt=cat>" + RNG.randbytes(700).hex().encode()
        one = io.BytesIO()
        for part in range(per_member):
            writer = WARCWriter(one, gzip=False)
            writer.write_record(
                writer.create_warc_record(
                    f"http://e.org/{index * per_member + part}",
                    "response",
                    payload=io.BytesIO(body),
                    http_headers=headers,
                )
            )
        file.write(gzip.compress(one.getvalue(), mtime=0) if zipped else one.getvalue())
    return file.getvalue(), offsets


@pytest.fixture
def read(tmp_path):
    """(numbers of the pages, breaks as (offset, length, members)) of an archive's bytes."""

    def read(data: bytes):
        path = tmp_path / "x.warc"
        path.write_bytes(data)
        entries = list(read_warc(str(path)))
        pages = [int(e.url.rpartition("/")[2]) for e in entries if e.kind == "page"]
        breaks = [(e.offset, e.length, e.members) for e in entries if e.reason is Reason.ARCHIVE_BROKEN]
        for entry in entries:
            if entry.kind == "page" and entry.length:
                assert read_stored(str(path), entry.offset, entry.length)[1] == entry.body
        return pages, breaks

    return read


def zeroed(data: bytes, *ranges: tuple[int, int]) -> bytes:
    damaged = bytearray(data)
    for begin, length in ranges:
        damaged[begin : begin + length] = bytes(length)
    return bytes(damaged)


def test_three_damaged_members_of_three_hundred(read):
    data, offsets = archive(300)
    pages, breaks = read(zeroed(data, *((offsets[n] + 300, 4) for n in (7, 100, 299))))
    assert pages == [n for n in range(300) if n not in (7, 100, 299)]
    ends = [*offsets, len(data)]
    assert breaks == [(offsets[n], ends[n + 1] - offsets[n], 1) for n in (7, 100, 299)]


@pytest.mark.parametrize("lost", [[0], [4], [9], [4, 5], [0, 1, 2], [8, 9]])
@pytest.mark.parametrize("place", ["header", "data", "crc"])
def test_what_is_lost_is_what_was_damaged(read, lost, place):
    data, offsets = archive(10)
    ends = [*offsets[1:], len(data)]
    begins = {"header": lambda n: offsets[n], "data": lambda n: offsets[n] + 200, "crc": lambda n: ends[n] - 8}
    pages, breaks = read(zeroed(data, *((begins[place](n), 4) for n in lost)))
    assert pages == [n for n in range(10) if n not in lost]
    assert sum(length for _, length, _ in breaks) == sum(ends[n] - offsets[n] for n in lost)
    assert sum(members for *_, members in breaks) >= 1


def test_a_stretch_that_was_cut_out(read):
    data, offsets = archive(10)
    cut = data[: offsets[3] + 100] + data[offsets[5] + 50 :]
    pages, breaks = read(cut)
    assert pages == [0, 1, 2, 6, 7, 8, 9]
    assert breaks == [(offsets[3], 100 + offsets[6] - offsets[5] - 50, 1)]


def test_junk_between_members(read):
    data, offsets = archive(6)
    pages, breaks = read(data[: offsets[3]] + b"?" * 5_000 + data[offsets[3] :])
    assert pages == list(range(6))
    assert breaks == [(offsets[3], 5_000, 1)]


def test_damage_inside_a_member_of_several_records(read):
    data, offsets = archive(4, per_member=3)
    pages, breaks = read(zeroed(data, ((offsets[1] + offsets[2]) // 2, 4)))
    assert {0, 1, 2, 6, 7, 8, 9, 10, 11} <= set(pages)
    assert len(breaks) == 1


def test_plain_records_behind_a_broken_head(read):
    data, offsets = archive(8, zipped=False)
    pages, _ = read(data[: offsets[2]] + b"\0" * 40 + data[offsets[2] + 40 :])
    assert [n for n in pages if n != 2] == [0, 1, 3, 4, 5, 6, 7]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9_000), st.binary(min_size=1, max_size=40)), min_size=1, max_size=4))
def test_every_whole_member_is_read_whatever_else_is_damaged(tmp_path_factory, damage):
    data, offsets = archive(10)
    damaged = bytearray(data)
    for begin, new in damage:
        begin %= len(data) - len(new)
        damaged[begin : begin + len(new)] = new
    path = tmp_path_factory.mktemp("damage") / "x.warc"
    path.write_bytes(bytes(damaged))
    entries = list(read_warc(str(path)))
    ends = [*offsets[1:], len(data)]
    whole = {n for n in range(10) if damaged[offsets[n] : ends[n]] == data[offsets[n] : ends[n]]}
    assert whole <= {int(e.url.rpartition("/")[2]) for e in entries if e.kind == "page"}
    assert sum(e.length for e in entries if e.members) <= sum(ends[n] - offsets[n] for n in range(10) if n not in whole)


@pytest.mark.parametrize("unit", [b"\0", b"\x1f\x8b\x08\0", b"WARC/1.0\r\n"])
def test_megabytes_of_junk_take_linear_time(read, unit):
    data, offsets = archive(2)
    junk = unit * ((8 << 20) // len(unit))
    began = time.process_time()
    pages, breaks = read(data[: offsets[1]] + junk + data[offsets[1] :])
    assert time.process_time() - began < 20  # a look back for each byte would take hours
    assert pages[0] == 0
    assert sum(length for _, length, _ in breaks) >= len(junk) // 2
