"""Samples and texts to embeddings, in batches of one shape."""

from collections.abc import Iterator, Sequence

import numpy as np

from trainer.data import Pictures, Sample
from trainer.model import Clip

BATCH = 256
CHUNK = 1024  # samples decoded at a time


def embed_texts(clip: Clip, texts: Sequence[str]) -> np.ndarray:
    """(n, dim) float32 unit vectors."""
    parts = [clip.encode_texts(clip.tokenize(texts[i : i + BATCH])) for i in range(0, len(texts), BATCH)]
    return np.concatenate(parts) if parts else np.zeros((0, clip.dim), np.float32)


def embed_pictures(clip: Clip, pictures: Pictures) -> np.ndarray:
    """(n, dim) float32 unit vectors."""
    places = np.arange(len(pictures))
    parts = [clip.encode_images(pictures.batch(places[i : i + BATCH])) for i in range(0, len(places), BATCH)]
    return np.concatenate(parts) if parts else np.zeros((0, clip.dim), np.float32)


def embedded_chunks(clip: Clip, samples: Sequence[Sample], threads: int) -> Iterator[tuple[list[Sample], np.ndarray]]:
    """(samples that decode, their (n, dim) embeddings), a chunk at a time."""
    for first in range(0, len(samples), CHUNK):
        pictures = Pictures(samples[first : first + CHUNK], clip, threads)
        yield pictures.samples, embed_pictures(clip, pictures)
