"""What is checked before any work, so that nothing is found out after an hour."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from pipeline.context import Context
from pipeline.errors import UsageError
from pipeline.stages.base import Stage
from transforms import storage

MIN_FREE_BYTES = 256 * 1024 * 1024


def check_before_work(c: Context, stages: Sequence[Stage]) -> None:
    """The run's folder, each stage that is left, the engine. Raises UsageError naming the key and the remedy."""
    if storage.is_remote(c.run):
        try:
            storage.check_folder(c.run)
        except storage.StorageError as error:
            raise UsageError(f"--run-dir: {error}") from error
    left = [stage for stage in stages if c.manifests.read(stage.label(c.name)) is None]
    for stage in left:
        stage.check(c)
    if left and not storage.is_remote(c.run):
        check_space(c.run)
    if left:
        c.engine.check()


def check_space(run: str) -> None:
    there = next(path for path in (Path(run), *Path(run).parents) if os.path.exists(path))
    if not os.path.isdir(there):
        raise UsageError(f"--run-dir {run}: {there} is a file; name a folder, which is made where it is missing")
    free = shutil.disk_usage(there).free
    if free < MIN_FREE_BYTES:
        raise UsageError(f"{run}: only {free >> 20} MiB free on its disk; free some space or choose another --run-dir")
