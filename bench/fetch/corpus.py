"""Pictures that look like the web's to a decoder, and a list of urls for them. All from a seed."""

import io
import os
import random
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

WEB_URLS, BIG_URLS = 15_000, 500
WEB_FILES, BIG_FILES = 400, 50  # different pictures behind them
WEB_MEGAPIXELS, BIG_MEGAPIXELS = 0.4, 2.0
WEB_BYTES = 45_000  # the mean
HOSTS = 256


class Corpus(NamedTuple):
    """Files by group, in a folder that a server shows."""

    folder: Path
    names: dict[str, list[str]]  # "web", "big" -> file names

    def mean_bytes(self, group: str) -> float:
        return float(np.mean([(self.folder / name).stat().st_size for name in self.names[group]]))


def host(number: int) -> str:
    """An address of loopback: on the web almost every image is another host."""
    return f"127.9.{number // 250}.{number % 250 + 1}"


def write_corpus(folder: Path) -> Corpus:
    folder.mkdir(parents=True)
    kinds = [("web", n) for n in range(WEB_FILES)] + [("big", n) for n in range(BIG_FILES)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        names = list(pool.map(_write, [folder] * len(kinds), *zip(*kinds, strict=True)))
    return Corpus(folder, {group: [n for n in names if n.startswith(group)] for group in ("web", "big")})


def _write(folder: Path, group: str, number: int) -> str:
    rng = random.Random(f"{group} {number}")
    wanted = WEB_MEGAPIXELS if group == "web" else BIG_MEGAPIXELS
    megapixels = wanted * (rng.lognormvariate(-0.18, 0.6) if group == "web" else 1.0)
    aspect = rng.uniform(0.6, 1.7)
    width = max(80, int((megapixels * 1e6 * aspect) ** 0.5))
    picture = natural(width, max(80, int(width / aspect)), number)
    name = f"{group}-{number:04d}.jpg"
    (folder / name).write_bytes(encoded(picture, WEB_BYTES / (WEB_MEGAPIXELS * 1e6) * width * picture.height))
    return name


def natural(width: int, height: int, seed: int) -> Image.Image:
    """Noise whose power falls with the square of its frequency, as that of photographs does, in soft colours."""
    rng = np.random.default_rng(seed)
    across, down = np.fft.rfftfreq(width)[None, :], np.fft.fftfreq(height)[:, None]
    fall = 1 / np.maximum(np.hypot(across, down), 1 / max(width, height)) ** 1.1
    channels = []
    for _ in range(3):
        phase = rng.normal(size=(height, across.size)) + 1j * rng.normal(size=(height, across.size))
        channels.append(np.fft.irfft2(phase * fall, s=(height, width)))
    grey = channels[0]
    layers = np.stack([grey + 0.3 * c for c in channels], axis=-1)
    layers = (layers - layers.mean()) / layers.std() * 50 + 128
    return Image.fromarray(np.clip(layers, 0, 255).astype(np.uint8))


def encoded(picture: Image.Image, size: float) -> bytes:
    """A JPEG of about `size` bytes."""
    low, high = 20, 95
    while high - low > 1:
        quality = (low + high) // 2
        low, high = (quality, high) if len(_jpeg(picture, quality)) < size else (low, quality)
    return _jpeg(picture, low)


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def write_urls(path: Path, corpus: Corpus, scheme: str, port: int, urls: dict[str, int], hosts: int = HOSTS) -> int:
    """A table of urls and captions: each image's host is another one, until all had their turn. How many there are."""
    rows = []
    for group, count in urls.items():
        names = corpus.names[group]
        rows += [f"{scheme}://{host(n % hosts)}:{port}/{n}/{names[n % len(names)]}" for n in range(count)]
    write_table(path, rows)
    return len(rows)


def write_table(path: Path, urls: list[str]) -> None:
    """The urls in any order, with captions."""
    rows = random.Random(0).sample(urls, len(urls))
    captions = [f"picture number {n} of a list" for n in range(len(rows))]
    pq.write_table(pa.table({"url": rows, "caption": captions}), path)
