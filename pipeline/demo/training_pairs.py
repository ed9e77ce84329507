"""Pairs to train the demo model on: pictures and true captions of another seed, as webdataset shards."""

import io
import json
import random
import tarfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from pipeline.demo.captions import describe
from pipeline.demo.pictures import COLOURS, Scene, draw, encode, random_scene
from pipeline.demo.shapes import SHAPES
from pipeline.demo.words import KEPT_LANGUAGES

SMALL_SIDE = 112  # pixels: little more than the model sees, and quick to decode


class Pair(NamedTuple):
    """A picture to draw and a true sentence about it."""

    scene: Scene
    caption: str
    language: str


def pairs(count: int, seed: int) -> Iterator[Pair]:
    """`count` pairs in decks: a deck has every shape in every colour once, so that neighbours contrast."""
    rng = random.Random(f"training pairs {seed}")
    deck: list[tuple[str, str]] = []
    for _ in range(count):
        if not deck:
            deck = [(shape, colour) for shape in SHAPES for colour in COLOURS]
            rng.shuffle(deck)
        shape, colour = deck.pop()
        scene = random_scene(rng)._replace(shape=shape, colour=colour)
        language = rng.choice(KEPT_LANGUAGES)
        yield Pair(scene, describe(scene, language, rng), language)


def write_shards(folder: Path, count: int, seed: int, per_shard: int = 2_000, processes: int = 2) -> None:
    """`{key}.jpg`, `{key}.txt` and `{key}.json` in tars, and `sizes.json` with the number of samples in each."""
    folder.mkdir(parents=True, exist_ok=True)
    all_pairs = list(pairs(count, seed))
    jobs = [
        (folder / f"{first // per_shard:05d}.tar", first, all_pairs[first : first + per_shard])
        for first in range(0, count, per_shard)
    ]
    with ProcessPoolExecutor(processes) as pool:
        sizes = dict(pool.map(_write_shard, jobs))
    (folder / "sizes.json").write_text(json.dumps(sizes, indent=1))


def _write_shard(job: tuple[Path, int, list[Pair]]) -> tuple[str, int]:
    path, first, members = job
    with tarfile.open(path, "w") as tar:
        for number, pair in enumerate(members, first):
            about = {"key": f"{number:08d}", "language": pair.language, **pair.scene._asdict()}
            _add(tar, f"{number:08d}.jpg", encode(_small(draw(pair.scene))))
            _add(tar, f"{number:08d}.txt", pair.caption.encode())
            _add(tar, f"{number:08d}.json", json.dumps(about).encode())
    return path.name, len(members)


def _small(image: Image.Image) -> Image.Image:
    scale = SMALL_SIDE / min(image.size)
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
