"""Images that are broken, cut off or hostile: each comes back as a Drop with its reason, and nothing is raised."""

import random
import struct
import tracemalloc
import zlib

import pytest
from helpers.pictures import GOOD, JPEGS, OTHERS, picture, saved
from PIL import Image

from filters.image import ImageRules
from filters.reasons import Drop, Reason
from transforms.formats.image_sniff import jpeg_scans, sniff
from transforms.image.process import MAX_SCANS, ImageSettings, Processed, process_image

SETTINGS = ImageSettings(rules=ImageRules(max_aspect=0))
CUT = {Reason.TRUNCATED, Reason.NOT_AN_IMAGE, Reason.EMPTY_BODY, Reason.DECODE_FAILED}


def cuts(body, stride):
    """A few lengths all over the body, and all of the last 64."""
    return sorted({*range(0, len(body), stride), *range(max(0, len(body) - 64), len(body))})


@pytest.mark.parametrize("name", GOOD)
def test_whole_images_pass_also_with_garbage_behind_them(name):
    assert isinstance(process_image(GOOD[name], SETTINGS), Processed)
    assert isinstance(process_image(GOOD[name] + b"\0\r\n<!-- served in 3 ms -->" * 3, SETTINGS), Processed)


def kept_wrongly(body, lengths):
    """The lengths whose outcome is neither a Drop for a cut nor the very picture of the whole body."""
    whole = process_image(body, SETTINGS)
    outcomes = {n: process_image(body[:n], SETTINGS) for n in lengths}
    return {
        n: o
        for n, o in outcomes.items()
        if not (isinstance(o, Drop) and o.reason in CUT) and not (isinstance(o, Processed) and o.data == whole.data)
    }


@pytest.mark.parametrize("name", JPEGS)
def test_every_prefix_of_a_good_jpeg_is_rejected_or_the_same_picture(name):
    body = JPEGS[name]
    assert kept_wrongly(body, cuts(body, 7)) == {}
    outcomes = [process_image(body[:n], SETTINGS) for n in cuts(body, 7) if 4 <= n < len(body) - 4]
    assert {o.reason for o in outcomes if isinstance(o, Drop)} == {Reason.TRUNCATED}
    assert all(0 <= o.value < 1 for o in outcomes if isinstance(o, Drop))
    assert isinstance(outcomes[-20], Drop)


@pytest.mark.parametrize("name", OTHERS)
def test_every_prefix_of_other_formats_is_rejected_or_the_same_picture(name):
    body = OTHERS[name]
    assert kept_wrongly(body, cuts(body, max(1, len(body) // 200))) == {}
    assert process_image(body[: len(body) * 3 // 4], SETTINGS).reason is Reason.TRUNCATED


def test_an_animated_gif_needs_its_first_frame_alone():
    frames = [picture(seed=n).quantize(16) for n in range(3)]
    body = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert kept_wrongly(body, cuts(body, 31)) == {}
    assert isinstance(process_image(body[: len(body) * 2 // 3], SETTINGS), Processed)
    assert process_image(body[: len(body) // 4], SETTINGS).reason is Reason.TRUNCATED


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.EMPTY_BODY),
        (b"<!DOCTYPE html><html><body>404</body></html>", Reason.NOT_AN_IMAGE),
        (b"<!-- built --><html><body><svg></svg></body></html>", Reason.NOT_AN_IMAGE),
        (b"BMW builds cars, and this is a text about them.", Reason.NOT_AN_IMAGE),
        (b'{"error": "not found"}', Reason.NOT_AN_IMAGE),
        (b"\0" * 100, Reason.NOT_AN_IMAGE),
        (b"RIFF\x24\0\0\0WAVEfmt ", Reason.NOT_AN_IMAGE),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", Reason.NOT_AN_IMAGE),
        (b"%PDF-1.7", Reason.NOT_AN_IMAGE),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', Reason.FORMAT_NOT_ALLOWED),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- x --><svg/>', Reason.FORMAT_NOT_ALLOWED),
        (b"II*\0\x08\0\0\0", Reason.FORMAT_NOT_ALLOWED),
        (b"\0\0\1\0\1\0", Reason.FORMAT_NOT_ALLOWED),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", Reason.FORMAT_NOT_ALLOWED),
        (b"\xff\xd8\xff\xd9", Reason.DECODE_FAILED),
        (b"\x89PNG\r\n\x1a\n\0\0\0\0IEND\xaeB`\x82", Reason.DECODE_FAILED),
    ],
)
def test_what_is_no_usable_image_has_its_reason(body, reason):
    assert process_image(body, SETTINGS).reason is reason


def test_a_name_or_a_wrong_type_never_matters_only_the_bytes_do():
    assert process_image(OTHERS["PNG"], SETTINGS).format == "PNG"
    only_jpeg = ImageSettings(formats=["JPEG"])
    drop = process_image(OTHERS["PNG"], only_jpeg)
    assert (drop.reason, drop.detail) == (Reason.FORMAT_NOT_ALLOWED, "PNG")


# bombs


def gif_bomb():
    """350 bytes that claim gigapixels, frame after frame."""
    width, height = 65_535, 65_535 * 2 // 3
    head = b"GIF89a" + struct.pack("<HH", width, 65_535) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    frame = b"\x2c" + struct.pack("<HHHH", 0, 0, width, height) + b"\0\x02\x02\x4c\x01\0"
    return head + frame * 22 + b"\x3b"


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(width=50_000, height=50_000):
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = zlib.compress(b"\0" * 1_000_000, 9)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def jpeg_bomb():
    body = bytearray(JPEGS["baseline"])
    place = body.index(b"\xff\xc0") + 5
    body[place : place + 4] = struct.pack(">HH", 65_000, 65_000)
    return bytes(body)


def bmp_bomb():
    body = bytearray(OTHERS["BMP"])
    body[18:26] = struct.pack("<ii", 60_000, 60_000)
    return bytes(body)


def webp_bomb():
    still = OTHERS["WEBP"][12:]
    header = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + (15_999).to_bytes(3, "little") * 2
    frame = b"\0" * 6 + (95).to_bytes(3, "little") + (63).to_bytes(3, "little") + b"\x64\0\0\0" + still
    body = b"WEBP" + header + b"ANIM\6\0\0\0" + b"\0" * 6 + b"ANMF" + struct.pack("<I", len(frame)) + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def avif_bomb():
    body = bytearray(OTHERS["AVIF"])
    place = body.index(b"ispe") + 8
    body[place : place + 8] = struct.pack(">II", 16_000, 16_000)
    return bytes(body)


@pytest.mark.parametrize("bomb", [gif_bomb, png_bomb, jpeg_bomb, bmp_bomb, webp_bomb, avif_bomb])
def test_bombs_are_refused_by_their_header(bomb):
    body = bomb()
    tracemalloc.start()
    try:
        drop = process_image(body, SETTINGS)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert drop.reason is Reason.TOO_MANY_PIXELS
    assert drop.value > SETTINGS.max_pixels
    assert peak_bytes < 16 * 2**20


def test_a_small_gif_frame_cannot_grow_the_canvas_past_the_bound():
    body = bytearray(OTHERS["GIF"])
    place = 13 + 3 * 2 ** ((body[10] & 7) + 1)
    while body[place] != 0x2C:
        place += 1
    body[place + 5 : place + 9] = struct.pack("<HH", 65_535, 65_535)
    assert process_image(bytes(body), SETTINGS).reason is Reason.TOO_MANY_PIXELS


def test_a_text_chunk_that_inflates_without_end_is_refused():
    bomb = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * 80_000_000, 9))
    body = OTHERS["PNG"]
    assert process_image(body[:33] + bomb + body[33:], SETTINGS).reason is Reason.DECODE_FAILED


def test_a_jpeg_of_endless_scans_is_refused():
    body = JPEGS["progressive"]
    start = body.rindex(b"\xff\xda")
    again = body[:-2] + body[start:-2] * MAX_SCANS + b"\xff\xd9"
    assert jpeg_scans(again) > MAX_SCANS
    drop = process_image(again, SETTINGS)
    assert (drop.reason, drop.value) == (Reason.DECODE_FAILED, jpeg_scans(again))


def test_a_strip_that_would_grow_past_the_bound_is_refused():
    settings = ImageSettings(mode="keep_ratio", only_if_bigger=False, rules=ImageRules(max_aspect=0))
    drop = process_image(saved(Image.new("RGB", (4_000, 2)), "PNG"), settings)
    assert drop.reason is Reason.TOO_MANY_PIXELS


@pytest.mark.parametrize(("encode", "width"), [("webp", 17_000), ("jpg", 65_501)])
def test_a_side_that_the_encoder_cannot_write_is_refused(encode, width):
    settings = ImageSettings(mode="no", encode=encode, rules=ImageRules(max_aspect=0))
    assert process_image(saved(Image.new("RGB", (width, 2)), "PNG"), settings).reason is Reason.TOO_MANY_PIXELS


# broken metadata


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_broken_exif_does_not_cost_the_image():
    body = JPEGS["baseline"]
    for junk in (b"II*\0\xff\xff\xff\xff", b"MM", b"garbage", b"II*\0\x08\0\0\0\xff\xff" + b"\x12\x01" * 40):
        segment = b"Exif\0\0" + junk
        block = b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment
        done = process_image(body[:2] + block + body[2:], SETTINGS)
        assert isinstance(done, Processed)
        assert (done.width, done.height) == (96, 64)


def test_a_broken_colour_profile_is_passed_over():
    done = process_image(saved(picture(), "JPEG", icc_profile=b"not a profile"), SETTINGS)
    assert isinstance(done, Processed)


# noise


def mutated(body, rng):
    changed = bytearray(body)
    for _ in range(rng.choice((1, 2, 5, 20))):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    if rng.random() < 0.2:
        place = rng.randrange(len(changed))
        del changed[place : place + rng.randrange(1, 30)]
    return bytes(changed)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", GOOD)
def test_mutated_images_never_raise(name):
    rng = random.Random(name)
    settings = ImageSettings(max_pixels=2_000_000, rules=ImageRules(max_aspect=0))
    for _ in range(60):
        body = mutated(GOOD[name], rng)
        outcome = process_image(body, settings)
        assert isinstance(outcome, Processed | Drop)
        if isinstance(outcome, Processed):
            assert sniff(outcome.data) == "JPEG"


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", GOOD)
def test_mutated_heads_never_raise(name):
    rng = random.Random(f"head of {name}")
    settings = ImageSettings(max_pixels=2_000_000, rules=ImageRules(max_aspect=0))
    for _ in range(40):
        body = mutated(GOOD[name][:160], rng) + GOOD[name][160:]
        assert isinstance(process_image(body, settings), Processed | Drop)
