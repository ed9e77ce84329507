"""The quick way of JPEGs: what it gives looks like what Pillow gives, and what is not sound it leaves to Pillow."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from transforms.image import process as image_module
from transforms.image.jpeg import shrunk
from transforms.image.pixels import resized
from transforms.image.process import ImageSettings, Processed, process_image

TARGET = (384, 256)


def scene(width: int, height: int) -> Image.Image:
    cells = np.random.default_rng(width).integers(0, 256, (24, 36, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)


def jpeg(picture: Image.Image, **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", **({"quality": 92} | options))
    return out.getvalue()


def psnr(one: Image.Image, other: Image.Image) -> float:
    difference = np.asarray(one.convert("RGB"), float) - np.asarray(other.convert("RGB"), float)
    return 10 * np.log10(255**2 / max((difference**2).mean(), 1e-9))


@pytest.mark.parametrize("scale", [1.05, 1.5, 2.0, 2.6, 4.0, 9.0])  # beside, at and beyond the fractions of a decode
@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"progressive": True}])
def test_it_looks_like_lanczos_of_the_whole(scale, options):
    body = jpeg(scene(round(TARGET[0] * scale), round(TARGET[1] * scale)), **options)
    reference = Image.open(io.BytesIO(body)).convert("RGB").resize(TARGET, Image.Resampling.LANCZOS)
    quick = shrunk(body, TARGET)
    assert quick.size == TARGET
    assert psnr(quick, reference) > 40


def test_it_is_pillows_picture_where_nothing_is_left_out():
    body = jpeg(scene(500, 333), subsampling=0)
    by_pillow = resized(Image.open(io.BytesIO(body)).convert("RGB"), TARGET)
    assert np.abs(np.asarray(shrunk(body, TARGET), int) - np.asarray(by_pillow, int)).max() <= 2


def test_what_is_not_sound_is_left_to_pillow():
    body = jpeg(scene(800, 533))
    assert shrunk(body[: len(body) // 2], TARGET) is None
    assert shrunk(b"\xff\xd8\xff" + bytes(400), TARGET) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert shrunk(b"", TARGET) is None


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_colours_and_turned_ones_go_the_other_way(mode, monkeypatch):
    monkeypatch.setattr(image_module, "shrunk", lambda body, target: 1 / 0)
    settings = ImageSettings(size=256, mode="keep_ratio")
    assert isinstance(process_image(jpeg(scene(800, 533).convert(mode)), settings), Processed)
    turned = Image.Exif()
    turned[0x0112] = 6
    done = process_image(jpeg(scene(800, 533), exif=turned.tobytes()), settings)
    assert (done.width, done.original_width) == (256, 533)
    with pytest.raises(ZeroDivisionError):
        process_image(jpeg(scene(800, 533)), settings)
