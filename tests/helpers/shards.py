"""Small folders of finished shards, written by the format's description alone: pictures of one colour and shape."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

COLOURS = {"red": (220, 30, 30), "green": (30, 170, 40), "blue": (40, 60, 220), "yellow": (235, 210, 40)}
SHAPES = ("disc", "box", "cross", "bar")
CAPTION = pa.struct(
    [(n, pa.string()) for n in ("id", "text", "kind", "page_url", "language")]
    + [("probability", pa.float64()), ("count", pa.int64()), ("license", pa.string())]
)
SCHEMA = pa.schema(
    [(n, pa.string()) for n in ("uid", "key", "url", "text", "caption")]
    + [("captions", pa.list_(CAPTION)), ("language", pa.string()), ("similarity", pa.float64())]
    + [(n, pa.int32()) for n in ("width", "height", "original_width", "original_height")]
    + [(n, pa.string()) for n in ("status", "error_message", "exif", "sha256", "image_sha256", "caption_sha256")]
    + [(n, pa.string()) for n in ("source_uid", "extra")]
)


def picture(colour: str, shape: str, seed: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """The shape at a random place on light grey."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", size, (225, 225, 225))
    draw = ImageDraw.Draw(image)
    x, y, r = int(rng.integers(14, size[0] - 14)), int(rng.integers(14, size[1] - 14)), int(rng.integers(8, 13))
    fill = COLOURS[colour]
    if shape == "disc":
        draw.ellipse((x - r, y - r, x + r, y + r), fill)
    elif shape == "box":
        draw.rectangle((x - r, y - r, x + r, y + r), fill)
    elif shape == "cross":
        draw.rectangle((x - r, y - 2, x + r, y + 2), fill)
        draw.rectangle((x - 2, y - r, x + 2, y + r), fill)
    else:
        draw.rectangle((x - 2, y - r, x + 2, y + r), fill)
    return image


def encoded(image: Image.Image, extension: str = "jpg") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}[extension], quality=92)
    return buffer.getvalue()


def row(number: int, caption: str, image: bytes, size: tuple[int, int], **changes) -> dict:
    url = f"http://site.example/{number}.jpg"
    key = hashlib.sha256(url.encode()).hexdigest()[:32]
    caption_row = {
        "id": hashlib.sha256(caption.encode()).hexdigest()[:16], "text": caption, "kind": "alt",
        "page_url": "http://site.example/", "language": "en", "probability": 0.75, "count": 1, "license": "",
    }  # fmt: skip
    return {
        "uid": key, "key": key, "url": url, "text": caption, "caption": caption, "captions": [caption_row],
        "language": "en", "similarity": 0.25 + number / 1000, "width": size[0], "height": size[1],
        "original_width": size[0] * 2, "original_height": size[1] * 2, "status": "success", "error_message": None,
        "exif": "{}", "sha256": hashlib.sha256(b"original" + image).hexdigest(),
        "image_sha256": hashlib.sha256(image).hexdigest(),
        "caption_sha256": hashlib.sha256(caption.encode()).hexdigest(), "source_uid": "",
        "extra": '{"license_of":"none","n":1}' if number % 2 else "",
    } | changes  # fmt: skip


def samples(count: int, captions: dict[int, str] | None = None) -> list[tuple[dict, str, bytes]]:
    """`count` of (row, extension, image bytes)."""
    found = []
    for n in range(count):
        colour, shape = list(COLOURS)[n % 4], SHAPES[n // 4 % 4]
        extension = ("jpg", "png", "webp")[n % 3]
        image = picture(colour, shape, n)
        data = encoded(image, extension)
        caption = (captions or {}).get(n, f"a {colour} {shape}, picture {n}")
        found.append((row(n, caption, data, image.size), extension, data))
    return found


def write(folder: Path, found: list[tuple[dict, str, bytes]], per_shard: int = 12) -> Path:
    """A complete folder: tars, Parquets, sizes.json, subset.npy, manifest.json, README.md."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, first in enumerate(range(0, len(found), per_shard)):
        part = found[first : first + per_shard]
        write_tar(folder / f"{number:05d}.tar", members_of(part))
        pq.write_table(pa.Table.from_pylist([r for r, _, _ in part], SCHEMA), folder / f"{number:05d}.parquet")
    entries = [(int(r["uid"][:16], 16), int(r["uid"][16:], 16)) for r, _, _ in found]
    np.save(folder / "subset.npy", np.sort(np.array(entries, np.dtype("u8,u8"))))
    describe(folder)
    (folder / "README.md").write_text("# A data set\n")
    return folder


def members_of(part: list[tuple[dict, str, bytes]]) -> list[tuple[str, bytes]]:
    members = []
    for told, extension, data in part:
        extra = json.loads(told["extra"]) if told["extra"] else {}
        members += [
            (f"{told['key']}.{extension}", data),
            (f"{told['key']}.txt", told["caption"].encode()),
            (f"{told['key']}.json", json.dumps(extra | told, ensure_ascii=False).encode()),
        ]
    return members


def write_tar(path: Path, members: list[tuple[str, bytes]], format: int = tarfile.USTAR_FORMAT) -> None:
    with tarfile.open(path, "w", format=format) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def describe(folder: Path) -> None:
    """(Again) sizes.json and manifest.json from what lies there."""
    shards = [shard_entry(tar) for tar in sorted(folder.glob("*.tar"))]
    (folder / "sizes.json").write_text(json.dumps({s["name"]: s["samples"] for s in shards}))
    manifest = {
        "format": "pairmill-shards", "schema_version": 1, "samples": sum(s["samples"] for s in shards),
        "shards": shards, "schema": {f.name: str(f.type) for f in SCHEMA},
        "files": {n: file_entry(folder / n)["sha256"] for n in ("sizes.json", "subset.npy")},
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))


def shard_entry(tar: Path) -> dict:
    parquet = tar.with_suffix(".parquet")
    return {**file_entry(tar), "samples": pq.read_metadata(parquet).num_rows, "parquet": file_entry(parquet)}


def file_entry(path: Path) -> dict:
    data = path.read_bytes()
    return {"name": path.name, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
