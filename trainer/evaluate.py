"""Figures of a model on shards: retrieval both ways and zero-shot classification, each beside what guessing reaches."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainer.classes import Class, derived_classes, labels_of, read_classes
from trainer.data import Pictures, Sample, caption_of, find_samples, is_held_out, shuffled
from trainer.embed import embed_pictures, embed_texts
from trainer.errors import InputError
from trainer.files import local, writable_folder
from trainer.model import Clip, load_clip
from trainer.retrieval import Retrieval, retrieval_of

MIN_SAMPLES = 2


def evaluate(model: str, shards: str, classes: str | None = None, *, pretrained: str = "", limit: int = 5_000,
             seed: int = 0, device: str = "auto", held_out: float | None = None) -> dict[str, Any]:  # fmt: skip
    """{"model", "samples", "retrieval", "beats_chance", "zero_shot"}. Raises ModelError, ShardError, InputError.

    `classes`: a JSON file; without one, the captions' own frequent words are the classes. `limit`: samples drawn by
    `seed`. `held_out`: only the share of the samples that `train` with the same share left out.
    """
    import torch

    clip = load_clip(model, pretrained, device=device)
    samples = choose(find_samples(shards), limit, seed, held_out)
    pictures = Pictures(samples, clip, torch.get_num_threads())
    captions = [caption_of(s) for s in pictures.samples]
    images = embed_pictures(clip, pictures)  # (n, dim)
    retrieval = retrieval_of(images, embed_texts(clip, captions), captions)
    known = read_classes(classes) if classes else derived_classes(captions)
    return {
        "model": str(model),
        "shards": str(shards),
        "samples": len(pictures),
        "undecodable": pictures.broken,
        "retrieval": retrieval.as_dict(),
        "beats_chance": retrieval.beats_chance(),
        "zero_shot": {"classes_from": classes or "captions", **zero_shot(clip, images, captions, known)},
    }


def choose(samples: list[Sample], limit: int, seed: int, held_out: float | None) -> list[Sample]:
    """At most `limit` samples, in the order of the shards. Raises InputError."""
    if held_out is not None:
        samples = [s for s in samples if is_held_out(s.key, held_out)]
    if limit < MIN_SAMPLES or len(samples) < MIN_SAMPLES:
        raise InputError(
            f"{min(limit, len(samples))} samples are too few to evaluate on: expected at least {MIN_SAMPLES}"
        )
    chosen = np.sort(shuffled(len(samples), seed, 0)[:limit])
    return [samples[i] for i in chosen]


def zero_shot(clip: Clip, images: np.ndarray, captions: Sequence[str], classes: Sequence[Class]) -> dict[str, Any]:
    """Top-1 accuracy over the samples of exactly one class. A class is the mean of its prompts' embeddings.

    `chance` is the accuracy of always answering the commonest class, `uniform_chance` that of a blind guess.
    """
    labels = np.array(labels_of(captions, classes))
    known = labels >= 0
    result: dict[str, Any] = {"classes": len(classes), "samples": int(known.sum())}
    if len(classes) < MIN_SAMPLES or not known.any():
        return result | {"top1": None, "chance": None, "uniform_chance": None, "per_class": {}}
    # A class is the mean over its prompts (Radford et al., 2021, section 3.1.4).
    means = np.stack([embed_texts(clip, c.prompts).mean(axis=0) for c in classes])
    right = right_shares(images[known], means / np.linalg.norm(means, axis=1, keepdims=True), labels[known])
    commonest = np.bincount(labels[known]).max() / known.sum()
    return result | {
        "top1": float(right.mean()), "chance": float(commonest), "uniform_chance": 1 / len(classes),
        "per_class": {c.name: float(right[labels[known] == n].mean()) for n, c in enumerate(classes)
                      if (labels[known] == n).any()},
    }  # fmt: skip


def right_shares(images: np.ndarray, vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(n,) 1 where an image's own class is the nearest, its share where several are equally near, 0 elsewhere: so that
    a model that answers everything alike is exactly at chance."""
    scores = np.round(images @ vectors.T, 6)  # (n, classes)
    best = scores >= scores.max(axis=1, keepdims=True)
    return best[np.arange(len(images)), labels] / best.sum(axis=1)


def lines_of(figures: dict[str, Any]) -> list[str]:
    """The figures for people, a verdict as the last line."""
    zero = figures["zero_shot"]
    found = "nothing to measure"
    if zero["top1"] is not None:
        found = (
            f"top-1 {zero['top1']:.3f} (commonest class {zero['chance']:.3f}, blind guess {zero['uniform_chance']:.3f})"
        )
    verdict = "better than chance" if figures["beats_chance"] else "NO BETTER THAN CHANCE: this model learned nothing"
    return [
        f"retrieval  {Retrieval(**figures['retrieval']).summary()}",
        f"zero-shot  {found}; {zero['classes']} classes, {zero['samples']} samples of one of them",
        f"verdict    retrieval is {verdict}",
    ]


def main(args: argparse.Namespace) -> int:
    """`pairmill evaluate MODEL SHARDS`. Returns the exit code."""
    if args.json:
        writable_folder("the folder of --json", Path(local(args.json)).parent)
    figures = evaluate(args.model, args.shards, args.classes, pretrained=args.pretrained, limit=args.limit,
                       seed=args.seed, device=args.device, held_out=args.held_out)  # fmt: skip
    print("\n".join(lines_of(figures)))
    if args.json:
        Path(local(args.json)).write_text(json.dumps(figures, indent=2, allow_nan=False) + "\n")
    return 1 if args.must_beat_chance and not figures["beats_chance"] else 0
