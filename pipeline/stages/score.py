"""Stage `score`: how well image and captions agree, and what else a model measures. Frozen: a redo costs a GPU."""

import glob
import os
from typing import Any

import apache_beam as beam

from pipeline.config import content
from pipeline.context import Context
from pipeline.errors import UsageError
from pipeline.manifest import Stamp, digests_of_inputs, outputs_of
from pipeline.stages.base import Stage, facts_of
from transforms import run_dir, storage
from transforms.formats.parquet import count_rows
from transforms.score.transform import ScoreParts


def stamp(c: Context) -> Stamp:
    settings = c.settings.score
    images = c.digest("fetch")
    rounds = c.finished("fetch").get("rounds", [images])
    inputs = {f"images, round {n}": digest for n, digest in enumerate(rounds)}
    files = model_files(settings.model)
    inputs |= {f"model/{os.path.basename(p)}": d for p, d in zip(files, digests_of_inputs(files), strict=True)}
    return Stamp(content(settings) | {"model": settings.label}, inputs)


def model_files(model: str) -> list[str]:
    """The files of a local model; none for a name that open_clip knows."""
    if os.path.isdir(model):
        found = glob.glob(os.path.join(glob.escape(model), "open_clip_*"))
        return sorted(path for path in found if os.path.isfile(path))
    return [model] if os.path.isfile(model) else []


def check(c: Context) -> None:
    """The model is there and its libraries are installed."""
    settings = c.settings.score
    if not settings.enabled:
        return
    for name in (settings.model, settings.pretrained):
        if storage.is_remote(name):
            raise UsageError(
                f"score.model: {name} is a url, and models are read from a local disk: copy it there first"
            )
    try:
        from trainer.model import ModelError, check_model_name
    except ImportError as error:
        raise UsageError(f"score.model = {settings.model} needs torch and open_clip ({error}): "
                         "pip install 'pairmill[score]', or set score.model=none") from error  # fmt: skip
    try:
        check_model_name(settings.model, settings.pretrained)
    except ModelError as error:
        raise UsageError(f"score.model: {error}") from error


def work(c: Context) -> bool:
    index, count = c.part if c.slice_scores else (0, 1)
    stems = run_dir.part_stems(c.run)
    mine = [s for number, s in enumerate(stems) if number % count == index]
    if not c.settings.score.enabled:
        return True
    folder = run_dir.folder(c.run, run_dir.SCORES)
    c.progress.stage("score", len(mine), "parts", lambda: len(storage.list_names(folder, "*.parquet")))
    transform = c.engine.hinted("score", ScoreParts(c.run, c.settings.score))
    c.engine.run(lambda p: p | "Parts" >> beam.Create(mine) | transform, "score", c.progress.say, len(mine))
    return len(run_dir.part_stems(c.run, run_dir.SCORES)) == len(stems)


def facts(c: Context) -> dict[str, Any]:
    folder = run_dir.folder(c.run, run_dir.SCORES)
    names = storage.list_names(folder, "*.parquet")
    storage.sweep(folder, set(storage.list_names(folder)))
    return facts_of(outputs_of(folder, names), {"scores": sum(count_rows(storage.join(folder, n)) for n in names)})


STAGE = Stage("score", (run_dir.SCORES,), stamp, check, work, facts, frozen=True, grows=True)
