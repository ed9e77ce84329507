"""The way of most images: a sound JPEG in colour, larger than is wanted. Pure.

libjpeg-turbo by its own interface and three bytes a pixel: two thirds of the CPU that the same takes through Pillow,
which holds four.
"""

import math

import simplejpeg
from cykooz_resizer import ImageData, PixelType, Resizer
from PIL import Image

from transforms.image.pixels import BICUBIC

# A JPEG can be decoded at half of its size, or less, for less. Where that leaves 1.25 times the target or more, what
# comes out is as near to LANCZOS of the whole picture as OpenCV's AREA of it is: 42.5 against 42.2 dB at that very
# size, better at all others; at 1.0 times the target it would be 37.7 against 41.7 (36 copies of photographs).
SPARE = 1.25


def shrunk(body: bytes, target: tuple[int, int]) -> Image.Image | None:
    """A JPEG of three components at `target` (width, height); None where it is not sound: Pillow has the last word."""
    width, height = (math.ceil(SPARE * side) for side in target)
    try:
        pixels = simplejpeg.decode_jpeg(body, "RGB", min_width=width, min_height=height, min_factor=2)  # (y, x, 3)
    except ValueError:
        return None
    whole = ImageData(pixels.shape[1], pixels.shape[0], PixelType.U8x3, pixels.tobytes())
    small = ImageData(*target, PixelType.U8x3)
    Resizer().resize(whole, small, BICUBIC)
    return Image.frombytes("RGB", target, small.get_buffer())
