"""The bytes of a server to an image for training: sniffed, bounded, decoded, turned upright, resized, stripped.

Pure and safe in threads. Every image that cannot be used comes back as a Drop.
"""

import hashlib
import io
import json
import struct
import zlib
from typing import Literal, NamedTuple

from PIL import ExifTags, Image, ImageFile, ImageOps
from pydantic import Field

from filters.image import ImageRules, judge_size
from filters.reasons import Drop, Reason
from filters.rules import Rules
from transforms.fetch.phash import perceptual_hash
from transforms.fetch.pixels import Mode, resized, target_size, to_rgb, to_srgb
from transforms.fetch.sniff import is_whole, sniff

Format = Literal["JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP"]
FORMATS: tuple[Format, ...] = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP")

ImageFile.LOAD_TRUNCATED_IMAGES = False
Image.MAX_IMAGE_PIXELS = None  # our own bound is checked first, from the header

# What Pillow's decoders are known to raise on broken data.
DECODE_ERRORS = (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, OverflowError, EOFError,
                 AttributeError, ZeroDivisionError, AssertionError, NotImplementedError, RuntimeError, MemoryError,
                 struct.error, zlib.error, Image.DecompressionBombError)  # fmt: skip
# Tags that say nothing about a person or a place.
HARMLESS_TAGS = frozenset({"Orientation", "ImageWidth", "ImageLength", "XResolution", "YResolution", "ResolutionUnit",
                           "ColorSpace", "ExifImageWidth", "ExifImageHeight", "Compression"})  # fmt: skip


class ImageSettings(Rules):
    """What an image becomes. The defaults are those of DataComp's downloader."""

    size: int = Field(512, ge=1, le=8192)  # pixels, of the side that `mode` names
    mode: Mode = "keep_ratio_largest"
    only_if_bigger: bool = True
    encode: Literal["jpg", "png", "webp"] = "jpg"
    quality: int = Field(95, ge=1, le=100)
    max_pixels: int = Field(90_000_000, ge=1)  # from the header; Pillow warns at 89 million, cameras end below
    formats: list[Format] = list(FORMATS)
    rules: ImageRules = ImageRules()


class Processed(NamedTuple):
    """An image ready to be stored."""

    data: bytes  # encoded, without any metadata
    extension: str  # jpg | png | webp
    width: int  # pixels
    height: int
    original_width: int  # upright
    original_height: int
    format: str  # of the original
    sha256: str  # hex, of the original bytes
    exif: str | None  # JSON of harmless tags
    phash: bytes  # (32,)
    phash_quality: int


def process_image(body: bytes, settings: ImageSettings) -> Processed | Drop:
    """Make of a server's bytes what the configuration wants, or say why not."""
    drop = judge_bytes(body, settings)
    if drop is not None:
        return drop
    name = sniff(body)
    try:
        picture = Image.open(io.BytesIO(body), formats=[str(name)])
        drop = _judge_header(picture, len(body), settings)
        if drop is not None:
            return drop
        return _finish(picture, body, settings)
    except DECODE_ERRORS as error:
        return _decode_drop(error)


def judge_bytes(body: bytes, settings: ImageSettings) -> Drop | None:
    """What can be said before any decoder sees the bytes."""
    if not body:
        return Drop(Reason.EMPTY_BODY)
    name = sniff(body)
    if name is None:
        return Drop(Reason.NOT_AN_IMAGE)
    if name not in settings.formats:
        return Drop(Reason.FORMAT_NOT_ALLOWED, detail=name)
    if not is_whole(body, name):
        return Drop(Reason.TRUNCATED, len(body), name)
    return None


def _judge_header(picture: Image.Image, size_bytes: int, settings: ImageSettings) -> Drop | None:
    """Bounds by the size that the header claims: nothing is decoded yet."""
    width, height = picture.size
    if width * height > settings.max_pixels:
        return Drop(Reason.TOO_MANY_PIXELS, width * height, f"{width}x{height}")
    return judge_size(width, height, settings.rules, size_bytes)


def _decode_drop(error: BaseException) -> Drop:
    text = str(error).lower()
    if "truncat" in text or "premature" in text or isinstance(error, EOFError):
        return Drop(Reason.TRUNCATED, None, type(error).__name__)
    return Drop(Reason.DECODE_FAILED, None, type(error).__name__)


def _finish(picture: Image.Image, body: bytes, settings: ImageSettings) -> Processed:
    format_, exif = str(sniff(body)), harmless_exif(picture)
    profile = picture.info.get("icc_profile")
    sideways = picture.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    original = picture.size[::-1] if sideways else picture.size
    target = target_size(*original, settings.size, settings.mode, settings.only_if_bigger)
    upright = decoded(picture, target)
    phash, phash_quality = perceptual_hash(to_rgb(upright))
    small = resized(_plain(upright), target, settings.size, settings.mode) if target else _plain(upright)
    done = to_srgb(small, profile)
    return Processed(
        encoded(done, settings),
        settings.encode,
        *done.size,
        *original,
        format_,
        hashlib.sha256(body).hexdigest(),
        exif,
        phash,
        phash_quality,
    )


def decoded(picture: Image.Image, target: tuple[int, int] | None) -> Image.Image:
    """The first frame, upright. A JPEG much larger than `target` is decoded at a fraction of its size."""
    if target is not None and picture.format == "JPEG":
        picture.draft(None, (2 * max(target), 2 * max(target)))  # never below twice the target: no loss to see
    picture.load()
    return ImageOps.exif_transpose(picture)


def _plain(picture: Image.Image) -> Image.Image:
    """A mode that resizing understands, with CMYK kept for its profile."""
    return picture if picture.mode in ("RGB", "CMYK") and "transparency" not in picture.info else to_rgb(picture)


def encoded(picture: Image.Image, settings: ImageSettings) -> bytes:
    """The bytes to store. A new image carries none of the old one's metadata."""
    clean = Image.frombytes("RGB", picture.size, picture.tobytes())
    out = io.BytesIO()
    if settings.encode == "png":
        clean.save(out, "PNG", compress_level=6)
    elif settings.encode == "webp":
        clean.save(out, "WEBP", quality=settings.quality, method=4)
    else:
        clean.save(out, "JPEG", quality=settings.quality)
    return out.getvalue()


def harmless_exif(picture: Image.Image) -> str | None:
    """JSON of the tags that tell nothing of a person or a place, or None where there is none."""
    tags = {ExifTags.TAGS.get(number, ""): value for number, value in picture.getexif().items()}
    kept = {name: _number(value) for name, value in sorted(tags.items()) if name in HARMLESS_TAGS}
    kept = {name: value for name, value in kept.items() if value is not None}
    return json.dumps(kept) if kept else None


def _number(value: object) -> float | int | None:
    if isinstance(value, int):
        return value
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
