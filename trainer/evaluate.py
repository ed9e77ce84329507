"""Figures of a model on shards: retrieval both ways, and zero-shot classification, each beside chance."""

import argparse
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trainer.data import load_pairs
from trainer.errors import ShardError
from trainer.model import Clip, load_clip

RANKS = (1, 5, 10)
BATCH = 256
DERIVED_CLASSES = 20  # where no file names classes: the captions' own words
_WORD = re.compile(r"[^\W\d_]{3,}")


class ClassOf(NamedTuple):
    """A class of the zero-shot test: how it is asked for, and by which words a caption tells that it is there."""

    name: str
    prompts: tuple[str, ...]
    words: tuple[str, ...]


def evaluate(
    model: str, shards: str, classes: str | None = None, *, limit: int = 5_000, seed: int = 0, device: str = "auto"
) -> dict[str, Any]:
    """{"samples", "retrieval": {...}, "zero_shot": {...}}. Raises ModelError and ShardError."""
    clip = load_clip(model, device=device)
    pairs = load_pairs(shards, clip.image_size, limit, seed)
    images = embed_images(clip, pairs.pixels)
    figures: dict[str, Any] = {"model": str(model), "samples": len(pairs.keys)}
    figures["retrieval"] = retrieval(clip, pairs.pixels, pairs.texts)
    known = read_classes(classes) if classes else derived_classes(pairs.texts)
    figures["zero_shot"] = zero_shot(clip, images, pairs.texts, known)
    return figures


def embed_images(clip: Clip, pixels: np.ndarray) -> np.ndarray:
    """(n, 3, s, s) uint8 → (n, dim)."""
    return np.concatenate([clip.encode_images(pixels[i : i + BATCH]) for i in range(0, len(pixels), BATCH)])


def embed_texts(clip: Clip, texts: Sequence[str]) -> np.ndarray:
    """n texts → (n, dim)."""
    parts = [clip.encode_texts(clip.tokenize(list(texts[i : i + BATCH]))) for i in range(0, len(texts), BATCH)]
    return np.concatenate(parts)


def retrieval(clip: Clip, pixels: np.ndarray, texts: Sequence[str]) -> dict[str, float]:
    """Recall at 1, 5 and 10 both ways, with chance. Samples with equal texts are right answers for each other."""
    similarities = embed_images(clip, pixels) @ embed_texts(clip, texts).T  # (n, n)
    groups = np.unique(np.array(texts, dtype=object).astype(str), return_inverse=True)[1]
    same = groups[:, None] == groups[None, :]
    figures = {f"image_to_text_r{k}": recall(similarities, same, k) for k in RANKS}
    figures |= {f"text_to_image_r{k}": recall(similarities.T, same, k) for k in RANKS}
    return figures | {f"chance_r{k}": round(min(1.0, k * float(same.mean())), 4) for k in RANKS}


def recall(similarities: np.ndarray, same: np.ndarray, k: int) -> float:
    """The share of rows with a right answer among their k highest columns."""
    k = min(k, similarities.shape[1])
    top = np.argpartition(-similarities, k - 1, axis=1)[:, :k]
    return round(float(np.take_along_axis(same, top, axis=1).any(axis=1).mean()), 4)


def read_classes(path: str) -> list[ClassOf]:
    """Classes of a JSON file: a list of {"name", "prompts", "words"}. Raises ShardError."""
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
        return [ClassOf(e["name"], tuple(e["prompts"]), tuple(e["words"])) for e in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ShardError(
            f'{path}: expected a JSON list of {{"name", "prompts": [...], "words": [...]}}: {error!r}'
        ) from error


def derived_classes(texts: Sequence[str]) -> list[ClassOf]:
    """The most frequent words that stand in 1 to 50 % of the captions, each a class of its own."""
    counts = Counter(word for text in texts for word in set(_WORD.findall(text.casefold())))
    usual = [w for w, n in sorted(counts.items(), key=lambda e: (-e[1], e[0])) if 0.01 <= n / len(texts) <= 0.5]
    return [ClassOf(word, (word, f"a picture of {word}"), (word,)) for word in usual[:DERIVED_CLASSES]]


def labels_of(texts: Sequence[str], classes: Sequence[ClassOf]) -> np.ndarray:
    """(n,) the number of the one class whose words stand in a text; -1 where it is none or several."""
    found = [[i for i, c in enumerate(classes) if mentions(text.casefold(), c.words)] for text in texts]
    return np.array([f[0] if len(f) == 1 else -1 for f in found])


def mentions(text: str, words: Sequence[str]) -> bool:
    """Whole words; in scripts without spaces, parts of the text."""
    for word in (w.casefold() for w in words):
        pattern = rf"\b{re.escape(word)}\b" if word.isascii() or not _is_unspaced(word) else re.escape(word)
        if re.search(pattern, text):
            return True
    return False


def _is_unspaced(word: str) -> bool:
    return any("\u0e00" <= c <= "\u0eff" or "\u3040" <= c <= "\u9fff" for c in word)


def zero_shot(clip: Clip, images: np.ndarray, texts: Sequence[str], classes: Sequence[ClassOf]) -> dict[str, Any]:
    """Top-1 accuracy by the mean of each class's prompts, with the accuracy of guessing the commonest class."""
    labels = labels_of(texts, classes)
    known = labels >= 0
    if len(classes) < 2 or not known.any():
        return {"classes": len(classes), "samples": 0}
    weights = np.stack([embed_texts(clip, c.prompts).mean(axis=0) for c in classes])  # (classes, dim)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    right = (images[known] @ weights.T).argmax(axis=1) == labels[known]
    chance = np.bincount(labels[known]).max() / known.sum()
    return {"classes": len(classes), "samples": int(known.sum()), "top1": round(float(right.mean()), 4),
            "chance": round(float(chance), 4)}  # fmt: skip


def main(args: argparse.Namespace) -> int:
    figures = evaluate(args.model, args.shards, args.classes, limit=args.limit, seed=args.seed, device=args.device)
    print(f"{figures['samples']:,} samples")
    for name in ("retrieval", "zero_shot"):
        print(f"{name:<10} " + "  ".join(f"{key} {value}" for key, value in figures[name].items()))
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=2) + "\n")
    return 0
