"""The pictures of the demo: a `Scene` says what is to be seen, `draw` shows it."""

import io
import math
import random
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from pipeline.demo.shapes import SHAPES, hole, outline

COLOURS = {
    "red": (214, 26, 32),
    "orange": (250, 130, 10),
    "yellow": (250, 222, 20),
    "green": (24, 150, 50),
    "blue": (30, 70, 210),
    "purple": (130, 30, 160),
    "black": (18, 18, 20),
    "white": (250, 250, 248),
}
POSITIONS = {"left": (0.3, 0.5), "right": (0.7, 0.5), "top": (0.5, 0.3), "bottom": (0.5, 0.7), "centre": (0.5, 0.5)}
BACKGROUNDS = ("striped", "dotted", "checked", "cloudy")
PLACES = {  # centres of two to four shapes, as shares of width and height
    2: ((0.28, 0.5), (0.72, 0.5)),
    3: ((0.27, 0.3), (0.73, 0.34), (0.5, 0.72)),
    4: ((0.28, 0.28), (0.72, 0.28), (0.28, 0.72), (0.72, 0.72)),
}
RADII = {1: (0.2, 0.29), 2: (0.16, 0.21), 3: (0.15, 0.19), 4: (0.14, 0.18)}  # shares of the smaller side
# Smooth noise on all scales that a perceptual hash looks at, as photographs have it: (cells a side, strength). Without
# the fine ones half of the hash's bits would hang on the noise of the encoder.
CLOUDS = ((5, 90), (10, 60), (18, 64))
TILT = 0.45  # radians: a square stays a square


class Scene(NamedTuple):
    """What a picture shows, and the number that draws all the rest."""

    shape: str
    colour: str
    number: int  # 1..4 of the same shape
    position: str  # of a single shape; "" for more
    background: str
    width: int  # pixels
    height: int
    seed: int


def random_scene(rng: random.Random) -> Scene:
    """A scene of any shape and colour: one shape in half of the cases."""
    number = rng.choice((1, 1, 1, 2, 3, 4))
    width = rng.randrange(256, 361, 8)
    return Scene(
        shape=rng.choice(SHAPES),
        colour=rng.choice(list(COLOURS)),
        number=number,
        position=rng.choice(list(POSITIONS)) if number == 1 else "",
        background=rng.choice(BACKGROUNDS),
        width=width,
        height=round(width * rng.uniform(0.85, 1.2)),  # a centre crop still shows every shape
        seed=rng.getrandbits(48),
    )


def draw(scene: Scene) -> Image.Image:
    """The picture, RGB, of the scene's size: the same pixels for the same scene."""
    rng = np.random.default_rng(scene.seed)
    tint = rng.uniform(140, 185) + rng.uniform(-14, 14, 3)
    ink = np.array(COLOURS[scene.colour]) + rng.normal(0, 5, 3)
    light, mask = _light(scene, rng), _mask(scene, rng)  # (height, width)
    paper, shade = 1 - mask, mask * (1 + 0.08 * (_blobs(scene, rng, 3) - 0.5))
    light *= paper
    light += float(rng.uniform(1, 5)) * rng.standard_normal(mask.shape, dtype=np.float32)  # grain
    channels = [np.clip(light + float(t) * paper + float(i) * shade, 0, 255) for t, i in zip(tint, ink, strict=True)]
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8), "RGB")


def encode(image: Image.Image, form: str = "JPEG", quality: int = 90) -> bytes:
    """The picture as a file of one of Pillow's formats."""
    out = io.BytesIO()
    image.save(out, form, **({"quality": quality} if form in ("JPEG", "WEBP") else {}))
    return out.getvalue()


def _light(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Soft blobs and the pattern that the scene names, around 0. (height, width)."""
    light = 22 * _pattern(scene, rng)
    for cells, strength in CLOUDS:
        light += strength * (_blobs(scene, rng, cells) - 0.5)
    return light


def _blobs(scene: Scene, rng: np.random.Generator, cells: int) -> np.ndarray:
    """Smooth noise, 0..1: few random values blown up. These make the hashes of two pictures differ."""
    coarse = Image.fromarray(rng.random((cells, cells), dtype=np.float32), "F")
    return np.asarray(coarse.resize((scene.width, scene.height), Image.Resampling.BICUBIC))


def _pattern(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """The named texture, about -1..1, turned and shifted at random."""
    y, x = np.ogrid[0 : scene.height, 0 : scene.width]
    x, y = x.astype(np.float32), y.astype(np.float32)
    angle, period = rng.uniform(0, math.pi), rng.uniform(18, 40)  # pixels
    cos, sin = (2 * math.pi / period * f(angle) for f in (math.cos, math.sin))
    u = x * cos + (y * sin + float(rng.uniform(0, 7)))
    v = y * cos - (x * sin + float(rng.uniform(0, 7)))
    if scene.background == "striped":
        return np.sign(np.sin(u))
    if scene.background == "checked":
        return np.sign(np.sin(u)) * np.sign(np.sin(v))
    if scene.background == "dotted":
        return np.where(np.sin(u) + np.sin(v) > 0.9, np.float32(1.5), np.float32(-0.3))
    return 2 * (_blobs(scene, rng, 9) - 0.5)


def _mask(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Where the shapes are: (height, width), 0..1, with smooth edges."""
    scale = 2  # drawn twice as large, then shrunk
    canvas = Image.new("L", (scene.width * scale, scene.height * scale))
    pen = ImageDraw.Draw(canvas)
    places = PLACES.get(scene.number) or (POSITIONS[scene.position],)
    side = min(scene.width, scene.height)
    for place in places:
        _put(pen, scene, rng, place, scale, rng.uniform(*RADII[scene.number]) * side)
    small = canvas.resize((scene.width, scene.height), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32) / 255


def _put(pen: ImageDraw.ImageDraw, scene: Scene, rng: np.random.Generator, place, scale: int, radius: float) -> None:
    """Draw one shape near `place` (shares of width and height) with a radius in pixels."""
    x = (place[0] + rng.uniform(-0.04, 0.04)) * scene.width
    y = (place[1] + rng.uniform(-0.04, 0.04)) * scene.height
    turn = rng.uniform(-TILT, TILT)
    cos, sin = radius * math.cos(turn), radius * math.sin(turn)

    def placed(points):
        return [((x + a * cos - b * sin) * scale, (y + a * sin + b * cos) * scale) for a, b in points]

    pen.polygon(placed(outline(scene.shape)), fill=255)
    if inner := hole(scene.shape):
        pen.polygon(placed(inner), fill=0)
