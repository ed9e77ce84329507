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
TILT = 0.45  # radians: a square stays a square


class Scene(NamedTuple):
    """What a picture shows, and the number that draws all the rest."""

    shape: str
    colour: str
    count: int  # 1..4 of the same shape
    position: str  # of a single shape; "" for more
    background: str
    width: int  # pixels
    height: int
    seed: int


def random_scene(rng: random.Random) -> Scene:
    """A scene of any shape and colour: one shape in half of the cases."""
    count = rng.choice((1, 1, 1, 2, 3, 4))
    width = rng.randrange(224, 345, 8)
    return Scene(
        shape=rng.choice(SHAPES),
        colour=rng.choice(list(COLOURS)),
        count=count,
        position=rng.choice(list(POSITIONS)) if count == 1 else "",
        background=rng.choice(BACKGROUNDS),
        width=width,
        height=round(width * rng.uniform(0.85, 1.2)),  # a centre crop still shows every shape
        seed=rng.getrandbits(48),
    )


def draw(scene: Scene) -> Image.Image:
    """The picture, RGB, of the scene's size: the same pixels for the same scene."""
    rng = np.random.default_rng(scene.seed)
    pixels = _background(scene, rng)
    mask = _mask(scene, rng)[..., None]  # (height, width, 1), 0..1
    shade = 1 + 0.08 * (_blobs(scene, rng, 3) - 0.5)
    ink = (np.array(COLOURS[scene.colour]) + rng.normal(0, 5, 3)).astype(np.float32)
    pixels += (ink * shade[..., None] - pixels) * mask
    grain = rng.standard_normal(mask.shape, dtype=np.float32)  # the same for all three channels
    pixels += rng.uniform(1, 5) * grain
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGB")


def encode(image: Image.Image, form: str = "JPEG", quality: int = 90) -> bytes:
    """The picture as a file of one of Pillow's formats."""
    out = io.BytesIO()
    image.save(out, form, **({"quality": quality} if form in ("JPEG", "WEBP") else {}))
    return out.getvalue()


def _background(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """A pale tint with large soft blobs and the pattern that the scene names. (height, width, 3), 0..255."""
    tint = (rng.uniform(140, 185) + rng.uniform(-14, 14, 3)).astype(np.float32)
    light = 105 * (_blobs(scene, rng, 5) - 0.5) + 26 * _pattern(scene, rng)
    return tint + light[..., None]


def _blobs(scene: Scene, rng: np.random.Generator, cells: int) -> np.ndarray:
    """Smooth noise, 0..1: few random values blown up. These make the hashes of two pictures differ."""
    coarse = Image.fromarray(rng.random((cells, cells), dtype=np.float32), "F")
    return np.asarray(coarse.resize((scene.width, scene.height), Image.Resampling.BICUBIC))


def _pattern(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """The named texture, about -1..1, turned and shifted at random."""
    y, x = np.mgrid[0 : scene.height, 0 : scene.width].astype(np.float32)
    angle, period = rng.uniform(0, math.pi), rng.uniform(18, 40)  # pixels
    u = (x * math.cos(angle) + y * math.sin(angle)) * 2 * math.pi / period + rng.uniform(0, 7)
    v = (y * math.cos(angle) - x * math.sin(angle)) * 2 * math.pi / period + rng.uniform(0, 7)
    if scene.background == "striped":
        return np.sign(np.sin(u))
    if scene.background == "checked":
        return np.sign(np.sin(u)) * np.sign(np.sin(v))
    if scene.background == "dotted":
        return np.where(np.sin(u) + np.sin(v) > 0.9, 1.5, -0.3)
    return 2 * (_blobs(scene, rng, 9) - 0.5)


def _mask(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Where the shapes are: (height, width), 0..1, with smooth edges."""
    scale = 2  # drawn twice as large, then shrunk
    canvas = Image.new("L", (scene.width * scale, scene.height * scale))
    pen = ImageDraw.Draw(canvas)
    places = PLACES.get(scene.count) or (POSITIONS[scene.position],)
    side = min(scene.width, scene.height)
    for place in places:
        _put(pen, scene, rng, place, scale, rng.uniform(*RADII[scene.count]) * side)
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
