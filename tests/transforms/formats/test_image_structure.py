"""The walkers of JPEG, PNG and WebP: what they find in files built by hand, and that no bytes make them stumble."""

import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Picture

from transforms.formats.image_sniff import is_whole, jpeg_scans
from transforms.formats.image_structure import EOI, SOS, jpeg_segments, png_chunks, webp_end
from transforms.image.passthrough import bare


def segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(payload) + 2) + payload


def chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


SOI, END = b"\xff\xd8", b"\xff\xd9"
SCAN = segment(SOS, b"\x01\x01\x00\x00\x3f\x00") + b"coded\xff\x00data\xff\xd0more\xff\xd7"
TABLES = segment(0xDB, b"\0" * 65) + segment(0xC0, b"\x08" + b"\0" * 9) + segment(0xC4, b"\0" * 20)
THUMBNAIL = segment(0xE1, b"Exif\0\0" + SOI + SCAN + END)


@pytest.mark.parametrize(("body", "scans", "is_bare"), [
    (SOI + TABLES + SCAN + END, 1, True),
    (SOI + TABLES + SCAN + SCAN + END, 2, True),
    (SOI + TABLES + SCAN + END + b"behind it", 1, True),
    (SOI + b"\xff\xff\xff" + TABLES[1:] + SCAN + END, 1, True),  # fill bytes
    (SOI + segment(0xE0, b"JFIF\0\x01\x01" + b"\0" * 7) + TABLES + SCAN + END, 1, True),
    (SOI + segment(0xE0, b"JFIF\0\x01\x01" + b"\0" * 9) + TABLES + SCAN + END, 1, False),  # with a thumbnail
    (SOI + THUMBNAIL + TABLES + SCAN + END, 1, False),
    (SOI + THUMBNAIL + TABLES + SCAN, None, False),  # the thumbnail's end is not the picture's
    (SOI + TABLES + SCAN, None, False),
    (SOI + segment(0xFE, b"a comment") + TABLES + SCAN + END, 1, False),
    (SOI + b"\xff\xe1\0\0" + TABLES + SCAN + END, 1, False),  # a length of nothing
    (SOI + b"\xff\xe1\xff\xff" + END, None, False),  # a segment that ends behind the file
    (SOI, None, False),
])  # fmt: skip
def test_a_jpegs_segments(body, scans, is_bare):
    assert jpeg_scans(body) == scans
    kept = bare(body, "JPEG")
    assert (kept is not None) is is_bare
    assert kept is None or (body.startswith(kept) and kept.endswith(END))


HEAD, DATA, IEND = chunk(b"IHDR", b"\0" * 13), chunk(b"IDAT", b"abc"), chunk(b"IEND", b"")
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(("body", "is_ended", "is_bare"), [
    (PNG + HEAD + DATA + IEND, True, True),
    (PNG + HEAD + DATA + IEND + b"behind it", True, True),
    (PNG + HEAD + chunk(b"tEXt", b"IEND") + DATA + IEND, True, False),
    (PNG + HEAD + chunk(b"acTL", b"\0" * 8) + DATA + IEND, True, False),  # animated
    (PNG + HEAD + DATA, False, False),
    (PNG + HEAD + DATA + IEND[:-2], False, False),
    (PNG + HEAD + b"\xff\xff\xff\xffIDAT" + b"\0" * 20, False, False),
    (PNG, False, False),
])  # fmt: skip
def test_a_pngs_chunks(body, is_ended, is_bare):
    assert is_whole(body, "PNG") is is_ended
    kept = bare(body, "PNG")
    assert (kept is not None) is is_bare
    assert kept is None or kept == PNG + HEAD + DATA + IEND


def test_a_webps_end():
    for options, is_bare in [({}, True), ({"lossless": True}, True), ({"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"}, False)]:
        out = io.BytesIO()
        Picture.radial_gradient("L").convert("RGB").save(out, "WEBP", **options)
        body = out.getvalue()
        assert webp_end(body) == len(body)
        assert is_whole(body, "WEBP")
        assert not is_whole(body[:-1], "WEBP")
        assert (bare(body + b"behind it", "WEBP") == body) is is_bare


marks = st.sampled_from(
    [b"\xff", b"\xd8", b"\xd9", b"\xda", b"\xe1", b"\0", b"\0\0\0\0", b"IEND", b"IDAT", b"RIFF", b"WEBPVP8 "]
)


@given(st.lists(st.one_of(marks, st.binary(max_size=8)), max_size=60).map(b"".join))
def test_any_bytes_end_a_walk(body):
    segments = list(jpeg_segments(body))
    assert len(segments) <= len(body)
    assert [start for _, start, _ in segments] == sorted({start for _, start, _ in segments})  # always onward
    assert EOI not in [marker for marker, _, _ in segments[:-1]]
    assert len(list(png_chunks(body))) <= len(body) // 12
    for name in ("JPEG", "PNG", "WEBP"):
        kept = bare(body, name)
        assert kept is None or body.startswith(kept)
