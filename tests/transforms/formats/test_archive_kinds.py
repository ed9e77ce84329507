"""Archives of every tool: ARC files, field names of any case, wrong lengths, and bytes between records."""

import gzip

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from filters.reasons import Reason
from transforms.formats.warc import read_warc
from transforms.sources.base import SourceError
from transforms.sources.warc import WarcSource

PAGE = b'<html><body><img src="/a.jpg" alt="a red fox runs"></body></html>'
HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"


def warc(number, more=0, names=("WARC-Type", "WARC-Target-URI", "Content-Length"), headers=HTTP, page=PAGE):
    """A record of a page whose Content-Length is `more` bytes too large."""
    kind, uri, length = names
    block = headers + page
    fields = [f"{kind}: response", f"{uri}: http://p.test/{number}", "WARC-Date: 2020-01-01T00:00:00Z",
              f"{length}: {len(block) + more}"]  # fmt: skip
    return "\r\n".join(["WARC/1.0", *fields, "", ""]).encode() + block + b"\r\n\r\n"


def arc(number, page=PAGE):
    return (
        f"http://p.test/{number} 1.2.3.4 20200101000000 text/html {len(HTTP + page)}\n".encode() + HTTP + page + b"\n"
    )


def description(more=0):
    body = b"1 0 x\nURL IP-address Archive-date Content-type Archive-length\n\n"
    return f"filedesc://x.arc 0.0.0.0 20200101000000 text/plain {len(body) + more}\n".encode() + body


@pytest.fixture
def read(tmp_path):
    def entries(*records, zipped=False):
        path = tmp_path / "x"
        path.write_bytes(b"".join(gzip.compress(r) if zipped else r for r in records))
        return list(read_warc(str(path)))

    return entries


def pages(entries):
    return [entry.url.rpartition("/")[2] for entry in entries if entry.kind == "page"]


def breaks(entries):
    return [entry.reason for entry in entries if entry.kind == "problem"]


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("more", [0, 13])
def test_an_arc_is_read(read, zipped, more):
    found = read(description(0 if zipped else more), arc(1), arc(2), zipped=zipped)
    assert (pages(found), breaks(found)) == (["1", "2"], [])
    assert all(entry.body == PAGE and entry.content_type == "text/html" for entry in found)


def test_junk_and_a_cut_in_an_arc_are_counted(read):
    found = read(description(), arc(1), b"what is this\n", arc(2), arc(3)[:-20])
    assert (pages(found), breaks(found)) == (["1", "2"], [Reason.ARCHIVE_BROKEN] * 2)
    assert [entry.members for entry in found if entry.kind == "problem"] == [1, 1]


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("names", [
    ("Warc-Type", "Warc-Target-Uri", "Content-Length"),  # Go
    ("warc-type", "warc-target-uri", "content-length"),  # Rust
    ("WARC-TYPE", "WARC-TARGET-URI", "CONTENT-LENGTH"),
])  # fmt: skip
def test_field_names_are_of_any_case(read, names, zipped):
    found = read(warc(1, names=names), warc(2, names=names), zipped=zipped)
    assert (pages(found), breaks(found)) == (["1", "2"], [])
    assert {entry.body for entry in found} == {PAGE}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("more", [5, 14, 50, 200])
def test_a_page_gets_no_foreign_bytes(read, more, zipped):
    for records in ([warc(1), warc(2, more), warc(3), warc(4)], [warc(1, more), warc(2)]):
        found = read(*records, zipped=zipped)
        assert all(entry.body == PAGE for entry in found if entry.kind == "page")
        assert breaks(found) == [Reason.ARCHIVE_BROKEN]
        assert len(pages(found)) == len(records) - 1


@pytest.mark.parametrize("junk", [b"junk\r\n\r\n", b"\0" * 99 + b"\r\n\r\n", b"x\n" * 3_000 + b"\n"])
def test_bytes_between_two_records_are_counted_with_their_place(read, junk):
    found = read(warc(1), junk, warc(2))
    assert pages(found) == ["1", "2"]
    problem = next(entry for entry in found if entry.kind == "problem")
    assert (problem.reason, problem.members) == (Reason.ARCHIVE_BROKEN, 1)
    assert problem.offset <= len(warc(1))
    assert problem.offset + problem.length == len(warc(1)) + len(junk)


def test_a_length_too_small_is_counted(read):
    found = read(warc(1, -30), warc(2))
    assert (pages(found), breaks(found)) == (["1", "2"], [Reason.ARCHIVE_BROKEN])


def test_a_page_about_archives_is_whole(read):
    page = PAGE + b"<pre>\n\nWARC/1.0\r\nWARC-Type: response\r\n\r\n</pre>"
    for zipped in (False, True):
        found = read(warc(1, page=page), warc(2), warc(3, page=page), zipped=zipped)
        assert (pages(found), breaks(found)) == (["1", "2", "3"], [])


def test_an_unknown_coding_is_passed_over_and_203_is_whole(read):
    coded = b"HTTP/1.1 203 OK\r\nContent-Type: text/html\r\nContent-Encoding: utf-8\r\n\r\n"
    assert [entry.body for entry in read(warc(1, headers=coded))] == [PAGE]


pieces = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([warc(1), warc(2, 40), warc(3, -9), arc(4), description(), gzip.compress(warc(5)), b"WARC/1.0\r\n",
                     b"\r\n\r\n", b"Content-Length: 9\r\n", b"content-length: 99999\r\n\r\n", b"\x28\xb5\x2f\xfd",
                     gzip.compress(description() + arc(6))[:-9]]),
)  # fmt: skip


@example(b"WARC/0.\n" + arc(4))  # a head without a type: fastwarc passes over it
@example(b"WARC/0.\nContent-Length:\nContent-Length:" + warc(1))
@settings(max_examples=150, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.lists(pieces, max_size=7).map(b"".join))
def test_no_bytes_make_the_reader_raise_and_none_are_lost_in_silence(read, data):
    found = read(data)
    assert found or not data.strip() or data.startswith(b"filedesc:")
    assert all(entry.reason is not None for entry in found if entry.kind == "problem")


@pytest.mark.parametrize(("name", "kind", "block", "called"), [
    ("x.warc.wet", "conversion", b"plain text", "WET"),
    ("renamed.warc", "conversion", b"plain text", "WET"),
    ("x.warc.wat.gz", "metadata", b'{"Container": {}}', "WAT"),
    ("renamed.gz", "metadata", b'{"Container": {}}', "WAT"),
])  # fmt: skip
def test_an_extract_without_pages_says_what_it_is(tmp_path, name, kind, block, called):
    record = b"WARC/1.0\r\nWARC-Type: %s\r\nContent-Length: %d\r\n\r\n%s\r\n\r\n" % (kind.encode(), len(block), block)
    (tmp_path / name).write_bytes(gzip.compress(record) if name.endswith("gz") else record)
    with pytest.raises(SourceError, match=f"{name} is a {called} file"):
        WarcSource(paths=[str(tmp_path / name)]).check()
