"""Makes the demo's model: pairs of another seed, `pairmill train`, and the figures that say whether it looks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.demo.auc import Aucs, Similarities, aucs, measure
from pipeline.demo.training_pairs import write_shards
from pipeline.demo.words import KEPT_LANGUAGES

PAIRS = 32_000
EPOCHS = 12  # 2,850 steps: about a quarter of an hour on two cores
BATCH = 128
LEARNING_RATE = 2e-3
TRAINING_SEED, MEASURING_SEED = 7, 4_242  # neither is a seed of a web
PICTURES = 2_000  # to measure on
SCORED_AT_ONCE = 100
LEAST_RANDOM, LEAST_HARD = 0.99, 0.90  # areas under the curve, in every language
TRUE_LOST = 0.01  # share of true captions that the suggested cut loses
CARD_NAME = "README.md"
CARD = """# The model of the demo

A small CLIP that knows drawn shapes in five languages, and nothing else. It shows that the mill works; do not score
photographs with it. Made by `make demo-model` from generated pairs. open_clip loads it as `local-dir:` and this folder.

Measured on {pictures} fresh pictures: area under the curve of true against wrong captions.

| language | another scene's caption | only the shape is wrong |
| --- | --- | --- |
{rows}

At a similarity of {cut}, {lost} of the true captions fall, {random} of another scene's, and {hard} of those with the
wrong shape.
"""


def build_model(out: Path, work: Path, pairs: int | None = None, epochs: int | None = None) -> int:
    """Train and write the model into `out`; pairs go to `work`. Returns 0, or 1 where the figures are too low."""
    write_shards(work / "pairs", pairs or PAIRS, TRAINING_SEED)
    train(work / "pairs", out, epochs or EPOCHS)
    found = measure(scorer(out), PICTURES, MEASURING_SEED)
    areas = aucs(found)
    (out / CARD_NAME).write_text(card(areas, found))
    print((out / CARD_NAME).read_text())
    return 0 if good_enough(areas) else 1


def train(shards: Path, out: Path, epochs: int) -> None:
    """What `pairmill train SHARDS --out OUT --model OUT` does: the architecture is the folder's own."""
    from trainer.train import TrainSettings
    from trainer.train import train as train_clip

    settings = TrainSettings(
        model=str(Path(__file__).parent / "model"),
        epochs=epochs,
        batch=BATCH,
        lr=LEARNING_RATE,
        threads=2,
        device="cpu",
    )
    train_clip(str(shards), str(out), settings)
    (out / "train.json").unlink()  # names folders of this machine; the card holds the figures


def scorer(model: Path):
    """A scorer for `auc.measure` by a model's folder, as the pipeline loads it."""
    from trainer.model import load_clip

    clip = load_clip(str(model), device="cpu")

    def score(images: Sequence[Image.Image], texts: Sequence[str]) -> np.ndarray:
        found = []
        for first in range(0, len(images), SCORED_AT_ONCE):
            part = slice(first, first + SCORED_AT_ONCE)
            pictures = clip.encode_images(np.stack([clip.preprocess(image) for image in images[part]]))
            captions = clip.encode_texts(clip.tokenize(texts[part]))
            found.append((pictures * captions).sum(axis=1))
        return np.concatenate(found)

    return score


def good_enough(areas: Aucs) -> bool:
    return min(areas.random.values()) >= LEAST_RANDOM and min(areas.hard.values()) >= LEAST_HARD


def cut(found: Similarities) -> float:
    """A threshold that loses one true caption in a hundred."""
    return round(float(np.quantile(found.true, TRUE_LOST)), 3)


def card(areas: Aucs, found: Similarities) -> str:
    """The model's card, with its figures."""
    threshold = cut(found)
    dropped = [float((wrong < threshold).mean()) for wrong in (found.random, found.hard)]
    rows = [f"| {name} | {areas.random[name]:.4f} | {areas.hard[name]:.4f} |" for name in ("all", *KEPT_LANGUAGES)]
    return CARD.format(
        pictures=f"{len(found.true):,}",
        rows="\n".join(rows),
        cut=threshold,
        lost=f"{TRUE_LOST:.0%}",
        random=f"{dropped[0]:.1%}",
        hard=f"{dropped[1]:.1%}",
    )
