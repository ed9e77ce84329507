"""No coding once more where nothing has to change; and nothing but the picture is ever stored."""

import io

import pytest
from PIL import Image, ImageCms, PngImagePlugin

from transforms.image.process import ImageSettings, Processed, process_image

SECRET = b"a place and a name"
NOISE = Image.effect_noise((200, 120), 60).convert("RGB")
FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}


def saved(form: str, picture: Image.Image = NOISE, **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def stored(body: bytes, encode: str = "jpg", **more) -> bytes:
    done = process_image(body, ImageSettings(encode=encode, **more))
    assert isinstance(done, Processed)
    return done.data


def exif() -> bytes:
    tags = Image.Exif()
    tags[0x010E] = SECRET.decode()
    return tags.tobytes()


@pytest.mark.parametrize("encode", FORMATS)
def test_a_bare_picture_keeps_its_bytes(encode):
    body = saved(FORMATS[encode], quality=31)
    assert stored(body, encode) == body
    assert stored(body + b"\xff\xd9" + SECRET, encode) == body


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 0}, {"optimize": True}])
def test_every_kind_of_jpeg(options):
    body = saved("JPEG", **options)
    assert stored(body) == body


PNG_TEXT = PngImagePlugin.PngInfo()
PNG_TEXT.add_text("Comment", SECRET.decode())


@pytest.mark.parametrize(("encode", "options"), [
    ("jpg", {"exif": exif()}),
    ("jpg", {"comment": SECRET}),
    ("jpg", {"xmp": SECRET}),
    ("png", {"exif": exif()}),
    ("png", {"pnginfo": PNG_TEXT}),
    ("webp", {"exif": exif()}),
    ("webp", {"xmp": SECRET}),
])  # fmt: skip
def test_metadata_are_taken_out(encode, options):
    body = saved(FORMATS[encode], **options)
    assert SECRET in body
    data = stored(body, encode)
    assert SECRET not in data
    assert Image.open(io.BytesIO(data)).size == NOISE.size


def test_a_thumbnail_in_a_jfif_segment_is_taken_out():
    body = saved("JPEG")
    assert body[4:11] == b"\0\x10JFIF\0"
    thumbnail = bytes(range(3))
    again = body[:4] + (19).to_bytes(2, "big") + body[6:18] + b"\1\1" + thumbnail + body[20:]
    assert thumbnail not in stored(again)[:64]


def test_what_has_to_change_is_coded_anew():
    body = saved("JPEG")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert stored(body, size=100) != body
    assert stored(body, "png")[:4] == b"\x89PNG"
    assert b"ICC_PROFILE" not in stored(saved("JPEG", icc_profile=profile))
    assert Image.open(io.BytesIO(stored(saved("JPEG", NOISE.convert("L"))))).mode == "RGB"
    assert Image.open(io.BytesIO(stored(saved("JPEG", NOISE.convert("CMYK"))))).mode == "RGB"
    turned = Image.Exif()
    turned[0x0112] = 6
    assert Image.open(io.BytesIO(stored(saved("JPEG", exif=turned)))).size == NOISE.size[::-1]
