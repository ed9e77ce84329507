import gzip
import random
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from filters.reasons import Reason
from transforms.formats.content_coding import decode_content, unchunk

TEXT = b"<html>" + bytes(random.Random(0).choices(b"abcdefgh <>", k=20_000))
RAW = zlib.compressobj(wbits=-15)
CODINGS = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT[:99]) + gzip.compress(TEXT[99:]),
    "deflate": zlib.compress(TEXT),
    "Deflate": RAW.compress(TEXT) + RAW.flush(),
    "br": brotli.compress(TEXT),
    "zstd": zstandard.compress(TEXT),
    "identity": TEXT,
}
CAP = 1 << 20


@pytest.mark.parametrize("name", CODINGS)
def test_each_coding_is_undone(name):
    assert decode_content(CODINGS[name], [name], CAP) == (TEXT, None)


def test_codings_are_undone_in_reverse_order():
    assert decode_content(gzip.compress(brotli.compress(TEXT)), ["br", " gzip"], CAP) == (TEXT, None)


@pytest.mark.parametrize("name", ["gzip", "x-gzip", "deflate", "Deflate", "br", "zstd"])
def test_a_cut_off_body_gives_its_beginning_and_a_reason(name):
    body = CODINGS[name]
    decoded = decode_content(body[: len(body) * 2 // 3], [name], CAP)
    assert decoded.drop.reason is Reason.BAD_ENCODING
    assert TEXT.startswith(decoded.data)
    assert len(decoded.data) < len(TEXT)


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_stops_at_the_cap(name):
    bomb = b"\0" * (50 << 20)
    pack = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstandard.compress}[name]
    decoded = decode_content(pack(bomb), [name], CAP)
    assert decoded.drop.reason is Reason.TOO_MANY_BYTES
    assert len(decoded.data) == CAP


def test_the_cap_itself_is_allowed():
    assert decode_content(CODINGS["gzip"], ["gzip"], len(TEXT)) == (TEXT, None)
    assert decode_content(TEXT, [], len(TEXT) - 1).drop.reason is Reason.TOO_MANY_BYTES


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("body", [TEXT, b"\xff\xd8\xff\xe0 and so on", b"\x89PNG\r\n\x1a\n and so on"])
def test_an_archived_body_that_is_decoded_already_stays(name, body):
    assert decode_content(body, [name], CAP, archived=True) == (body, None)
    assert decode_content(body, [name], CAP).drop.reason is Reason.BAD_ENCODING


@pytest.mark.parametrize("name", ["compress", "utf-8", "none", "", "binary"])
def test_an_unknown_coding_is_passed_over(name):
    assert decode_content(TEXT, [name], CAP) == (TEXT, None)
    assert decode_content(gzip.compress(TEXT), ["gzip", name], CAP) == (TEXT, None)


def test_too_many_codings_give_nothing():
    assert decode_content(TEXT, ["gzip"] * 4, CAP).drop == (Reason.BAD_ENCODING, 4, "too many codings")


@pytest.mark.parametrize(
    ("body", "data", "whole"),
    [
        (b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", b"abcde", True),
        (b"3\nabc\n0\n", b"abc", True),
        (b"A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n", b"0123456789", True),
        (b"3\r\nabc\r\n5\r\nde", b"abcde", False),
        (b"3\r\nabc\r\nzz", b"abc", False),
        (b"<html>", b"<html>", True),
        (b"", b"", False),
    ],
)
def test_chunks_are_joined(body, data, whole):
    decoded = unchunk(body)
    assert (decoded.data, decoded.drop is None) == (data, whole)


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate", "br", "zstd", "x"]))
def test_no_body_raises(body, name):
    assert len(decode_content(body, [name], 1_000).data) <= 1_000
    assert len(unchunk(body).data) <= len(body)
