"""How often the right caption is found for an image, and the right image for a caption. Pure numpy."""

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass, field
from math import comb
from typing import Any

import numpy as np

TOP = (1, 5, 10)
BLOCK_ROWS = 1024


@dataclass(frozen=True)
class Retrieval:
    """Recall at 1, 5, 10 (shares, 0..1) and what guessing would reach. `images`, `texts`: how many there were."""

    images: int
    texts: int  # distinct captions
    image_to_text: dict[str, float] = field(default_factory=dict)
    image_to_text_chance: dict[str, float] = field(default_factory=dict)
    text_to_image: dict[str, float] = field(default_factory=dict)
    text_to_image_chance: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def summary(self) -> str:
        """One line for people."""
        ways = (("image to text", self.image_to_text, self.image_to_text_chance),
                ("text to image", self.text_to_image, self.text_to_image_chance))  # fmt: skip
        shown = [f"{name} " + ", ".join(f"R@{k} {v:.3f} (chance {chance[k]:.3f})" for k, v in recall.items())
                 for name, recall, chance in ways]  # fmt: skip
        return f"{self.images} images, {self.texts} distinct captions; " + "; ".join(shown)


def retrieval_of(images: np.ndarray, texts: np.ndarray, captions: Sequence[Hashable]) -> Retrieval:
    """`images`, `texts`: (n, dim) unit vectors of the pairs; `captions`: (n,) what makes two texts the same.

    Equal captions are one text, and each of its images is a right answer. Ties count against the model, so that one
    that answers everything alike finds nothing.
    """
    first: dict[Hashable, int] = {}
    for place, caption in enumerate(captions):
        first.setdefault(caption, place)
    number = {caption: n for n, caption in enumerate(first)}
    label = np.array([number[c] for c in captions])  # (n,) which distinct text is an image's own
    distinct = texts[list(first.values())]  # (m, dim)
    to_text = ranks_of_texts(images, distinct, label)
    to_image = ranks_of_images(images, distinct, label)
    owners = np.bincount(label)  # (m,) images a text
    return Retrieval(
        len(images), len(distinct), recall(to_text), {str(k): min(1.0, k / len(distinct)) for k in TOP},
        recall(to_image), {str(k): float(np.mean([chance(len(images), int(o), k) for o in owners])) for k in TOP},
    )  # fmt: skip


def ranks_of_texts(images: np.ndarray, texts: np.ndarray, label: np.ndarray) -> np.ndarray:
    """(n,) how many wrong texts are at least as similar to an image as its own."""
    ranks = []
    for first in range(0, len(images), BLOCK_ROWS):
        part = slice(first, first + BLOCK_ROWS)
        scores = images[part] @ texts.T  # (b, m)
        own = scores[np.arange(len(scores)), label[part]]
        ranks.append((scores >= own[:, None]).sum(1) - 1)
    return np.concatenate(ranks)


def ranks_of_images(images: np.ndarray, texts: np.ndarray, label: np.ndarray) -> np.ndarray:
    """(m,) how many wrong images are at least as similar to a text as the best of its own."""
    ranks = []
    for first in range(0, len(texts), BLOCK_ROWS):
        scores = texts[first : first + BLOCK_ROWS] @ images.T  # (b, n)
        right = label[None] == np.arange(first, first + len(scores))[:, None]
        best = np.where(right, scores, -np.inf).max(1)
        ranks.append(((scores >= best[:, None]) & ~right).sum(1))
    return np.concatenate(ranks)


def recall(ranks: np.ndarray) -> dict[str, float]:
    return {str(k): float((ranks < k).mean()) for k in TOP}


def chance(count: int, right: int, k: int) -> float:
    """Probability that `k` of `count` images, drawn blindly, hold one of the `right` ones."""
    return 1.0 - comb(count - right, k) / comb(count, k) if count >= k else 1.0
