"""What is checked before any work, so that nothing is found out after an hour."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.config import Settings
from pipeline.errors import UsageError
from pipeline.fetching import check_contact
from pipeline.inputs import adopted_files, seeds_of, table_files, warc_files
from pipeline.manifest import Manifests
from transforms import storage
from transforms.collect.tables import TableError, check_table

MIN_FREE_BYTES = 256 * 1024 * 1024


def check_before_work(c: Any, stages: Sequence[Any]) -> None:
    """Place, sources, contact, model, user rules, space. Raises UsageError naming the key and the remedy."""
    if storage.is_remote(c.run):
        check_remote(c.run)
    left = {s.name for s in stages if Manifests(c.run).read(s.label(c.name)) is None}
    if "collect" in left:
        check_sources(c)
    if "score" in left and c.settings.score.enabled:
        check_model(c.settings.score)
    if "select" in left:
        check_rules(c.settings)
    if left and not storage.is_remote(c.run):
        check_space(c.run)
    if left:
        c.engine.check()
    check_slices(c, left)


def check_sources(c: Any) -> None:
    """Seeds are there, tables have their columns, foreign hosts get a contact."""
    warc_files(c.settings)
    adopted_files(c.settings)
    check_tables(c.settings)
    collect = c.settings.collect
    if collect.crawl is not None and c.settings.demo is None:
        for seed in seeds_of(c.settings):
            check_contact(seed, c.settings.web)


def check_tables(settings: Settings) -> None:
    try:
        for path in table_files(settings):
            check_table(path, settings.collect.tables)  # type: ignore[arg-type]
    except TableError as error:
        raise UsageError(str(error)) from error


def check_model(score: Any) -> None:
    if storage.is_remote(score.model) or storage.is_remote(score.pretrained):
        url = score.model if storage.is_remote(score.model) else score.pretrained
        raise UsageError(f"score.model: {url} is a url, and models are read from a local disk: copy it there first")
    try:
        from trainer.model import ModelError, check_model_name
    except ImportError as error:
        raise UsageError(f"score.model = {score.model} needs torch and open_clip ({error}): "
                         "pip install 'pairmill[score]', or set score.model=none") from error  # fmt: skip
    try:
        check_model_name(score.model, score.pretrained)
    except ModelError as error:
        raise UsageError(f"score.model: {error}") from error


def check_rules(settings: Settings) -> None:
    """What a rule itself checks: that the function or file that it names is there."""
    for rule in settings.select.rules:
        try:
            rule.check()
        except ValueError as error:
            raise UsageError(str(error)) from error


def check_remote(run: str) -> None:
    """Whether an object store lets us work there: before anything else is asked of it."""
    try:
        storage.check_folder(run)
    except storage.StorageError as error:
        raise UsageError(f"--run-dir: {error}") from error


def check_space(run: str) -> None:
    there = next(path for path in (Path(run), *Path(run).parents) if path.exists())
    if not there.is_dir():
        raise UsageError(f"--run-dir {run}: {there} is a file; name a folder, which is made where it is missing")
    free = shutil.disk_usage(there).free
    if free < MIN_FREE_BYTES:
        raise UsageError(f"{run}: only {free >> 20} MiB free on its disk; free some space or choose another --run-dir")


def check_slices(c: Any, left: set[str]) -> None:
    if c.part != (0, 1) and "collect" in left:
        raise UsageError(
            "--part slices fetch and score by host: run the same command with --to collect first, without it"
        )
