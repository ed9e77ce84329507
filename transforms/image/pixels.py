"""Decoded images to plain RGB of the right size. Pure."""

import io
from typing import Literal

from cykooz_resizer import FilterType, ResizeAlg, ResizeOptions, Resizer
from PIL import Image, ImageCms

Mode = Literal["no", "border", "keep_ratio", "keep_ratio_largest", "center_crop"]
SHORT_SIDE_MODES = ("keep_ratio", "center_crop")
WHITE = (255, 255, 255)
BICUBIC = ResizeOptions(ResizeAlg.convolution(FilterType.catmull_rom))
# 16 bits to 8, rounded: 65,535 is white as 255 is.
_TO_8_BITS = [(value * 255 + 32_767) // 65_535 for value in range(65_536)]


def target_size(width: int, height: int, size: int, mode: Mode, only_if_bigger: bool) -> tuple[int, int] | None:
    """(width, height) to resize to, before any crop or border; None where the image stays as it is.

    Modes are img2dataset's: `keep_ratio` and `center_crop` bring the shorter side to `size`, `keep_ratio_largest` and
    `border` the longer one.
    """
    if mode == "no":
        return None
    side = min(width, height) if mode in SHORT_SIDE_MODES else max(width, height)
    if only_if_bigger and side <= size:
        return None
    return _scaled(width, size, side), _scaled(height, size, side)


def _scaled(length: int, size: int, side: int) -> int:
    """length * size / side, rounded half up in whole numbers: the side itself comes out as `size`."""
    return max(1, (2 * length * size + side) // (2 * side))


def resized(picture: Image.Image, target: tuple[int, int]) -> Image.Image:
    """An RGB, CMYK or L picture, as Pillow would; the library's vector code gives the same bytes on every processor."""
    if picture.size == target:
        return picture
    result = Image.new(picture.mode, target)
    Resizer().resize_pil(picture, result, BICUBIC)
    return result


def framed(picture: Image.Image, size: int, mode: Mode) -> Image.Image:
    """An RGB image, already at its target size, cropped or bordered to a square of `size` where the mode says so."""
    if mode == "center_crop":
        left, top = (picture.width - size) // 2, (picture.height - size) // 2
        return picture.crop((left, top, left + size, top + size))
    if mode == "border":
        canvas = Image.new("RGB", (size, size), WHITE)
        canvas.paste(picture, ((size - picture.width) // 2, (size - picture.height) // 2))
        return canvas
    return picture


def to_plain(picture: Image.Image) -> Image.Image:
    """RGB, or CMYK that waits for its profile: modes that a resize treats well."""
    return picture if picture.mode == "CMYK" else to_rgb(picture)


def to_rgb(picture: Image.Image) -> Image.Image:
    """RGB of any mode: 16 bits scaled to 8, palettes resolved, transparency on white."""
    if picture.has_transparency_data and not picture.mode.startswith("I"):
        return _on_white(picture.convert("RGBA"))
    if picture.mode.startswith("I"):
        return _from_16_bits(picture)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _from_16_bits(picture: Image.Image) -> Image.Image:
    """Grey of 16 bits a pixel. A grey level that stands for transparency becomes white."""
    clear = picture.info.get("transparency")
    table = list(_TO_8_BITS)
    if isinstance(clear, int) and 0 <= clear < len(table):
        table[clear] = 255
    return picture.convert("I").point(table, "L").convert("RGB")  # only of "I" does Pillow take so long a table


def _on_white(picture: Image.Image) -> Image.Image:
    canvas = Image.new("RGB", picture.size, WHITE)
    canvas.paste(picture, mask=picture.getchannel("A"))
    return canvas


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """`picture` (RGB or CMYK) as sRGB by its embedded profile; a broken or foreign profile is passed over."""
    if not profile:
        return to_rgb(picture)
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if picture.mode == "RGB" and "sRGB" in ImageCms.getProfileDescription(source):
            return picture
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(picture, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return to_rgb(picture)
    return converted if converted is not None else to_rgb(picture)
