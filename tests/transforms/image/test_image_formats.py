"""What becomes of good images: sizes by mode, colours, orientation, first frames, and metadata that is gone."""

import hashlib
import io
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from filters.image import ImageRules
from filters.reasons import Drop, Reason
from transforms.image.pixels import target_size
from transforms.image.process import FORMATS, ImageSettings, Processed, process_image

LOOSE = ImageRules(max_aspect=0)
PLAIN = ImageSettings(encode="png", rules=LOOSE)
RED, GREEN, BLUE, WHITE = (200, 30, 40), (20, 160, 60), (30, 60, 200), (255, 255, 255)


def saved(image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def processed(body, settings=PLAIN):
    done = process_image(body, settings)
    assert isinstance(done, Processed), done
    return done


def pixels(done):
    """(height, width, 3)"""
    return np.asarray(Image.open(io.BytesIO(done.data))).astype(int)


def near(values, colour, tolerance=6):
    return np.abs(np.asarray(values, dtype=int) - np.asarray(colour)).max() <= tolerance


def corners(width=80, height=48):
    """Red at the top left, green at the top right, blue at the bottom left, white at the bottom right."""
    image = Image.new("RGB", (width, height), WHITE)
    image.paste(RED, (0, 0, width // 2, height // 2))
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    return image


# formats


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_is_known_by_its_bytes_and_keeps_its_picture(form):
    options = {} if form in ("PNG", "GIF", "BMP") else {"quality": 95}
    body = saved(corners(), form, **options)
    done = processed(body)
    assert (done.format, done.extension, done.width, done.height) == (form, "png", 80, 48)
    assert done.sha256 == hashlib.sha256(body).hexdigest()
    assert len(done.phash) == 32
    assert near(pixels(done)[10, 10], RED, 12)
    assert near(pixels(done)[40, 70], WHITE, 12)


@pytest.mark.parametrize(("encode", "form"), [("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")])
def test_each_encoding_writes_its_format(encode, form):
    done = processed(saved(corners(), "PNG"), ImageSettings(encode=encode, rules=LOOSE))
    image = Image.open(io.BytesIO(done.data))
    assert (image.format, image.mode, image.size) == (form, "RGB", (80, 48))
    assert done.extension == encode


def test_a_higher_quality_gives_more_bytes():
    body = saved(Image.effect_noise((64, 64), 80), "PNG")
    sizes = [len(processed(body, ImageSettings(quality=q)).data) for q in (10, 50, 95)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "AVIF"])
def test_of_an_animation_the_first_frame_counts(form):
    frames = [Image.new("RGB", (40, 30), colour) for colour in (RED, GREEN, BLUE)]
    done = processed(saved(frames[0], form, save_all=True, append_images=frames[1:], duration=50))
    assert near(pixels(done), RED, 12)


def test_of_a_multi_picture_jpeg_the_first_counts():
    body = saved(
        Image.new("RGB", (40, 30), RED), "MPO", save_all=True, append_images=[Image.new("RGB", (40, 30), BLUE)]
    )
    done = processed(body)
    assert done.format == "JPEG"
    assert near(pixels(done), RED)


# sizes


@pytest.mark.parametrize(
    ("mode", "only_if_bigger", "original", "expected"),
    [
        ("no", True, (300, 200), (300, 200)),
        ("no", False, (30, 20), (30, 20)),
        ("keep_ratio", True, (300, 200), (150, 100)),
        ("keep_ratio", True, (200, 300), (100, 150)),
        ("keep_ratio", True, (300, 100), (300, 100)),
        ("keep_ratio", True, (300, 90), (300, 90)),
        ("keep_ratio", False, (60, 50), (120, 100)),
        ("keep_ratio_largest", True, (300, 200), (100, 67)),
        ("keep_ratio_largest", True, (200, 300), (67, 100)),
        ("keep_ratio_largest", True, (100, 50), (100, 50)),
        ("keep_ratio_largest", False, (50, 25), (100, 50)),
        ("keep_ratio_largest", True, (1_000, 2), (100, 1)),
        ("center_crop", True, (300, 200), (100, 100)),
        ("center_crop", True, (300, 90), (300, 90)),
        ("center_crop", False, (60, 50), (100, 100)),
        ("border", True, (300, 200), (100, 100)),
        ("border", True, (90, 50), (90, 50)),
        ("border", False, (50, 25), (100, 100)),
    ],
)
def test_modes_give_the_sizes_of_img2dataset(mode, only_if_bigger, original, expected):
    settings = ImageSettings(size=100, mode=mode, only_if_bigger=only_if_bigger, encode="png", rules=LOOSE)
    for form in ("PNG", "JPEG"):
        done = processed(saved(Image.new("RGB", original, RED), form), settings)
        assert (done.width, done.height) == expected == Image.open(io.BytesIO(done.data)).size
        assert (done.original_width, done.original_height) == original


def test_the_named_side_is_met_exactly_whatever_the_size():
    for length in range(101, 2_000, 7):
        assert target_size(length, 3 * length + 1, 100, "keep_ratio", True)[0] == 100
        assert target_size(length, length // 2, 100, "keep_ratio_largest", True)[0] == 100


def test_a_border_is_white_and_the_picture_in_the_middle():
    settings = ImageSettings(size=60, mode="border", encode="png", rules=LOOSE)
    image = pixels(processed(saved(Image.new("RGB", (120, 60), RED), "PNG"), settings))
    assert near(image[:14], WHITE, 0)
    assert near(image[46:], WHITE, 0)
    assert near(image[16:44], RED)


def test_a_centre_crop_keeps_the_middle():
    image = Image.new("RGB", (300, 100), WHITE)
    image.paste(RED, (100, 0, 200, 100))
    settings = ImageSettings(size=50, mode="center_crop", encode="png", rules=LOOSE)
    assert near(pixels(processed(saved(image, "PNG"), settings))[:, 3:-3], RED)


def test_a_large_jpeg_decoded_at_a_fraction_looks_like_the_full_one():
    rng = np.random.default_rng(3)
    small = Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    large = small.resize((1_800, 1_200), Image.Resampling.BICUBIC)
    settings = ImageSettings(size=200, encode="png")
    by_draft = pixels(processed(saved(large, "JPEG", quality=95), settings))
    in_full = pixels(processed(saved(large, "PNG"), settings))
    assert np.abs(by_draft - in_full).mean() < 3


def test_the_rules_hold_for_the_original_size():
    settings = ImageSettings(rules=ImageRules(min_side=50, min_bytes=100))
    assert process_image(saved(corners(), "PNG"), settings).reason is Reason.IMAGE_TOO_SMALL
    assert process_image(saved(corners(400, 100), "PNG"), settings).reason is Reason.ASPECT_TOO_EXTREME
    few = ImageSettings(rules=ImageRules(min_bytes=100_000))
    assert process_image(saved(corners(), "PNG"), few).reason is Reason.TOO_FEW_BYTES
    exact = ImageSettings(max_pixels=80 * 48)
    assert isinstance(process_image(saved(corners(), "PNG"), exact), Processed)
    below = ImageSettings(max_pixels=80 * 48 - 1)
    assert process_image(saved(corners(), "PNG"), below) == Drop(Reason.TOO_MANY_PIXELS, 80 * 48, "80x48")


# orientation and metadata


def exif_with(orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Artist] = "Jane Roe"
    exif[ExifTags.Base.Model] = "Camera of Jane Roe"
    exif[ExifTags.Base.ImageDescription] = "jane.roe@example.org"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.BodySerialNumber] = "SERIAL-4711"
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps[ExifTags.GPS.GPSLatitudeRef] = "N"
    gps[ExifTags.GPS.GPSLatitude] = (48.0, 51.0, 29.0)
    return exif


TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,  # stored turned left, to be shown turned right
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", TURNS)
def test_every_orientation_is_turned_upright(orientation, form):
    turn = TURNS[orientation]
    stored = corners() if turn is None else corners().transpose(turn)
    done = processed(saved(stored, form, exif=exif_with(orientation)))
    assert (done.width, done.height, done.original_width, done.original_height) == (80, 48, 80, 48)
    image = pixels(done)
    assert near(image[6, 6], RED, 30)
    assert near(image[6, 74], GREEN, 30)
    assert near(image[42, 6], BLUE, 30)
    assert json.loads(done.exif)["Orientation"] == orientation


def test_a_turned_jpeg_is_also_decoded_at_a_fraction_and_upright():
    body = saved(corners(1_600, 960).transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif_with(6))
    done = processed(body, ImageSettings(size=100, encode="png"))
    assert (done.width, done.height, done.original_width, done.original_height) == (100, 60, 1_600, 960)
    assert near(pixels(done)[6, 6], RED, 10)


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_that_is_none_is_passed_over(orientation):
    done = processed(saved(corners(), "JPEG", exif=exif_with(orientation)))
    assert (done.width, done.height) == (80, 48)


@pytest.mark.parametrize("encode", ["jpg", "png", "webp"])
@pytest.mark.parametrize("mode", ["no", "keep_ratio_largest"])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_nothing_private_leaves(form, mode, encode):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    comment = {"comment": b"by Jane Roe"} if form == "JPEG" else {}
    body = saved(
        corners(), form, exif=exif_with(1), icc_profile=profile, xmp=b"<x:xmpmeta>Jane Roe</x:xmpmeta>", **comment
    )
    assert b"Jane Roe" in body
    done = processed(body, ImageSettings(size=40, mode=mode, encode=encode, rules=LOOSE))
    image = Image.open(io.BytesIO(done.data))
    image.load()
    assert dict(image.getexif()) == {}
    assert not {"exif", "xmp", "icc_profile", "comment", "photoshop"} & set(image.info)
    for trace in (b"Jane", b"SERIAL", b"Exif", b"GPS", b"xmp"):
        assert trace not in done.data
    assert set(json.loads(done.exif or "{}")) <= {"Orientation"}  # AVIF has a property of its own for it


def test_without_exif_there_is_none():
    assert processed(saved(corners(), "PNG")).exif is None


# colours


def test_transparency_becomes_white():
    rgba = Image.new("RGBA", (60, 40), (*RED, 0))
    rgba.paste((*BLUE, 255), (0, 0, 30, 40))
    rgba.paste((0, 0, 0, 128), (0, 0, 30, 10))
    for form, options in (("PNG", {}), ("WEBP", {"lossless": True})):
        image = pixels(processed(saved(rgba, form, **options)))
        assert near(image[:, 32:], WHITE, 2)
        assert near(image[20:, :28], BLUE, 4)
        assert near(image[2, 2], (127, 127, 127), 3)


def test_palettes_greys_and_their_transparent_colours():
    palette = corners().quantize(4)
    assert near(pixels(processed(saved(palette, "PNG")))[5, 5], RED, 3)
    clear = palette.getpixel((5, 5))
    for form in ("PNG", "GIF"):
        image = pixels(processed(saved(palette, form, transparency=clear)))
        assert near(image[5, 5], WHITE, 0)
        assert near(image[5, 70], GREEN, 3)
    grey = Image.new("L", (20, 20), 90)
    assert near(pixels(processed(saved(grey, "PNG"))), (90, 90, 90), 0)
    assert near(pixels(processed(saved(grey, "PNG", transparency=90))), WHITE, 0)
    assert near(pixels(processed(saved(corners(), "PNG", transparency=RED)))[5, 5], WHITE, 0)
    assert near(pixels(processed(saved(Image.new("LA", (20, 20), (0, 0)), "PNG"))), WHITE, 0)
    assert near(pixels(processed(saved(Image.new("1", (20, 20), 1), "PNG"))), WHITE, 0)


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (200, 1), (32_768, 128), (65_535, 255)])
def test_sixteen_bits_are_scaled_to_eight(value, expected):
    deep = Image.fromarray(np.full((20, 30), value, dtype=np.uint16))
    body = saved(deep, "PNG")
    assert Image.open(io.BytesIO(body)).mode == "I;16"
    assert near(pixels(processed(body)), (expected,) * 3, 0)


def test_a_turned_sixteen_bit_image_keeps_its_clear_grey():
    deep = Image.fromarray(np.full((20, 30), 1_000, dtype=np.uint16))
    done = processed(saved(deep, "PNG", transparency=1_000, exif=exif_with(6)))
    assert (done.width, done.height) == (20, 30)
    assert near(pixels(done), WHITE, 0)


def test_cmyk_is_shown_as_it_is_meant():
    cmyk = Image.merge("CMYK", [Image.new("L", (40, 40), v) for v in (0, 255, 255, 0)])  # full magenta and yellow
    red, green, blue = pixels(processed(saved(cmyk, "JPEG", quality=95)))[20, 20]
    assert red > 200
    assert green < 60
    assert blue < 60


def foreign_profile():
    """A profile of another colour space than the image has."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()


def test_an_srgb_profile_changes_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    bare = pixels(processed(saved(corners(), "PNG")))
    assert (pixels(processed(saved(corners(), "PNG", icc_profile=profile))) == bare).all()


def swapped_profile():
    """sRGB with the red and the green primaries exchanged, under another name: a conversion cannot be missed."""
    body = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = body.index(b"rXYZ"), body.index(b"gXYZ")
    body[red : red + 4], body[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(body).replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))


@pytest.mark.parametrize("mode", ["no", "keep_ratio_largest", "border"])
def test_another_profile_is_converted_to_srgb(mode):
    body = saved(corners(), "PNG", icc_profile=swapped_profile())
    settings = ImageSettings(size=80, only_if_bigger=False, mode=mode, encode="png", rules=LOOSE)
    image = pixels(processed(body, settings))
    middle = image.shape[0] // 2
    assert image[middle - 10, 10][1] > 150  # red became green
    assert image[middle - 10, 10][0] < 80


def test_a_profile_of_another_colour_space_is_passed_over():
    bare = pixels(processed(saved(corners(), "PNG")))
    assert (pixels(processed(saved(corners(), "PNG", icc_profile=foreign_profile()))) == bare).all()


# determinism


def test_the_same_bytes_come_out_again_in_any_thread():
    bodies = [saved(corners(90 + n, 70), form) for n in range(4) for form in ("JPEG", "PNG", "WEBP", "AVIF", "GIF")]
    settings = ImageSettings(size=48)
    once = [process_image(body, settings) for body in bodies]
    with ThreadPoolExecutor(8) as pool:
        again = list(pool.map(lambda body: process_image(body, settings), bodies * 3))
    assert again == once * 3
