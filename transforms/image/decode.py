"""Bytes of a known format to an upright picture, bounded by what the header claims. Pure and safe in threads."""

import io
import json
import math
import struct
import warnings
import zlib
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageFile, PngImagePlugin

from filters.reasons import Drop, Reason
from transforms.image.cut import filled
from transforms.image.jpeg import SPARE

ImageFile.LOAD_TRUNCATED_IMAGES = False
Image.MAX_IMAGE_PIXELS = None  # our own bound is checked first, from the header
# Some tools keep whole drawings in a PNG's text, some MB; a text that inflates beyond is an attack.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 16 << 20
TEXT_BOMB = "text or profile too large"
# What Pillow says of broken metadata would fill the log of a crawl.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\b")

# What Pillow's openers and decoders are known to raise on broken bytes: OSError and SyntaxError by their contract, the
# others out of struct, zlib and index arithmetic; RuntimeError and MemoryError (a size that cannot be) by libavif.
DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)
METADATA_ERRORS = (*DECODE_ERRORS, AttributeError)  # a broken EXIF block is no reason to lose an image

# Tags that say nothing about a person or a place; all hold numbers.
HARMLESS_TAGS = frozenset({"Orientation", "ImageWidth", "ImageLength", "XResolution", "YResolution", "ResolutionUnit",
                           "ColorSpace", "ExifImageWidth", "ExifImageHeight", "Compression"})  # fmt: skip
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)


class Opened(NamedTuple):
    """An image of which nothing but the header was read, and its EXIF tags where the header has them."""

    picture: Image.Image
    exif: dict[str, float]  # the harmless ones
    orientation: int  # 1..8

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels, upright."""
        return self.picture.size[::-1] if self.orientation in SIDEWAYS else self.picture.size

    @property
    def is_plain_jpeg(self) -> bool:
        """Three components of colour, and nothing to turn."""
        return self.picture.format in ("JPEG", "MPO") and self.picture.mode == "RGB" and self.orientation == 1


def open_image(body: bytes, name: str, max_pixels: int) -> Opened | Drop:
    """Read the header of an image of format `name`. A size above the bound is refused before any pixel is decoded."""
    try:
        picture = Image.open(io.BytesIO(body), formats=[name])
        width, height = picture.size
        if width * height > max_pixels:
            return Drop(Reason.TOO_MANY_PIXELS, width * height, f"{width}x{height}")
        if name == "PNG":
            picture.load()  # its EXIF may come after the pixels
    except DECODE_ERRORS as error:
        is_bomb = name == "PNG" and ("too large" in str(error).lower() or "too much memory" in str(error).lower())
        return Drop(Reason.DECODE_FAILED, None, TEXT_BOMB) if is_bomb else decode_drop(error)
    exif = harmless_tags(picture)
    orientation = int(exif.get("Orientation", 1))
    return Opened(picture, exif, orientation if orientation in UPRIGHT else 1)


def share_loaded(opened: Opened) -> float:
    """The share of a GIF's or BMP's first frame whose pixels are there; what there is of them is then in `opened`."""
    picture = opened.picture
    try:
        picture.load()
    except DECODE_ERRORS as error:
        if decode_drop(error).reason is not Reason.TRUNCATED or not isinstance(picture, ImageFile.ImageFile):
            return 1.0  # `load_upright` says what is wrong
        tile, picture.tile = picture.tile[0], []
        pixels = np.asarray(picture if picture.format == "GIF" else picture.convert("L"))
        if picture.format == "BMP":  # it begins with its last row, most often
            return min(filled(pixels), filled(pixels[::-1, ::-1]))
        left, top, right, bottom = tile[1] or (0, 0, *picture.size)
        rows = np.arange(bottom - top)
        if isinstance(tile[3], tuple) and tile[3][1]:  # interlaced (GIF89a, appendix E)
            rows = np.concatenate([rows[0::8], rows[4::8], rows[2::4], rows[1::2]])
        return filled(pixels[top:bottom, left:right][rows])
    return 1.0


def load_upright(opened: Opened, target: tuple[int, int] | None) -> Image.Image | Drop:
    """The first frame's pixels, upright. A JPEG much larger than `target` (upright) is decoded at a fraction."""
    picture = opened.picture
    try:
        if target is not None and isinstance(picture, ImageFile.ImageFile):
            width, height = target[::-1] if opened.orientation in SIDEWAYS else target
            picture.draft(None, (math.ceil(SPARE * width), math.ceil(SPARE * height)))
        picture.load()
    except DECODE_ERRORS as error:
        return decode_drop(error)
    turn = UPRIGHT.get(opened.orientation)
    return picture if turn is None else _turned(picture, turn)


def _turned(picture: Image.Image, turn: Image.Transpose) -> Image.Image:
    turned = picture.transpose(turn)
    turned.info = dict(picture.info)  # the colour that stands for transparency
    return turned


def decode_drop(error: BaseException) -> Drop:
    text = str(error).lower()
    if "truncat" in text or "premature" in text or isinstance(error, EOFError):
        return Drop(Reason.TRUNCATED, None, type(error).__name__)
    return Drop(Reason.DECODE_FAILED, None, type(error).__name__)


def harmless_tags(picture: Image.Image) -> dict[str, float]:
    """The EXIF tags, by name, that say nothing of a person or a place. Empty where EXIF is missing or broken."""
    try:
        tags = {ExifTags.TAGS.get(number, ""): value for number, value in picture.getexif().items()}
    except METADATA_ERRORS:
        return {}
    numbers = {name: _number(value) for name, value in sorted(tags.items()) if name in HARMLESS_TAGS}
    return {name: number for name, number in numbers.items() if number is not None}


def _number(value: object) -> float | None:
    if isinstance(value, int):
        return value
    try:
        number = float(value)  # type: ignore[arg-type]
    except METADATA_ERRORS:
        return None
    return number if math.isfinite(number) else None


def exif_json(tags: dict[str, float]) -> str | None:
    return json.dumps(tags, sort_keys=True) if tags else None
