"""The embeddings of all images of a folder of shards, in clip-retrieval's layout, so that its tools read them too.

INDEX/img_emb/img_emb_0.npy         (n, dim) float16 unit vectors
INDEX/text_emb/text_emb_0.npy       the same of the captions
INDEX/metadata/metadata_0.parquet   a row each: image_path, caption, url, key, and where the image's bytes lie
INDEX/index.json                    model, shards, counts; written last
"""

import argparse
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainer.data import Sample, caption_of, find_samples, row_of
from trainer.embed import embed_texts, embedded_chunks
from trainer.errors import InputError
from trainer.files import local, writable_folder
from trainer.model import Clip, load_clip

FORMAT = "pairmill-index"
VERSION = 1
PART_ROWS = 262_144  # 256 MiB of float16 at 512 dimensions
METADATA = pa.schema(
    [
        pa.field("image_path", pa.string()),  # clip-retrieval's column; here the key
        pa.field("caption", pa.string()),
        pa.field("url", pa.string()),
        pa.field("key", pa.string()),
        pa.field("shard", pa.string()),
        pa.field("offset", pa.int64()),  # bytes, of the image in the tar
        pa.field("size", pa.int64()),  # bytes
        pa.field("extension", pa.string()),
    ]
)


class Part(NamedTuple):
    """The rows of one numbered file of each kind."""

    images: np.ndarray  # (n, dim) float16
    texts: np.ndarray  # (n, dim) float16
    rows: list[dict[str, Any]]


def build_index(shards: str, model: str, out: str, *, pretrained: str = "", device: str = "auto") -> dict[str, Any]:
    """Embed every image and caption; return what `index.json` holds. Raises TrainerError, OSError.

    An index that is in `out` is replaced; a folder with anything else in it is refused.
    """
    out = writable_folder("--out", out)
    clip = load_clip(model, pretrained, device=device)
    samples = find_samples(shards)
    folder = Path(out)
    _make_empty(folder)
    written = 0
    for number, part in enumerate(parts_of(clip, samples, PART_ROWS)):
        write_part(folder, number, part)
        written += len(part.rows)
    about = {
        "format": FORMAT, "version": VERSION, "model": str(_absolute(model)), "pretrained": pretrained,
        "shards": str(_absolute(shards)), "samples": written, "undecodable": len(samples) - written, "dim": clip.dim,
    }  # fmt: skip
    (folder / "index.json").write_text(json.dumps(about, indent=2, allow_nan=False) + "\n")
    return about


def _absolute(name: str) -> str | Path:
    """A path made absolute; any other name as it is."""
    return Path(local(name)).resolve() if os.path.exists(local(name)) else name


def _make_empty(folder: Path) -> None:
    known = {"img_emb", "text_emb", "metadata", "index.json"}
    if folder.is_dir():
        strange = sorted(p.name for p in folder.iterdir() if p.name not in known)
        if strange:
            raise InputError(f"{folder}: is no index ({strange[0]} is in it); give a new folder as --out")
        (folder / "index.json").unlink(missing_ok=True)
    for name in ("img_emb", "text_emb", "metadata"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)


def parts_of(clip: Clip, samples: Sequence[Sample], rows: int) -> Iterator[Part]:
    """Parts of at least `rows` rows, but for the last one."""
    import torch

    kept: list[Part] = []
    for good, images in embedded_chunks(clip, samples, torch.get_num_threads()):
        if not good:
            continue
        found = [row_with(sample) for sample in good]
        texts = embed_texts(clip, [row["caption"] for row in found])
        kept.append(Part(images.astype(np.float16), texts.astype(np.float16), found))
        if sum(len(p.rows) for p in kept) >= rows:
            yield _joined(kept)
            kept = []
    if kept:
        yield _joined(kept)


def _joined(parts: list[Part]) -> Part:
    images, texts = (np.concatenate([p[i] for p in parts]) for i in (0, 1))
    return Part(images, texts, [row for p in parts for row in p.rows])


def row_with(sample: Sample) -> dict[str, Any]:
    url = row_of(sample).get("url")
    return {
        "image_path": sample.key, "caption": caption_of(sample), "url": url if isinstance(url, str) else "",
        "key": sample.key, "shard": Path(sample.tar).name, "offset": sample.image.offset, "size": sample.image.size,
        "extension": sample.extension,
    }  # fmt: skip


def write_part(folder: Path, number: int, part: Part) -> None:
    np.save(folder / "img_emb" / f"img_emb_{number}.npy", part.images)
    np.save(folder / "text_emb" / f"text_emb_{number}.npy", part.texts)
    # By an open file: pyarrow takes a path with a colon for a url.
    with open(folder / "metadata" / f"metadata_{number}.parquet", "wb") as file:
        pq.write_table(pa.Table.from_pylist(part.rows, METADATA), file)


def main(args: argparse.Namespace) -> int:
    """`pairmill search index SHARDS --model MODEL --out INDEX`. Returns the exit code."""
    about = build_index(args.shards, args.model, args.out, pretrained=args.pretrained, device=args.device)
    print(f"{about['samples']} images of {about['shards']}, {about['undecodable']} do not decode")
    print(f"index  {args.out}")
    return 0
