"""The bytes of a server to an image for training: sniffed, bounded, decoded, turned upright, resized, stripped.

Pure and safe in threads. Every image that cannot be used comes back as a Drop.
"""

import hashlib
import io
from typing import Literal, NamedTuple

from PIL import Image
from pydantic import Field

from filters.image import ImageRules, judge_size
from filters.reasons import Drop, Reason
from filters.rules import Rules
from transforms.formats.image_sniff import is_whole, jpeg_scans, sniff
from transforms.image.cut import Mended, has_sound_chunks, lacks_last_row, mended_jpeg, mended_png, with_end
from transforms.image.decode import TEXT_BOMB, Opened, exif_json, load_upright, open_image, share_loaded
from transforms.image.jpeg import shrunk
from transforms.image.passthrough import bare
from transforms.image.phash import perceptual_hash
from transforms.image.pixels import Mode, framed, resized, target_size, to_plain, to_rgb, to_srgb

Format = Literal["JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP"]
FORMATS: tuple[Format, ...] = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP")
# A progressive JPEG has about ten scans. Each one costs a pass over all pixels: thousands of them are an attack.
MAX_SCANS = 100
HASHED_SIDE = 256  # pixels: of pictures as large the hash is that of the whole one, in a fraction of the time
NAMES = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
LONGEST_SIDE = {"jpg": 65_500, "webp": 16_383, "png": 2**31 - 1}  # pixels, that an encoder takes


class ImageSettings(Rules):
    """What an image becomes. The defaults are those of DataComp's downloader."""

    size: int = Field(512, ge=1, le=8192)  # pixels, of the side that `mode` names
    mode: Mode = "keep_ratio_largest"  # img2dataset's resize modes: which side `size` is of
    only_if_bigger: bool = True  # a smaller image is not enlarged
    encode: Literal["jpg", "png", "webp"] = "jpg"  # format of the stored image
    quality: int = Field(95, ge=1, le=100)  # points of 1 to 100, of jpg and webp; img2dataset's default
    max_pixels: int = Field(90_000_000, ge=1)  # from the header; Pillow warns at 89 million, cameras end below
    formats: list[Format] = list(FORMATS)  # what is decoded at all, by Pillow's names
    # A picture whose end is cut off: its rest is grey, black or coarse. Common loaders keep such pictures in silence.
    truncated: Literal["refuse", "keep"] = "refuse"
    rules: ImageRules = ImageRules()  # bounds of the original image


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
    decoded: float = 1.0  # share of the picture; below 1 where its end was cut off


def process_image(body: bytes, settings: ImageSettings) -> Processed | Drop:
    """Make of a server's bytes what the configuration wants, or say why not."""
    name = judge_bytes(body, settings)
    if isinstance(name, Drop):
        return name
    mended = Mended(body, 1.0)
    if name == "JPEG" and jpeg_scans(body) is None:
        mended = Mended(with_end(body), 0.0)  # its share is looked for when its size is known
    scans = jpeg_scans(mended.body) if name == "JPEG" else 0
    if scans is None:
        return Drop(Reason.TRUNCATED, 0.0, name)
    if scans > MAX_SCANS:
        return Drop(Reason.DECODE_FAILED, scans, "too many scans")
    opened = open_image(mended.body, name, settings.max_pixels)
    if name == "PNG" and _is_faulty_png(body, opened):
        mended_or_drop = mended_png(body, settings.max_pixels)
        if isinstance(mended_or_drop, Drop):
            return mended_or_drop
        mended = mended_or_drop
        opened = open_image(mended.body, name, settings.max_pixels)
    if isinstance(opened, Drop):
        cut = mended.share < 1 and opened.reason is Reason.DECODE_FAILED
        return Drop(Reason.TRUNCATED, mended.share, name) if cut else opened
    if name == "JPEG" and mended.share < 1:
        mended = mended_jpeg(body)
    elif name in ("GIF", "BMP"):
        mended = mended._replace(share=share_loaded(opened))
    drop = judge_size(*opened.size, settings.rules, len(body))
    if drop is None and (mended.share <= 0 or (mended.share < 1 and settings.truncated == "refuse")):
        drop = Drop(Reason.TRUNCATED, mended.share, name)
    if drop is not None:
        return drop
    done = _process_opened(opened, mended.body, settings)
    if isinstance(done, Drop):
        return done
    return done._replace(sha256=hashlib.sha256(body).hexdigest(), decoded=mended.share)


def judge_bytes(body: bytes, settings: ImageSettings) -> str | Drop:
    """The name of the format, or what can be said before any decoder sees the bytes."""
    if not body:
        return Drop(Reason.EMPTY_BODY)
    name = sniff(body)
    if name is None:
        return Drop(Reason.NOT_AN_IMAGE)
    if name not in settings.formats:
        return Drop(Reason.FORMAT_NOT_ALLOWED, detail=name)
    if name != "PNG" and not is_whole(body, name):
        return Drop(Reason.TRUNCATED, None, name)  # no decoder of these gives what is there
    return name


def _is_faulty_png(body: bytes, opened: Opened | Drop) -> bool:
    """Whether a decoder stumbled over a PNG, or has not looked at all of it. Bombs are left to their refusal."""
    if isinstance(opened, Drop):
        return opened.reason in (Reason.DECODE_FAILED, Reason.TRUNCATED) and opened.detail != TEXT_BOMB
    return not is_whole(body, "PNG") or not has_sound_chunks(body) or lacks_last_row(opened.picture)


def _process_opened(opened: Opened, body: bytes, settings: ImageSettings) -> Processed | Drop:
    original = opened.size
    target = target_size(*original, settings.size, settings.mode, settings.only_if_bigger)
    drop = _judge_target(target or original, settings)
    if drop is not None:
        return drop
    pictures = _decoded(opened, body, target)
    if isinstance(pictures, Drop):
        return pictures
    small, hashed = pictures
    done = to_srgb(small, opened.picture.info.get("icc_profile"))  # after the resize: fewer pixels
    if target is not None:
        done = framed(done, settings.size, settings.mode)
    phash, phash_quality = perceptual_hash(to_rgb(hashed))
    same = done is opened.picture and NAMES[settings.encode] == opened.picture.format
    return Processed(
        (bare(body, NAMES[settings.encode]) if same else None) or encoded(done, settings),
        settings.encode,
        *done.size,
        *original,
        str(sniff(body)),
        hashlib.sha256(body).hexdigest(),
        exif_json(opened.exif),
        phash,
        phash_quality,
    )


def _decoded(opened: Opened, body: bytes, target: tuple[int, int] | None) -> tuple[Image.Image, Image.Image] | Drop:
    """The picture at its target size, and the one to hash."""
    if target is not None and min(target) >= HASHED_SIDE and opened.is_plain_jpeg:
        quickly = shrunk(body, target)
        if quickly is not None:
            return quickly, quickly
    upright = load_upright(opened, target)
    if isinstance(upright, Drop):
        return upright
    plain = to_plain(upright)
    small = plain if target is None else resized(plain, target)
    return small, small if min(small.size) >= HASHED_SIDE else plain


def _judge_target(size: tuple[int, int], settings: ImageSettings) -> Drop | None:
    """A thin strip may grow without bound when its short side is brought to `size`; and encoders have their limits."""
    pixels, longest = size[0] * size[1], LONGEST_SIDE[settings.encode]
    if pixels > settings.max_pixels:
        return Drop(Reason.TOO_MANY_PIXELS, pixels, f"{size[0]}x{size[1]} after the resize")
    if settings.mode != "center_crop" and max(size) > longest:
        return Drop(Reason.TOO_MANY_PIXELS, pixels, f"{size[0]}x{size[1]}: {settings.encode} ends at {longest}")
    return None


def encoded(picture: Image.Image, settings: ImageSettings) -> bytes:
    """The bytes to store. A new image carries none of the old one's metadata."""
    clean = picture
    if picture.info:
        clean = Image.new("RGB", picture.size)
        clean.paste(picture)
    out = io.BytesIO()
    if settings.encode == "png":
        clean.save(out, "PNG", compress_level=6)
    elif settings.encode == "webp":
        clean.save(out, "WEBP", quality=settings.quality, method=4)
    else:
        clean.save(out, "JPEG", quality=settings.quality)
    return out.getvalue()
