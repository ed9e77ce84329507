"""The perceptual hash: copies stay near, other pictures stay far, empty ones say that they are empty."""

import io

import numpy as np
import pytest
from PIL import Image

from filters.near_duplicate import NearDuplicateRules, hamming
from transforms.image.phash import perceptual_hash
from transforms.image.process import ImageSettings, process_image

RADIUS = NearDuplicateRules().radius
MIN_QUALITY = NearDuplicateRules().min_quality


def scene(seed, width=420, height=300):
    """Smooth noise on several scales, as photographs have it."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells in (3, 6, 12, 24, 48):
        grid = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC)) / cells**0.7
    total -= total.min()
    return Image.fromarray((total / total.max() * 255).astype(np.uint8))


def copied(image, form="JPEG", scale=1.0, **options):
    out = io.BytesIO()
    size = (round(image.width * scale), round(image.height * scale))
    image.resize(size, Image.Resampling.LANCZOS).save(out, form, **options)
    return Image.open(io.BytesIO(out.getvalue())).convert("RGB")


COPIES = {
    "quality 50": {"quality": 50},
    "quality 75": {"quality": 75},
    "quality 95": {"quality": 95},
    "webp": {"form": "WEBP", "quality": 75},
    "half": {"scale": 0.5, "quality": 85},
    "two thirds": {"scale": 2 / 3, "quality": 85},
    "double": {"scale": 2.0, "quality": 85},
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_lie_within_the_radius(name):
    distances = []
    for seed in range(30):
        image = scene(seed)
        distances.append(hamming(perceptual_hash(image)[0], perceptual_hash(copied(image, **COPIES[name]))[0]))
    assert np.mean(np.array(distances) <= 10) >= 0.95
    assert np.mean(np.array(distances) <= RADIUS) >= 0.95
    assert max(distances) <= 2 * RADIUS


def test_other_pictures_lie_far_away():
    hashes = [perceptual_hash(scene(seed))[0] for seed in range(40)]
    distances = [hamming(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(distances) > 4 * RADIUS


def test_quality_tells_pictures_from_empty_ones():
    assert all(perceptual_hash(scene(seed))[1] >= MIN_QUALITY for seed in range(10))
    for colour in ("white", "black", "navy"):
        assert perceptual_hash(Image.new("RGB", (300, 200), colour))[1] < MIN_QUALITY


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (7, 3), (64, 64)])
def test_any_size_has_a_hash(size):
    digest, quality = perceptual_hash(Image.effect_noise(size, 60).convert("RGB"))
    assert len(digest) == 32
    assert 0 <= quality <= 100


def test_the_hash_is_of_the_upright_picture_whatever_is_stored_of_it():
    image, exif = scene(3), Image.Exif()
    exif[0x0112] = 6
    out, turned = io.BytesIO(), io.BytesIO()
    image.save(out, "PNG")
    image.transpose(Image.Transpose.ROTATE_90).save(turned, "PNG", exif=exif)
    whole = process_image(out.getvalue(), ImageSettings(size=512))
    assert process_image(turned.getvalue(), ImageSettings(size=512)).phash == whole.phash
    assert process_image(out.getvalue(), ImageSettings(size=64, mode="center_crop")).phash == whole.phash
