import gzip
import io
import random
from datetime import UTC, datetime

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from filters.reasons import Drop, Reason
from transforms.formats.warc import WarcWriter, parse_http, read_stored, read_warc
from transforms.storage import StorageError

PAGE = b"<html><img src=a.jpg alt=cat>" + b"x" * 300
PNG = b"\x89PNG\r\n\x1a\n" + bytes(random.Random(1).randbytes(500))
DATE = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


def by_warcio(*answers, zipped=True):
    """A WARC by another tool; an answer is (url, status line, headers, body)."""
    file = io.BytesIO()
    writer = WARCWriter(file, gzip=zipped)
    writer.write_record(writer.create_warcinfo_record("x.warc", {"software": "other"}))
    for url, status, headers, body in answers:
        http = StatusAndHeaders(status, list(headers), protocol="HTTP/1.1")
        request = StatusAndHeaders("GET / HTTP/1.1", [("Host", "x")], is_http_request=True)
        response = writer.create_warc_record(url, "response", payload=io.BytesIO(body), http_headers=http)
        writer.write_record(writer.create_warc_record(url, "request", http_headers=request))
        writer.write_record(response)
    return file.getvalue()


def html(url="http://example.org/", body=PAGE, kind="text/html", status="200 OK", headers=()):
    return url, status, [("Content-Type", kind), *headers], body


def png(url="http://example.org/a.png", body=PNG, headers=()):
    return url, "200 OK", [("Content-Type", "image/png"), *headers], body


@pytest.fixture
def entries(tmp_path):
    def read(data, **options):
        path = tmp_path / "x.warc"
        path.write_bytes(data)
        return list(read_warc(str(path), **options))

    return read


@pytest.fixture
def stored(tmp_path):
    def read(data, offset, length, **options):
        path = tmp_path / "x.warc"
        path.write_bytes(data)
        return read_stored(str(path), offset, length, **options)

    return read


def kinds(found):
    return [(entry.kind, entry.url) for entry in found]


@pytest.mark.parametrize("zipped", [True, False])
def test_a_warc_of_another_tool_is_read(entries, stored, zipped):
    data = by_warcio(html(), png(), html("http://example.org/2"), zipped=zipped)
    found = entries(data)
    assert kinds(found) == [
        ("page", "http://example.org/"),
        ("image", "http://example.org/a.png"),
        ("page", "http://example.org/2"),
    ]
    assert (found[0].body, found[0].content_type) == (PAGE, "text/html")
    headers, body = stored(data, found[1].offset, found[1].length)
    assert body == PNG
    assert ("Content-Type", "image/png") in headers


def test_every_record_of_a_zstd_warc_can_be_reached(entries, stored):
    plain = by_warcio(html(), png(), png("http://example.org/b.png"), zipped=False)
    records = [b"WARC/1.0" + rest for rest in plain.split(b"WARC/1.0")[1:]]
    data = b"".join(zstandard.compress(record) for record in records)
    found = entries(data)
    assert kinds(found)[1:] == [("image", "http://example.org/a.png"), ("image", "http://example.org/b.png")]
    assert [stored(data, e.offset, e.length)[1] for e in found[1:]] == [PNG, PNG]


@pytest.mark.parametrize("together", [2, 3, 99])
def test_an_image_without_a_range_of_its_own_is_a_problem(entries, stored, together):
    images = [png(f"http://example.org/{i}.png", PNG + bytes([i])) for i in range(7)]
    plain = by_warcio(html(), *images, zipped=False)
    records = [b"WARC/1.0" + rest for rest in plain.split(b"WARC/1.0")[1:]]
    groups = [b"".join(records[i : i + together]) for i in range(0, len(records), together)]
    data = b"".join(gzip.compress(group) for group in groups)
    found = entries(data)
    assert [e.url for e in found] == ["http://example.org/", *(url for url, *_ in images)]
    reached = [e for e in found if e.kind == "image"]
    assert all(stored(data, e.offset, e.length)[1] == PNG + bytes([int(e.url[-5])]) for e in reached)
    problems = [e for e in found if e.kind == "problem"]
    assert problems
    assert {e.reason for e in problems} == {Reason.STORED_RANGE_UNREADABLE}


def chunked(body):
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (gzip.compress(PAGE), [("Content-Encoding", "gzip")]),
        (chunked(PAGE), [("Transfer-Encoding", "chunked")]),
        (chunked(gzip.compress(PAGE)), [("transfer-encoding", "Chunked"), ("CONTENT-ENCODING", "GZIP")]),
        (PAGE, [("Content-Encoding", "br"), ("Transfer-Encoding", "chunked")]),
    ],
)
def test_codings_of_stored_answers_are_undone(entries, body, headers):
    assert entries(by_warcio(html(body=body, headers=headers)))[0].body == PAGE


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (html(kind="Application/XHTML+xml; charset=x"), "page"),
        (html(kind=""), "page"),
        (html(kind="application/octet-stream", body=b"\n<!-- x --><!DOCTYPE html><p>"), "page"),
        (html(kind="application/octet-stream", body=PNG), "image"),
        (html(kind="text/plain"), None),
        (html(kind="application/pdf", body=b"%PDF"), None),
        (html(status="404 Not Found"), None),
        (html(status="206 Partial Content"), None),
        (html(status="301 Moved"), None),
        (html(status="302 Found", headers=[("Location", "/b")]), "redirect"),
        (html(body=PAGE, headers=[("Content-Encoding", "compress")]), "page"),
        (html(body=b"\0\1\2", headers=[("Content-Encoding", "gzip")]), "problem"),
        (html("dns:example.org"), None),
        (html("ftp://example.org/x"), None),
    ],
)
def test_what_an_answer_is_good_for(entries, answer, kind):
    assert [e.kind for e in entries(by_warcio(answer))] == ([kind] if kind else [])


def test_a_redirect_tells_where_to(entries):
    found = entries(by_warcio(html(status="308 x", headers=[("location", "../b c")])))
    assert [(e.kind, e.location) for e in found] == [("redirect", "../b c")]


def test_resource_records_count(entries, stored):
    file = io.BytesIO()
    writer = WARCWriter(file, gzip=True)
    for url, kind, body in (("http://e.org/", "text/html", PAGE), ("http://e.org/a.png", "image/png", PNG)):
        args = {"payload": io.BytesIO(body), "warc_content_type": kind}
        writer.write_record(writer.create_warc_record(url, "resource", **args))
    found = entries(file.getvalue())
    assert [(e.kind, e.content_type) for e in found] == [("page", "text/html"), ("image", "image/png")]
    assert stored(file.getvalue(), found[1].offset, found[1].length)[1] == PNG


def test_revisits_and_metadata_are_left_out(entries):
    file = io.BytesIO()
    writer = WARCWriter(file, gzip=True)
    for kind in ("revisit", "metadata", "conversion"):
        writer.write_record(
            writer.create_warc_record("http://e.org/", kind, payload=io.BytesIO(b"HTTP/1.0 200 OK\r\n\r\n"))
        )
    assert entries(file.getvalue()) == []


def test_a_url_in_brackets_is_a_url(entries):
    data = by_warcio(html(), zipped=False).replace(b"URI: http://example.org/", b"URI: <http://example.org/>")
    assert entries(data)[0].url == "http://example.org/"


def test_a_page_longer_than_the_cap_is_cut(entries):
    assert len(entries(by_warcio(html(body=PAGE * 99)), max_body_bytes=1_000)[0].body) < 1_000
    bomb = html(body=gzip.compress(PAGE * 99), headers=[("Content-Encoding", "gzip")])
    assert entries(by_warcio(bomb), max_body_bytes=1_000)[0].body == (PAGE * 99)[:1_000]


def test_an_image_larger_than_the_cap_is_dropped(stored, entries):
    data = by_warcio(png(body=PNG * 9))
    image = entries(data)[0]
    assert stored(data, image.offset, image.length, max_bytes=1_000).reason is Reason.TOO_MANY_BYTES
    bomb = by_warcio(png(body=gzip.compress(PNG * 99), headers=[("Content-Encoding", "gzip")]))
    image = entries(bomb)[0]
    assert stored(bomb, image.offset, image.length, max_bytes=9_000).reason is Reason.TOO_MANY_BYTES


@pytest.mark.parametrize("zipped", [True, False])
def test_every_beginning_of_a_warc_gives_what_it_holds_and_says_that_it_breaks(tmp_path, zipped):
    data = by_warcio(html(), png(), html("http://example.org/2"), zipped=zipped)
    path = tmp_path / "x.warc"
    path.write_bytes(data)
    whole = list(read_warc(str(path)))
    boundaries = record_starts(data, zipped)
    for cut in range(1, len(data), 1 if zipped else 5):
        path.write_bytes(data[:cut])
        found = list(read_warc(str(path)))
        kept = [e for e in found if e.kind != "problem"]
        complete = [e for e in whole if e.offset + e.length <= cut]
        assert [e.url for e in kept[: len(complete)]] == [e.url for e in complete]
        assert len(kept) <= len(complete) + 1
        assert cut in boundaries or len(kept) > len(complete) or found[-1].reason is Reason.ARCHIVE_BROKEN


def record_starts(data, zipped):
    mark = b"\x1f\x8b\x08" if zipped else b"WARC/1."
    starts = {i for i in range(len(data)) if data.startswith(mark, i)}
    return starts if zipped else {i - less for i in starts for less in range(5)}  # an empty line is no loss


@pytest.mark.parametrize(
    "junk", [b"hello", b"<html></html>" * 99, b"\0" * 99, b"\x1f\x8b" + b"x" * 99, b"WARC/1.0\r\n"]
)
def test_what_is_no_warc_is_one_problem(entries, junk):
    assert [e.reason for e in entries(junk)] == [Reason.ARCHIVE_BROKEN]


def test_an_empty_file_holds_nothing(entries):
    assert entries(b"") == []


def test_junk_behind_the_records_is_a_problem_and_loses_nothing(entries):
    assert [e.kind for e in entries(by_warcio(html()) + b"junk" * 99)] == ["page", "problem"]


def test_a_missing_file_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError):
        list(read_warc(str(tmp_path / "no.warc")))


def test_a_record_with_another_digest_is_a_problem(entries, stored):
    data = by_warcio(html(), png(), html("http://example.org/2"), zipped=False)
    image = next(e for e in entries(data) if e.kind == "image")
    bad = data.replace(PNG, PNG[:-1] + bytes([PNG[-1] ^ 1]))
    assert [(e.kind, e.reason) for e in entries(bad)] == [
        ("page", None),
        ("problem", Reason.ARCHIVE_BROKEN),
        ("page", None),
    ]
    assert stored(bad, image.offset, image.length).reason is Reason.STORED_RANGE_UNREADABLE


@pytest.mark.parametrize("change", [(0, -1), (0, -60), (1, 0), (-1, 0), (10**9, 0), (0, -(10**9)), (-20, 20)])
def test_a_wrong_range_is_a_drop(entries, stored, change):
    data = by_warcio(png(), png("http://example.org/b.png"))
    image = entries(data)[0]
    answer = stored(data, max(0, image.offset + change[0]), max(0, image.length + change[1]))
    if change == (0, -1):  # only the checksum of the member is cut off, but the record's own digest still holds
        assert answer[1] == PNG
    else:
        assert answer.reason is Reason.STORED_RANGE_UNREADABLE


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(place=st.integers(0, 10**6), flip=st.integers(1, 255), zipped=st.booleans())
def test_a_flipped_byte_never_raises_and_never_gives_another_image(tmp_path, place, flip, zipped):
    data = bytearray(by_warcio(html(), png(), zipped=zipped))
    path = tmp_path / "x.warc"
    path.write_bytes(data)
    image = next(e for e in read_warc(str(path)) if e.kind == "image")
    data[place % len(data)] ^= flip
    path.write_bytes(data)
    list(read_warc(str(path)))
    answer = read_stored(str(path), image.offset, image.length)
    assert isinstance(answer, Drop) or answer[1] == PNG or b"WARC-Block-Digest: sha1:" not in bytes(data)


def ours(*answers):
    file = io.BytesIO()
    writer = WarcWriter(file)
    for url, status, headers, body in answers:
        writer.write_response(url, status, headers, body, DATE)
    return file.getvalue()


ANSWER = (
    "http://example.org/",
    200,
    [("Content-Type", "text/html"), ("Content-Encoding", "gzip"), ("Content-Length", "7"), ("X-Né", "ü\r\nInjected: x"),
     ("Transfer-Encoding", "chunked")],
    PAGE,
)  # fmt: skip


def test_another_tool_reads_what_we_write():
    records = list(ArchiveIterator(io.BytesIO(ours(ANSWER)), check_digests="raise"))[:]
    assert len(records) == 2


def test_what_another_tool_reads_is_what_was_answered():
    found = []
    for record in ArchiveIterator(io.BytesIO(ours(ANSWER)), check_digests="raise"):
        found.append((record.rec_type, record.rec_headers, record.http_headers, record.content_stream().read()))
    (kind, _, _, info), (response, warc, http, body) = found
    assert (kind, response) == ("warcinfo", "response")
    assert b"software: Pairmill" in info
    assert body == PAGE
    assert warc.get_header("WARC-Target-URI") == "http://example.org/"
    assert warc.get_header("WARC-Date") == "2024-05-06T07:08:09Z"
    assert http.get_statuscode() == "200"
    assert http.get_header("Content-Length") == str(len(PAGE))
    assert [http.get_header(n) for n in ("Content-Encoding", "Transfer-Encoding", "Injected")] == [None] * 3


def test_we_read_what_we_write(entries):
    found = entries(ours(ANSWER, ("http://example.org/a.png", 200, [("Content-Type", "image/png")], PNG)))
    assert kinds(found) == [("page", "http://example.org/"), ("image", "http://example.org/a.png")]
    assert found[0].body == PAGE


def test_what_we_write_depends_on_the_answers_alone():
    assert ours(ANSWER) == ours(ANSWER)
    assert ours() == b""


@pytest.mark.parametrize(
    ("block", "status", "headers", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nx", 200, (("A", "b"),), b"x"),
        (b"HTTP/1.0 404\nA:b\n\nx\n\ny", 404, (("A", "b"),), b"x\n\ny"),
        (b"HTTP/2 200\r\nA: b\r\n  c\r\nbroken\r\n: d\r\n\r\n", 200, (("A", "b c"),), b""),
        (b"HTTP/1.1 200 OK\r\nA: \xfc\r\n\r\n", 200, (("A", "ü"),), b""),
        (b"HTTP/1.1 200 OK", 200, (), b""),
    ],
)
def test_http_is_read_leniently(block, status, headers, body):
    assert parse_http(block) == (status, headers, body)


def test_what_is_no_http_is_none():
    assert parse_http(b"<html>") is None
    assert parse_http(b"") is None
