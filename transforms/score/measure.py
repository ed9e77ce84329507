"""Scores one part of `images/`: every caption of every image, in batches of one shape. No Beam.

A score must not depend on where it is computed, so batches are formed within one part, in its order, and padded.
"""

import io
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from PIL import Image as Picture

from trainer.model import Clip
from transforms import run_dir, storage
from transforms.formats import parquet
from transforms.records import Image, Score
from transforms.score.settings import ScoreSettings


def score_part(run: str, stem: str, clip: Clip, settings: ScoreSettings) -> int:
    """Write `scores/<stem>.parquet`; returns the number of scores. Raises StorageError."""
    rows = list(parquet.read_rows(run_dir.image_rows(run, stem), Image))
    images = [row for row in rows if row.status == "success"]
    pictures = embed_images(run, images, clip, settings.batch_images)  # (images, dim)
    texts = embed_texts([c.text for i in images for c in i.captions], clip, settings.batch_texts)  # (captions, dim)
    scores = list(_scores(images, pictures, texts, settings.label))
    if settings.embeddings:
        _publish_array(run_dir.embeddings(run, stem, "image"), pictures)
        _publish_array(run_dir.embeddings(run, stem, "text"), texts)
    parquet.write_rows(run_dir.score_rows(run, stem), Score, scores)
    return len(scores)


def _scores(images: Sequence[Image], pictures: np.ndarray, texts: np.ndarray, label: str) -> Iterator[Score]:
    index = 0
    for image, picture in zip(images, pictures, strict=True):
        for caption in image.captions:
            similarity = round(float(picture @ texts[index]), 6)
            yield Score(image.uid, caption.id, label, similarity)
            index += 1


def batches(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def padded(batch: np.ndarray, size: int) -> np.ndarray:
    """(n, ...) → (size, ...) with zeros behind: a model's last bits change with the batch size."""
    if len(batch) == size:
        return batch
    return np.concatenate([batch, np.zeros((size - len(batch), *batch.shape[1:]), batch.dtype)])


def embed_images(run: str, images: Sequence[Image], clip: Clip, size: int) -> np.ndarray:
    """(n, dim) float32 unit vectors, in the order of `images`."""
    done = []
    for batch in batches(images, size):
        pixels = np.stack([clip.preprocess(read_picture(run, image)) for image in batch])  # (n, 3, s, s) uint8
        done.append(clip.encode_images(padded(pixels, size))[: len(batch)])
    return np.concatenate(done) if done else np.zeros((0, clip.dim), np.float32)


def read_picture(run: str, image: Image) -> Picture.Image:
    assert image.tar is not None
    assert image.offset is not None
    assert image.length is not None
    data = storage.read_range(run_dir.image_tar(run, image.tar), image.offset, image.length)
    return Picture.open(io.BytesIO(data)).convert("RGB")


def embed_texts(texts: Sequence[str], clip: Clip, size: int) -> np.ndarray:
    """(n, dim) float32 unit vectors; each distinct text is embedded once."""
    distinct = sorted(set(texts))
    done = [clip.encode_texts(padded(clip.tokenize(b), size))[: len(b)] for b in batches(distinct, size)]
    if not done:
        return np.zeros((0, clip.dim), np.float32)
    index_of = {text: number for number, text in enumerate(distinct)}
    return np.concatenate(done)[[index_of[text] for text in texts]]


def _publish_array(path: str, array: np.ndarray) -> None:
    with storage.publishing(path) as file:
        np.save(file, array.astype(np.float16))
