"""Small good images of every kind that is taken."""

import io
import random
import struct
from functools import cache

from PIL import Image


def picture(width=96, height=64, mode="RGB", seed=0):
    rng = random.Random(seed)
    small = Image.frombytes("RGB", (12, 8), rng.randbytes(12 * 8 * 3))
    return small.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def saved(image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def with_thumbnail():
    """A JPEG whose EXIF block holds another whole JPEG."""
    thumbnail = saved(picture(32, 24, seed=5), "JPEG")
    segment = b"Exif\0\0" + b"II*\0\x08\0\0\0\0\0" + thumbnail
    body = saved(picture(), "JPEG")
    return body[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + body[2:]


JPEGS = {
    "baseline": saved(picture(), "JPEG", quality=90),
    "progressive": saved(picture(seed=1), "JPEG", quality=80, progressive=True),
    "grey": saved(picture(mode="L", seed=2), "JPEG"),
    "cmyk": saved(picture(mode="CMYK", seed=3), "JPEG"),
    "444 with restarts": saved(picture(seed=4), "JPEG", subsampling=0, restart_marker_blocks=2),
    "thumbnail": with_thumbnail(),
    "commented": saved(picture(seed=6), "JPEG", comment=b"\xff\xd9 is no end here \xff\xd9"),
}
OTHERS = {
    "PNG": saved(picture(), "PNG"),
    "GIF": saved(picture().quantize(32), "GIF"),
    "WEBP": saved(picture(), "WEBP"),
    "WEBP lossless": saved(picture(), "WEBP", lossless=True),
    "AVIF": saved(picture(), "AVIF"),
    "BMP": saved(picture(), "BMP"),
}
GOOD = {**JPEGS, **OTHERS}


@cache  # the noise is another each time
def noise(number: int, shade: int = 0) -> bytes:
    """A small JPEG that is like no other number's; brighter by `shade`."""
    out = io.BytesIO()
    Image.effect_noise((96, 80), 40 + number).point(lambda v: min(255, v + shade)).save(out, "JPEG")
    return out.getvalue()
