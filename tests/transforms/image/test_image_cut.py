"""Pictures whose pixels are all there, whatever their end and their notes look like; and those that are really cut."""

import struct
import zlib

import numpy as np
import pytest
from helpers.pictures import JPEGS, OTHERS, picture, saved
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from filters.image import ImageRules
from filters.reasons import Drop, Reason
from transforms.image.process import ImageSettings, Processed, process_image

LOOSE = ImageRules(max_aspect=0)
REFUSE, KEEP = ImageSettings(rules=LOOSE), ImageSettings(rules=LOOSE, truncated="keep")


def chunk(kind, payload, flip=0):
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload) ^ flip)


PNG = OTHERS["PNG"]
SIGNATURE, HEAD, DATA, IEND = PNG[:8], PNG[8:33], PNG[33:-12], PNG[-12:]
PIXELS = DATA[8:-4]  # of its only IDAT


def png(*chunks):
    return SIGNATURE + HEAD + b"".join(chunks) + DATA + IEND


ALL_THERE = {
    "text with a wrong checksum": png(chunk(b"tEXt", b"a\0b", flip=1)),
    "profile with a wrong checksum": png(chunk(b"iCCP", b"x\0\0" + zlib.compress(b"no profile"), flip=1)),
    "profile of an unknown method": png(chunk(b"iCCP", b"x\0\1abc")),
    "profile that does not inflate": png(chunk(b"iCCP", b"x\0\0abc")),
    "short gamma": png(chunk(b"gAMA", b"x")),
    "short chromaticities and sizes": png(chunk(b"cHRM", b"x"), chunk(b"pHYs", b"")),
    "short transparency": png(chunk(b"tRNS", b"x")),
    "broken exif": png(chunk(b"eXIf", b"x", flip=1)),
    "text of an unknown method": png(chunk(b"zTXt", b"x\0\1abc")),
    "animation without its count": png(chunk(b"acTL", b"xx")),
    "text behind the pixels with a wrong checksum": SIGNATURE + HEAD + DATA + chunk(b"tEXt", b"a\0b", flip=1) + IEND,
    "wrong checksum of the end": PNG[:-1] + b"x",
    "no end": PNG[:-12],
    "junk behind the end": PNG + b"junk" * 9,
    "wrong checksum of the pixels' chunk": SIGNATURE + HEAD + chunk(b"IDAT", PIXELS, flip=1) + IEND,
    "wrong checksum inside the pixels": SIGNATURE + HEAD + chunk(b"IDAT", PIXELS[:-1] + bytes([PIXELS[-1] ^ 1])) + IEND,
    "GIF without trailer": OTHERS["GIF"][:-1],
    "GIF without the end of its pixels": OTHERS["GIF"][:-2],
    "JPEG without end": JPEGS["baseline"][:-2],
    "JPEG with half of its end": JPEGS["baseline"][:-1],
    "progressive JPEG without end": JPEGS["progressive"][:-2],
    "grey JPEG without end": JPEGS["grey"][:-2],
    "CMYK JPEG without end": JPEGS["cmyk"][:-2],
    "JPEG with restarts and without end": JPEGS["444 with restarts"][:-2],
    "JPEG with garbage between markers": JPEGS["baseline"][:20] + b"garbage" + JPEGS["baseline"][20:],
    "BMP with a wrong size": OTHERS["BMP"][:2] + b"\xff\xff\0\0" + OTHERS["BMP"][6:],
    "WEBP with junk behind it": OTHERS["WEBP"] + b"junk" * 9,
}
SOUND = {"GIF": OTHERS["GIF"], "JPEG": JPEGS["baseline"], "BMP": OTHERS["BMP"], "WEBP": OTHERS["WEBP"],
         "progressive": JPEGS["progressive"], "grey": JPEGS["grey"], "CMYK": JPEGS["cmyk"]}  # fmt: skip


@pytest.mark.parametrize("name", ALL_THERE)
def test_a_picture_whose_pixels_are_all_there_is_kept(name):
    done = process_image(ALL_THERE[name], REFUSE)
    assert isinstance(done, Processed), done
    sound = next((body for word, body in SOUND.items() if name.startswith(word)), PNG)
    sound = JPEGS["444 with restarts"] if "restarts" in name else sound
    expected = process_image(sound, REFUSE)
    assert (done.width, done.height, done.phash) == (expected.width, expected.height, expected.phash)
    assert done.data == expected.data or (name == "JPEG with garbage between markers" and b"garbage" not in done.data)
    assert done.decoded == 1


def test_pixels_against_both_their_checksums_are_no_picture():
    wrong = PIXELS[:-1] + bytes([PIXELS[-1] ^ 1])
    for chosen in (REFUSE, KEEP):
        drop = process_image(SIGNATURE + HEAD + chunk(b"IDAT", wrong, flip=1) + IEND, chosen)
        assert drop == Drop(Reason.DECODE_FAILED, None, "IDAT is not what its checksum says")


@pytest.mark.parametrize("kind", [b"IHDR", b"PLTE"])
def test_a_chunk_that_a_picture_needs_must_be_sound(kind):
    body = saved(picture().quantize(16), "PNG") if kind == b"PLTE" else PNG
    start = body.index(kind) - 4
    end = start + 12 + int.from_bytes(body[start : start + 4], "big")
    bad = body[: end - 1] + bytes([body[end - 1] ^ 1]) + body[end:]
    for chosen in (REFUSE, KEEP):
        drop = process_image(bad, chosen)
        assert drop == Drop(Reason.DECODE_FAILED, None, f"{kind.decode()} is not what its checksum says")


def interlaced():
    """2 x 2 pixels of grey in three passes (PNG 8.2): (0, 0), (1, 0), then the second row."""
    rows = b"\0\x0a" + b"\0\x14" + b"\0\x1e\x28"
    return rows, struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 1)


def test_an_interlaced_picture_counts_all_its_passes():
    rows, header = interlaced()
    for length, share in ((7, 1.0), (4, 4 / 7)):
        body = SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows[:length])) + IEND
        done = process_image(body, KEEP)
        assert isinstance(done, Processed), done
        assert done.decoded == pytest.approx(share)
        assert length == 7 or process_image(body, REFUSE) == Drop(Reason.TRUNCATED, share, "PNG")


def noise_picture():
    return Image.fromarray(np.random.default_rng(7).integers(1, 255, (160, 120, 3), dtype=np.uint8))


CUT = {
    "PNG": saved(noise_picture(), "PNG"),
    "JPEG": saved(noise_picture(), "JPEG", quality=95),
    "BMP": saved(noise_picture(), "BMP"),
    "GIF": saved(noise_picture().quantize(200), "GIF"),
}


@pytest.mark.parametrize("name", CUT)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_cut_picture_is_refused_or_kept_with_its_share(name, share):
    body = CUT[name][: int(share * len(CUT[name]))]
    drop = process_image(body, REFUSE)
    assert (drop.reason, drop.detail) == (Reason.TRUNCATED, name)
    assert drop.value == pytest.approx(share, abs=0.08)
    done = process_image(body, KEEP)
    assert isinstance(done, Processed)
    assert done.decoded == drop.value
    assert (done.width, done.height) == (120, 160)


def test_rows_that_a_sound_png_lacks_are_missed():
    rows = zlib.decompress(PIXELS)
    body = SIGNATURE + HEAD + chunk(b"IDAT", zlib.compress(rows[: len(rows) // 2])) + IEND
    assert process_image(body, REFUSE) == Drop(Reason.TRUNCATED, 0.5, "PNG")


def test_a_progressive_jpeg_that_lacks_a_whole_scan_is_cut():
    body = JPEGS["progressive"]
    drop = process_image(body[: body.rindex(b"\xff\xda")], REFUSE)
    assert drop.reason is Reason.TRUNCATED
    assert 0.5 < drop.value < 1
    assert process_image(body[: body.rindex(b"\xff\xda")], KEEP).decoded == drop.value


@pytest.mark.parametrize("name", ["WEBP", "AVIF"])
def test_of_formats_that_cannot_be_read_in_part_nothing_is_kept(name):
    assert process_image(OTHERS[name][:-40], KEEP).reason is Reason.TRUNCATED


def test_a_large_text_is_no_attack():
    done = process_image(png(chunk(b"zTXt", b"drawing\0\0" + zlib.compress(b"<mxfile>" * 400_000))), REFUSE)
    assert isinstance(done, Processed)


HEADS = [
    b"\x89PNG\r\n\x1a\n" + HEAD,
    b"\xff\xd8\xff",
    b"GIF89a",
    b"BM",
    b"RIFF\0\0\0\0WEBP",
    b"\0\0\0\x1cftypavif",
    b"",
]
SMALL = ImageSettings(max_pixels=100_000, rules=LOOSE, truncated="keep")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(HEADS), st.binary(max_size=400))
def test_no_bytes_make_the_decoder_raise(head, rest):
    assert isinstance(process_image(head + rest, SMALL), Processed | Drop)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted({**JPEGS, **OTHERS})), st.data())
def test_no_damage_makes_the_decoder_raise(name, data):
    body = bytearray({**JPEGS, **OTHERS}[name])
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(body) - 1))
        body[index : index + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    assert isinstance(process_image(bytes(body), SMALL), Processed | Drop)
