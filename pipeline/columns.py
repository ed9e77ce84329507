"""Some columns of a run's Parquets, a batch in memory at a time."""

from collections.abc import Iterator, Sequence
from typing import Any

from transforms import run_dir, storage
from transforms.formats import parquet
from transforms.rounds import rounds_of, superseded


def read_columns(run: str, folder: str, columns: list[str], pattern: str = "*.parquet") -> Iterator[dict[str, Any]]:
    """The rows of a folder's Parquets."""
    whole = storage.join(run, folder)
    for name in storage.list_names(whole, pattern):
        if run_dir.is_part(name):
            yield from parquet.read_columns(storage.join(whole, name), columns)


def live_columns(run: str, columns: list[str], stems: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """The live rows of `images/`, of some parts or of all: a later round may have asked others again."""
    known = rounds_of(run)
    for stem in run_dir.part_stems(run) if stems is None else stems:
        gone = superseded(run, stem, known=known)
        rows = parquet.read_columns(run_dir.image_rows(run, stem), columns)
        yield from (row for number, row in enumerate(rows) if number not in gone)
