"""Trains a CLIP on finished shards: symmetric cross-entropy over the pairs of a batch (Radford et al., 2021).

Two departures for small data, both settings: pairs of a batch with equal captions are not held against each other, and
images are shifted by a few pixels. Nothing is mirrored unless asked: captions say left and right.
"""

import argparse
import json
import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.data import Pictures, batches_of, caption_of, find_samples, is_held_out
from trainer.embed import BATCH
from trainer.errors import Diverged, InputError, ModelError
from trainer.files import writable_folder
from trainer.model import (
    Clip,
    autocast,
    check_finite,
    config_named,
    create_clip,
    device_of,
    load_clip,
    save_clip,
    set_threads,
)
from trainer.retrieval import Retrieval, retrieval_of

if TYPE_CHECKING:
    import torch

MAX_LOGIT_SCALE = math.log(100)  # Radford et al., 2021
MIN_SAMPLES = 2
MAX_HELD_OUT = 5_000  # samples that the figures at the end are taken from


@dataclass(frozen=True)
class TrainSettings:
    """How to train. What is None follows from the data or the machine."""

    model: str = "tiny"  # an architecture of trainer/configs or open_clip, a JSON file, a folder
    init: str = ""  # a model to start from; its architecture then counts
    steps: int | None = None  # 2,000 where neither steps, epochs nor seconds say how long
    epochs: float | None = None
    max_seconds: float | None = None  # the schedule then follows the clock, and runs differ
    batch: int = 64  # small batches and more steps beat large batches on small data
    lr: float = 1e-3
    weight_decay: float = 0.1
    warmup: float = 0.05  # share of the steps
    seed: int = 0
    threads: int = 0  # 0: torch's own number
    device: str = "auto"
    shift: float = 0.06  # largest shift of an image, as a share of its side
    flip: bool = False
    held_out: float = 0.05  # share of the samples, by key
    mask_equal_captions: bool = True
    log_every: int = 50  # steps
    cache_bytes: int = 4 << 30
    dtype: str = "fp16"  # of the written weights


class Schedule:
    """How far training is, 0..1, by steps and by the clock; linear warm-up, then cosine to zero."""

    def __init__(self, settings: TrainSettings, samples: int) -> None:
        self.steps = steps_of(settings, samples)
        self._seconds, self._settings = settings.max_seconds, settings
        self._started = time.monotonic()

    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    def progress(self, step: int) -> float:
        by_clock = self.elapsed_s() / self._seconds if self._seconds else 0.0
        return max(step / self.steps if self.steps else 0.0, by_clock)

    def lr(self, progress: float) -> float:
        warmup = self._settings.warmup
        if progress < warmup:
            return self._settings.lr * max(progress / warmup, 0.01)
        return self._settings.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - warmup) / (1 - warmup))))


def steps_of(settings: TrainSettings, samples: int) -> int | None:
    """How many steps to take; None where only the clock decides."""
    if settings.epochs is not None:
        return max(1, round(settings.epochs * samples / min(settings.batch, samples)))
    if settings.steps is None and settings.max_seconds is None:
        return 2_000
    return settings.steps


def train(shards: str | Path, out: str | Path, settings: TrainSettings | None = None) -> dict[str, Any]:
    """Train on a folder of shards; write the model's folder and `train.json`; return what `train.json` holds.

    Training that comes to values that are not finite ends with Diverged; the weights of the last good step are written
    then, and `train.json` names that step.
    Raises ModelError, ShardError, InputError, the last before any work where `out` cannot be written; OSError.
    """
    import torch

    settings = settings or TrainSettings()
    check(settings)
    out = writable_folder("--out", out)
    if settings.threads:
        set_threads(settings.threads)
    clip = start(settings)
    pictures = Pictures(find_samples(shards), clip, torch.get_num_threads(), settings.cache_bytes)
    learn, held = split(pictures, settings.held_out)
    print(f"{len(learn)} samples to learn from, {len(held)} held out, {pictures.broken} images do not decode; "
          f"{parameters(clip):,} parameters on {clip.device}", flush=True)  # fmt: skip
    tokens = clip.tokenize([caption_of(s) for s in pictures.samples])  # (n, context)
    good = LastGood(clip)
    diverged = None
    log = Log(settings.log_every, Schedule(settings, len(learn)))
    try:
        learn_pairs(clip, pictures, tokens, learn, settings, log, good)
        save_clip(clip, out, settings.dtype)
    except (Diverged, ModelError) as error:  # the weights may be finite, and too large for their type on disk
        diverged = str(error)
        good.restore()
        save_clip(clip, out, settings.dtype)
    curve, seconds, steps = log.curve, log.elapsed_s(), good.step if diverged else log.step
    result = {
        "settings": asdict(settings), "samples": len(learn), "held_out": len(held), "undecodable": pictures.broken,
        "parameters": parameters(clip), "device": clip.device, "steps": steps, "seconds": round(seconds, 1),
        "pairs_per_s": round(steps * min(settings.batch, len(learn)) / max(seconds, 1e-9), 1),
        "first_loss": curve[0]["loss"] if curve else None, "last_loss": curve[-1]["loss"] if curve else None,
        "loss": curve, "diverged": diverged,
        "held_out_retrieval": held_out_figures(clip, pictures, tokens, held),
    }  # fmt: skip
    (Path(out) / "train.json").write_text(json.dumps(result, indent=2, allow_nan=False) + "\n")
    if diverged is not None:
        advice = f"try a lower --lr than {settings.lr:g}"
        raise Diverged(f"{diverged}; {out} holds the weights after step {good.step}; {advice}")
    return result


def check(settings: TrainSettings) -> None:
    """Raises InputError."""
    if settings.batch < MIN_SAMPLES:
        raise InputError(f"batch = {settings.batch}: a contrastive batch needs at least {MIN_SAMPLES} pairs")
    for name in ("steps", "epochs", "max_seconds", "lr"):
        value = getattr(settings, name)
        if value is not None and not 0 < value < math.inf:
            raise InputError(f"{name} = {value}: expected a number above 0")
    if not 0 <= settings.held_out < 1:
        raise InputError(f"held_out = {settings.held_out}: expected a share from 0 to below 1")


def start(settings: TrainSettings) -> Clip:
    """A model with seeded random weights, or the one to go on from."""
    device = device_of(settings.device)
    if settings.init:
        return load_clip(settings.init, device=device)
    return create_clip(config_named(settings.model), device=device, seed=settings.seed)


def parameters(clip: Clip) -> int:
    return sum(p.numel() for p in clip.model.parameters())


def split(pictures: Pictures, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Places to learn from, and places held out. Raises InputError."""
    held = np.array([is_held_out(s.key, share) for s in pictures.samples], bool)
    learn = np.flatnonzero(~held)
    if len(learn) < MIN_SAMPLES:
        raise InputError(
            f"{len(learn)} samples are too few to train on: at least {MIN_SAMPLES} decodable ones are needed"
        )
    return learn, np.flatnonzero(held)


class LastGood:
    """The weights that gave the last finite loss, looked at now and then."""

    def __init__(self, clip: Clip) -> None:
        self._model = clip.model
        self.keep(0)

    def keep(self, step: int) -> None:
        """The weights as they are after `step` steps."""
        self.step = step
        self._state = {name: weights.detach().clone() for name, weights in self._model.state_dict().items()}

    def restore(self) -> None:
        self._model.load_state_dict(self._state)
        self._model.eval()


def learn_pairs(clip: Clip, pictures: Pictures, tokens: np.ndarray, learn: np.ndarray,
                settings: TrainSettings, log: "Log", good: LastGood) -> None:  # fmt: skip
    """The loop. Raises Diverged at the first step whose loss or gradient is not finite; ModelError where, at the end,
    a weight is not."""
    import torch

    torch.manual_seed(settings.seed)
    rng = np.random.default_rng([settings.seed, 1])
    optimizer = optimizer_of(clip, settings)
    schedule = log.schedule
    clip.model.train()
    clip.model.to(memory_format=torch.channels_last)  # 1.3 to 1.5 times faster convolutions
    step = 0
    for places in batches_of(len(learn), settings.batch, settings.seed):
        progress = schedule.progress(step)
        if progress >= 1 and step > 0:
            break
        for group in optimizer.param_groups:
            group["lr"] = schedule.lr(progress)
        images = augmented(pictures.batch(learn[places]), rng, settings)
        loss, change = gradient(clip, optimizer, images, tokens[learn[places]], settings)
        if not math.isfinite(loss) or not math.isfinite(change):
            raise Diverged(f"step {step + 1}: the loss is {loss}, its gradient {change}")
        if step and step % settings.log_every == 0:
            good.keep(step)
        take_step(clip, optimizer)
        step += 1
        log.add(step, loss, len(places))
    clip.model.eval()
    log.finish(step)
    check_finite(clip.model.state_dict(), f"step {step}")


def optimizer_of(clip: Clip, settings: TrainSettings) -> "torch.optim.Optimizer":
    """AdamW with CLIP's betas; gains, biases and the logit scale do not decay."""
    import torch

    named = [(n, p) for n, p in clip.model.named_parameters() if p.requires_grad]
    flat = [p for n, p in named if p.ndim < 2 or "logit_scale" in n]
    deep = [p for n, p in named if not (p.ndim < 2 or "logit_scale" in n)]
    groups = [{"params": deep, "weight_decay": settings.weight_decay}, {"params": flat, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.lr, betas=(0.9, 0.98), eps=1e-6, fused=True)


def augmented(images: np.ndarray, rng: np.random.Generator, settings: TrainSettings) -> np.ndarray:
    """(n, 3, s, s) uint8, each image shifted by a few pixels, its edge repeated; mirrored where asked."""
    side = images.shape[-1]
    reach = int(settings.shift * side)
    if reach:
        wide = np.pad(images, ((0, 0), (0, 0), (reach, reach), (reach, reach)), mode="edge")
        tops, lefts = rng.integers(0, 2 * reach + 1, (2, len(images)))
        images = np.stack([w[:, t : t + side, x : x + side] for w, t, x in zip(wide, tops, lefts, strict=True)])
    if settings.flip:
        mirrored = rng.random(len(images)) < 0.5
        images = np.where(mirrored[:, None, None, None], images[..., ::-1], images)
    return np.ascontiguousarray(images)


def gradient(clip: Clip, optimizer: "torch.optim.Optimizer", images: np.ndarray, tokens: np.ndarray,
             settings: TrainSettings) -> tuple[float, float]:  # fmt: skip
    """(loss, length of its gradient before it is clipped to 1); the gradient is left in the weights."""
    import torch

    model: Any = clip.model
    pixels = torch.from_numpy(images).to(clip.device, non_blocking=True)
    words = torch.from_numpy(tokens).to(clip.device, non_blocking=True)
    with autocast(clip.device, "bf16" if clip.device.startswith("cuda") else "fp32"):
        inputs = clip.normalise(pixels).contiguous(memory_format=torch.channels_last)
        picture = torch.nn.functional.normalize(model.encode_image(inputs).float(), dim=-1)
        text = torch.nn.functional.normalize(encode_words(model, words).float(), dim=-1)
    loss = contrastive_loss(picture, text, model.logit_scale.exp(), words if settings.mask_equal_captions else None)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    length = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    return float(loss.detach()), float(length)


def take_step(clip: Clip, optimizer: "torch.optim.Optimizer") -> None:
    import torch

    optimizer.step()
    with torch.no_grad():
        clip.model.logit_scale.clamp_(0, MAX_LOGIT_SCALE)  # type: ignore[operator]


def contrastive_loss(picture: "torch.Tensor", text: "torch.Tensor", scale: "torch.Tensor",
                     words: "torch.Tensor | None" = None) -> "torch.Tensor":  # fmt: skip
    """Mean of the cross-entropies image → text and text → image. `picture`, `text`: (n, dim) unit vectors.
    `words`: (n, context) tokens; a text equal to an image's own is then no wrong answer."""
    import torch

    logits = scale * picture @ text.T  # (n, n)
    own = torch.arange(len(logits), device=logits.device)
    if words is not None:
        equal = (words[:, None] == words[None]).all(-1)
        equal.fill_diagonal_(False)
        logits = logits.masked_fill(equal, -1e4)
    entropy = torch.nn.functional.cross_entropy
    return (entropy(logits, own) + entropy(logits.T, own)) / 2


def encode_words(model: Any, words: "torch.Tensor") -> "torch.Tensor":
    """(n, dim). The same as `encode_text`, without the padding behind the longest text where causal attention cannot
    see it: captions are short, contexts are long."""
    import open_clip
    from open_clip.transformer import text_global_pool

    if not isinstance(model, open_clip.CLIP) or model.text_pool_type != "argmax" or model.attn_mask is None:
        return model.encode_text(words)
    length = int((words != 0).sum(-1).max())
    words = words[:, :length]
    kind = model.transformer.get_cast_dtype()
    x = model.token_embedding(words).to(kind) + model.positional_embedding[:length].to(kind)
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length]))
    x = text_global_pool(x, words, model.text_pool_type)
    projection = model.text_projection
    if projection is None:
        return x
    return projection(x) if callable(projection) else x @ projection


class Log:
    """Prints the mean loss of the last steps, and keeps the curve."""

    def __init__(self, every: int, schedule: Schedule) -> None:
        self._every, self.schedule = max(1, every), schedule
        self._losses: list[float] = []
        self.curve: list[dict[str, float]] = []
        self.step = 0
        self._pairs = 0

    def elapsed_s(self) -> float:
        return self.schedule.elapsed_s()

    def add(self, step: int, loss: float, pairs: int) -> None:
        self.step = step
        self._losses.append(loss)
        self._pairs += pairs
        if step == 1 or step % self._every == 0:
            self._print(step)

    def _print(self, step: int) -> None:
        mean = sum(self._losses) / len(self._losses)
        of = f"/{self.schedule.steps}" if self.schedule.steps else ""
        rate = self._pairs / max(self.elapsed_s(), 1e-9)
        print(f"step {step}{of}  loss {mean:.4f}  {rate:.0f} pairs/s", flush=True)
        self.curve.append({"step": step, "loss": round(mean, 6)})
        self._losses = []

    def finish(self, step: int) -> None:
        if self._losses:
            self._print(step)


def held_out_figures(clip: Clip, pictures: Pictures, tokens: np.ndarray, held: np.ndarray) -> dict[str, Any] | None:
    """Retrieval among the held-out samples, with its chance level; None where fewer than two are held out."""
    if len(held) < MIN_SAMPLES:
        return None
    held = held[:MAX_HELD_OUT]
    parts = [held[i : i + BATCH] for i in range(0, len(held), BATCH)]
    images = np.concatenate([clip.encode_images(pictures.batch(part)) for part in parts])
    texts = np.concatenate([clip.encode_texts(tokens[part]) for part in parts])
    return retrieval_of(images, texts, [tokens[i].tobytes() for i in held]).as_dict()


def settings_from(args: argparse.Namespace) -> TrainSettings:
    """The settings that were given on the command line, over the defaults."""
    given = {k: v for k, v in vars(args).items() if k in TrainSettings.__dataclass_fields__ and v is not None}
    return replace(TrainSettings(), **given)


def main(args: argparse.Namespace) -> int:
    """`pairmill train SHARDS --out MODEL`. Returns the exit code."""
    result = train(args.shards, args.out, settings_from(args))
    print(f"loss {result['first_loss']:.3f} → {result['last_loss']:.3f} in {result['steps']} steps, "
          f"{result['seconds']:.0f} s")  # fmt: skip
    if result["held_out_retrieval"]:
        print("held out: " + Retrieval(**result["held_out_retrieval"]).summary())
    print(f"model  {args.out}")
    return 0
