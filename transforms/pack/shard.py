"""One shard: a webdataset tar with img2dataset's member names, and its Parquet. No Beam."""

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from transforms import run_dir, storage
from transforms.formats.tar import TarWriter
from transforms.records import SCHEMA_VERSION, Caption, PackedFile, Sample, Shard

_CAPTION = pa.struct([
    pa.field("id", pa.string()),
    pa.field("text", pa.string()),
    pa.field("kind", pa.string()),
    pa.field("page_url", pa.string()),
    pa.field("language", pa.string()),
    pa.field("probability", pa.float64()),
    pa.field("count", pa.int64()),
    pa.field("license", pa.string()),
])  # fmt: skip

SHARD_SCHEMA = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("captions", pa.list_(_CAPTION), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("similarity", pa.float64()),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("original_width", pa.int32(), nullable=False),
        pa.field("original_height", pa.int32(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("error_message", pa.string()),
        pa.field("exif", pa.string()),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("image_sha256", pa.string(), nullable=False),
        pa.field("caption_sha256", pa.string(), nullable=False),
        pa.field("phash", pa.string()),
        pa.field("source_uid", pa.string(), nullable=False),
        pa.field("extra", pa.string(), nullable=False),
    ],
    metadata={"pairmill.record": "shard", "pairmill.schema_version": str(SCHEMA_VERSION)},
)


def write_shard(number: int, samples: Iterable[Sample], run: str, folder: str) -> Shard:
    """Publish `<number>.tar` and `<number>.parquet`. The same samples give the same bytes. Raises StorageError."""
    ordered = sorted(samples, key=lambda s: (s.rank, s.image.uid))
    name = f"{number:05d}"
    with storage.publishing(storage.join(folder, f"{name}.tar")) as file:
        digesting = storage.Digesting(file, hashlib.sha256())
        tar = TarWriter(digesting)
        rows = [_add(tar, sample, run) for sample in ordered]
        tar.close()
    table = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=SHARD_SCHEMA), table, compression="zstd", compression_level=1)
    data = table.getvalue()
    storage.publish(storage.join(folder, f"{name}.parquet"), data)
    written = PackedFile(f"{name}.tar", digesting.size_bytes, digesting.hexdigest())
    return Shard(len(rows), written, PackedFile(f"{name}.parquet", len(data), hashlib.sha256(data).hexdigest()))


def _add(tar: TarWriter, sample: Sample, run: str) -> dict[str, Any]:
    """The image member is copied, never encoded again; text and row are written anew from the chosen captions."""
    image = sample.image
    assert image.tar is not None
    assert image.offset is not None
    assert image.length is not None
    data = storage.read_range(run_dir.image_tar(run, image.tar), image.offset, image.length)
    row = shard_row(sample, data)
    tar.add(f"{image.key}.{extension_of(data)}", data)
    tar.add(f"{image.key}.txt", row["caption"].encode())
    tar.add(f"{image.key}.json", msgspec.json.encode(sidecar(row)))
    return row


def extension_of(data: bytes) -> str:
    """The member extension that fits the stored bytes: what `fetch` can encode."""
    if data.startswith(b"\x89PNG"):
        return "png"
    return "webp" if data[8:12] == b"WEBP" else "jpg"


def shard_row(sample: Sample, data: bytes) -> dict[str, Any]:
    """A row of the shard's Parquet. `data`: the bytes of the image member."""
    image = sample.image
    best = image.captions[0]
    copied = {name: getattr(image, name) for name in SHARD_SCHEMA.names if hasattr(image, name)}
    return copied | {
        "uid": image.key,
        "text": best.text,
        "caption": best.text,
        "captions": [_caption(c) for c in image.captions],
        "language": best.language,
        "similarity": sample.similarity,
        "image_sha256": hashlib.sha256(data).hexdigest(),
        "caption_sha256": hashlib.sha256(best.text.encode()).hexdigest(),
        "phash": image.phash.hex() if image.phash else None,
    }


def _caption(caption: Caption) -> dict[str, Any]:
    return caption._asdict() | {"id": caption.id.hex()}


def sidecar(row: dict[str, Any]) -> dict[str, Any]:
    """The `.json` member: the row, with the user's own columns unpacked where no name of ours is in the way."""
    extra = msgspec.json.decode(row["extra"]) if row["extra"] else {}
    return {k: v for k, v in extra.items() if k not in row} | row
