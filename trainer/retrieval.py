"""How often the right caption is found for an image, and the right image for a caption. Pure numpy."""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass, field
from math import comb
from typing import Any

import numpy as np

from trainer.errors import InputError

TOP = (1, 5, 10)
SURE = 3.09  # standard deviations
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

    def beats_chance(self) -> bool:
        """Whether R@1 is above chance both ways: by 3.09 standard deviations of a blind guesser's share of hits (the
        one-sided 0.1 % of the normal approximation to the binomial)."""
        ways = ((self.images, self.image_to_text, self.image_to_text_chance),
                (self.texts, self.text_to_image, self.text_to_image_chance))  # fmt: skip
        return all(
            recall["1"] > blind["1"] + SURE * math.sqrt(blind["1"] * (1 - blind["1"]) / count)
            for count, recall, blind in ways
        )

    def summary(self) -> str:
        """One line for people."""
        ways = (("image to text", self.image_to_text, self.image_to_text_chance),
                ("text to image", self.text_to_image, self.text_to_image_chance))  # fmt: skip
        shown = [f"{name} " + ", ".join(f"R@{k} {v:.3f} (chance {chance[k]:.3f})" for k, v in recall.items())
                 for name, recall, chance in ways]  # fmt: skip
        return f"{self.images} images, {self.texts} distinct captions; " + "; ".join(shown)


def retrieval_of(images: np.ndarray, texts: np.ndarray, captions: Sequence[Hashable]) -> Retrieval:
    """`images`, `texts`: (n, dim) unit vectors of the pairs; `captions`: (n,) what makes two texts the same.

    Equal captions are one text, and each of its images is a right answer. Among equal similarities the order is drawn
    blindly and the mean over all draws counts, so that a model that answers everything alike is exactly at chance.
    Raises InputError where a vector is not finite.
    """
    if not (np.isfinite(images).all() and np.isfinite(texts).all()):
        raise InputError("embeddings that are not finite cannot be compared: use another model")
    first: dict[Hashable, int] = {}
    for index, caption in enumerate(captions):
        first.setdefault(caption, index)
    number = {caption: n for n, caption in enumerate(first)}
    label = np.array([number[c] for c in captions])  # (n,) which distinct text is an image's own
    distinct = texts[list(first.values())]  # (m, dim)
    owned = label[None] == np.arange(len(distinct))[:, None]  # (m, n) which images are a text's own
    to_text = found_within(images, distinct, lambda part: owned.T[part])
    to_image = found_within(distinct, images, lambda part: owned[part])
    owners = np.bincount(label)  # (m,) images a text
    return Retrieval(
        len(images), len(distinct), to_text, {str(k): min(1.0, k / len(distinct)) for k in TOP},
        to_image, {str(k): float(np.mean([chance(len(images), int(o), k) for o in owners])) for k in TOP},
    )  # fmt: skip


def found_within(queries: np.ndarray, answers: np.ndarray,
                 right_of: Callable[[slice], np.ndarray]) -> dict[str, float]:  # fmt: skip
    """Recall at 1, 5, 10: how often a right answer is among the k most similar ones.

    `queries`: (q, dim); `answers`: (a, dim); `right_of(rows)`: (b, a) which answers are right for these queries.
    """
    hits = dict.fromkeys(TOP, 0.0)
    for first in range(0, len(queries), BLOCK_ROWS):
        part = slice(first, first + BLOCK_ROWS)
        right = right_of(part)
        # Equal vectors may differ in the last bits of their products: a millionth is no difference.
        scores = np.round(queries[part] @ answers.T, 6)  # (b, a)
        best = np.where(right, scores, -np.inf).max(1, keepdims=True)  # of the right ones
        above = (scores > best).sum(1)
        tied = (scores == best).sum(1)
        right_tied = ((scores == best) & right).sum(1)
        for k in TOP:
            hits[k] += sum(
                chance(int(t), int(r), k - int(a)) if a < k else 0.0
                for a, t, r in zip(above, tied, right_tied, strict=True)
            )
    return {str(k): hits[k] / len(queries) for k in TOP}


def chance(count: int, right: int, k: int) -> float:
    """Probability that `k` of `count` images, drawn blindly, hold one of the `right` ones."""
    return 1.0 - comb(count - right, k) / comb(count, k) if count >= k else 1.0
