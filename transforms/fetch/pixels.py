"""Decoded images to plain RGB of the right size. Pure."""

import io
from typing import Literal

import numpy as np
from PIL import Image, ImageCms

Mode = Literal["no", "border", "keep_ratio", "keep_ratio_largest", "center_crop"]
SHORT_SIDE_MODES = ("keep_ratio", "center_crop")
WHITE = (255, 255, 255)


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
    scale = size / side
    return max(1, round(width * scale)), max(1, round(height * scale))


def resized(picture: Image.Image, target: tuple[int, int], size: int, mode: Mode) -> Image.Image:
    if picture.size != target:
        picture = picture.resize(target, Image.Resampling.BICUBIC, reducing_gap=3.0)
    if mode == "center_crop":
        return _cropped(picture, size)
    return _bordered(picture, size) if mode == "border" else picture


def _cropped(picture: Image.Image, size: int) -> Image.Image:
    left, top = (picture.width - size) // 2, (picture.height - size) // 2
    return picture.crop((left, top, left + size, top + size))


def _bordered(picture: Image.Image, size: int) -> Image.Image:
    canvas = Image.new("RGB", (size, size), WHITE)
    canvas.paste(to_rgb(picture), ((size - picture.width) // 2, (size - picture.height) // 2))
    return canvas


def to_rgb(picture: Image.Image) -> Image.Image:
    """RGB of any mode: 16 bits scaled to 8, palettes resolved, transparency on white."""
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    if picture.mode.startswith("I") or picture.mode == "F":
        return _from_deep(picture)
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        return _on_white(picture.convert("RGBA"))
    return picture.convert("RGB")


def _from_deep(picture: Image.Image) -> Image.Image:
    """One channel of 16 or 32 bits: the upper eight of the sixteen that formats use."""
    values = np.asarray(picture).astype(np.float64)  # (height, width)
    if values.size and values.max() > 255:
        values = values / 257
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8), "L").convert("RGB")


def _on_white(picture: Image.Image) -> Image.Image:
    canvas = Image.new("RGBA", picture.size, (*WHITE, 255))
    return Image.alpha_composite(canvas, picture).convert("RGB")


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """`picture` (RGB or CMYK) as sRGB by its embedded profile; a broken profile is passed over."""
    if not profile or picture.mode not in ("RGB", "CMYK"):
        return to_rgb(picture)
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return to_rgb(picture)
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(picture, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return to_rgb(picture)
    return converted if converted is not None else to_rgb(picture)
