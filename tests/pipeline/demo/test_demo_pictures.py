"""The pictures: repeatable, told apart by their hashes, and what they say they are."""

import io
import random

import numpy as np
import pytest
from PIL import Image

from pipeline.demo.answers import image_bytes
from pipeline.demo.pictures import COLOURS, draw, encode, random_scene
from pipeline.demo.settings import DemoSettings
from pipeline.demo.shapes import SHAPES, outline
from pipeline.demo.web import build_web
from transforms.image.phash import perceptual_hash

RADIUS = 12  # bits; what select takes for a copy by default


def scenes(count, seed=1):
    rng = random.Random(seed)
    return [random_scene(rng) for _ in range(count)]


def bits(picture):
    return np.unpackbits(np.frombuffer(perceptual_hash(picture)[0], np.uint8))


def test_a_scene_is_drawn_the_same_every_time():
    for scene in scenes(10):
        assert draw(scene).tobytes() == draw(scene).tobytes()
        assert draw(scene).size == (scene.width, scene.height)


def test_two_scenes_are_never_taken_for_copies():
    hashes = np.stack([bits(draw(scene)) for scene in scenes(200)]).astype(np.int64) * 2 - 1
    distances = (256 - hashes @ hashes.T) // 2
    np.fill_diagonal(distances, 256)
    assert distances.min() > 3 * RADIUS


def test_every_hash_says_enough():
    assert min(perceptual_hash(draw(scene))[1] for scene in scenes(100, seed=2)) >= 50


@pytest.mark.parametrize("pages", [100, 1_500])
def test_planted_near_copies_lie_within_the_radius(pages):
    items = build_web(DemoSettings(pages=pages)).items
    for item in items.values():
        if item.kind == "near_copy":
            both = [Image.open(io.BytesIO(image_bytes(i))).convert("RGB") for i in (item, items[item.copy_of])]
            assert int((bits(both[0]) != bits(both[1])).sum()) <= RADIUS
            assert image_bytes(item) != image_bytes(items[item.copy_of])


def test_the_colour_is_there_in_the_middle_of_a_shape():
    for scene in scenes(60, seed=3):
        if scene.number == 1 and scene.position == "centre" and scene.shape not in ("ring", "moon"):
            pixel = draw(scene).getpixel((scene.width // 2, scene.height // 2))
            assert max(abs(a - b) for a, b in zip(pixel, COLOURS[scene.colour], strict=True)) < 60


def test_shapes_differ_and_fit_the_unit_circle():
    outlines = [outline(shape) for shape in SHAPES if shape != "ring"]  # a ring is a circle with a hole
    assert len({tuple(points) for points in outlines}) == len(outlines)
    assert all(np.hypot(x, y) <= 1.35 for points in outlines for x, y in points)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF"])
def test_pictures_are_written_in_the_format_asked_for(form):
    assert Image.open(io.BytesIO(encode(draw(scenes(1)[0]), form))).format == form
