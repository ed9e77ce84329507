"""The images nearest to a text: every embedding is compared, a block at a time, from disk."""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainer.data import tars_of
from trainer.errors import InputError
from trainer.files import local
from trainer.model import Clip, load_clip
from trainer.search.index import FORMAT, VERSION
from trainer.tar import Member

BLOCK_ROWS = 65_536
MAX_K = 1_000


class Hit(NamedTuple):
    """An image that was found."""

    rank: int  # from 1
    score: float  # cosine, -1..1
    row: int  # its place in the index
    key: str
    caption: str
    url: str
    shard: str


class Index:
    """An index on disk. Metadata stay in memory, embeddings do not. Raises InputError."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(local(folder))
        self.about = read_about(self.folder)
        self.table = self._metadata()
        self.tars = {Path(tar).name: tar for tar in tars_of(self.about["shards"])}

    def _metadata(self) -> pa.Table:
        try:
            return pa.concat_tables([read_table(path) for path in self._files("metadata", "parquet")])
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{self.folder}: broken index: {error}; make it again") from error

    def _files(self, kind: str, suffix: str) -> list[Path]:
        found = sorted((self.folder / kind).glob(f"{kind}_*.{suffix}"), key=lambda p: int(p.stem.rsplit("_", 1)[1]))
        if not found:
            raise InputError(f"{self.folder}: broken index: no file in {kind}; make it again")
        return found

    def _blocks(self) -> Iterator[np.ndarray]:
        """(rows, dim) float32, in order."""
        for path in self._files("img_emb", "npy"):
            part = np.load(path, mmap_mode="r", allow_pickle=False)
            for first in range(0, len(part), BLOCK_ROWS):
                block = np.asarray(part[first : first + BLOCK_ROWS], np.float32)
                if not np.isfinite(block).all():
                    raise InputError(f"{path}: embeddings that are not finite; make the index again")
                yield block

    def load_model(self, device: str = "auto") -> Clip:
        return load_clip(self.about["model"], self.about["pretrained"], device=device)

    def nearest(self, vector: np.ndarray, k: int) -> list[Hit]:
        """The `k` images most similar to `vector`, (dim,), best first; equal scores in the order of the shards."""
        scores, rows, first = np.empty(0, np.float32), np.empty(0, np.int64), 0
        for block in self._blocks():
            scores = np.concatenate([scores, block @ vector])
            rows = np.concatenate([rows, np.arange(first, first + len(block))])
            best = np.lexsort((rows, -scores))[:k]
            scores, rows, first = scores[best], rows[best], first + len(block)
        return [self._hit(n, float(s), int(r)) for n, (s, r) in enumerate(zip(scores, rows, strict=True), 1)]

    def _hit(self, rank: int, score: float, row: int) -> Hit:
        found = self.table.slice(row, 1).to_pylist()[0]
        return Hit(rank, round(score, 6), row, found["key"], found["caption"], found["url"], found["shard"])

    def image_of(self, row: int) -> tuple[str, Member, str] | None:
        """(tar, member, extension) of a row; None where the index has no such row or the shards no such tar."""
        if not 0 <= row < self.table.num_rows:
            return None
        found = self.table.slice(row, 1).to_pylist()[0]
        if found["shard"] not in self.tars:
            return None
        return (
            self.tars[found["shard"]],
            Member(found["key"], found["offset"], found["size"]),
            found["extension"],
        )


def read_table(path: Path) -> pa.Table:
    """A Parquet. By an open file: pyarrow takes a path with a colon for a url. Raises OSError, ArrowException."""
    with path.open("rb") as file:
        return pq.read_table(file)


def read_about(folder: Path) -> dict[str, Any]:
    path = folder / "index.json"
    if not os.path.isfile(path):
        raise InputError(f"{folder}: no index (no index.json in it); make one with `pairmill search index`")
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(about, dict) or (about.get("format"), about.get("version")) != (FORMAT, VERSION):
        raise InputError(f"{path}: is no index of version {VERSION}; make it again")
    return about


def search(index: Index, clip: Clip, text: str, k: int) -> list[Hit]:
    """The `k` images nearest to `text`. Raises InputError."""
    if not text.strip():
        raise InputError("an empty text finds nothing; give some words")
    if not 1 <= k <= MAX_K:
        raise InputError(f"k = {k}: expected 1 to {MAX_K}")
    return index.nearest(clip.encode_texts(clip.tokenize([text]))[0], k)


def main(args: argparse.Namespace) -> int:
    """`pairmill search query INDEX TEXT`. Returns the exit code."""
    index = Index(args.index)
    hits = search(index, index.load_model(args.device), args.text, args.k)
    if args.json:
        print(json.dumps([hit._asdict() for hit in hits], ensure_ascii=False, indent=2, allow_nan=False))
        return 0
    for hit in hits:
        print(f"{hit.rank:>3}  {hit.score:.4f}  {hit.key}  {printable(hit.caption)}  {printable(hit.url)}")
    return 0


def printable(text: str) -> str:
    """`text` without what could move a terminal's cursor."""
    return "".join(c if c.isprintable() else " " for c in text)
