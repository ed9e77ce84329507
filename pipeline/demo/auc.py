"""How well a scorer separates true captions from wrong ones, on fresh pictures of the demo's kind."""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from pipeline.demo.captions import describe, hard_swap, random_swap
from pipeline.demo.pictures import draw, random_scene
from pipeline.demo.words import KEPT_LANGUAGES

# Similarities of pairs: (pictures, as many captions) -> as many numbers
Scorer = Callable[[Sequence[Image.Image], Sequence[str]], np.ndarray]


class Aucs(NamedTuple):
    """Areas under the curve, true against wrong captions, over all pictures and for each language."""

    random: dict[str, float]
    hard: dict[str, float]


class Similarities(NamedTuple):
    """What a scorer measured on the same pictures. Each (pictures,)."""

    languages: list[str]
    true: np.ndarray
    random: np.ndarray
    hard: np.ndarray


def measure(scorer: Scorer, pictures: int, seed: int) -> Similarities:
    """Score true, randomly swapped and hard swapped captions of `pictures` fresh pictures."""
    rng = random.Random(f"auc {seed}")
    scenes = [random_scene(rng) for _ in range(pictures)]
    languages = [KEPT_LANGUAGES[i % len(KEPT_LANGUAGES)] for i in range(pictures)]
    images = [draw(scene) for scene in scenes]
    scores = [
        scorer(images, [caption(scene, language, rng) for scene, language in zip(scenes, languages, strict=True)])
        for caption in (describe, random_swap, hard_swap)
    ]
    return Similarities(languages, *scores)


def aucs(found: Similarities) -> Aucs:
    """The areas, with the key "all" beside the languages."""
    of = np.array(found.languages)
    groups = {"all": np.ones(len(of), bool), **{name: of == name for name in KEPT_LANGUAGES}}
    return Aucs(
        {name: auc(found.true[where], found.random[where]) for name, where in groups.items()},
        {name: auc(found.true[where], found.hard[where]) for name, where in groups.items()},
    )


def auc(true: np.ndarray, wrong: np.ndarray) -> float:
    """The share of (true, wrong) pairs in which the true one scores higher; ties count half."""
    below = np.searchsorted(np.sort(wrong), true, "left") + np.searchsorted(np.sort(wrong), true, "right")
    return float(below.mean() / 2 / len(wrong))
