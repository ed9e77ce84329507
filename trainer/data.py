"""Samples of finished shards: found by byte range, decoded with Pillow, shuffled by a seed. No code of theirs runs."""

import hashlib
import io
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer import files
from trainer.errors import ShardError
from trainer.tar import Member, read_members, split_name

if TYPE_CHECKING:
    from PIL.Image import Image

    from trainer.model import Clip

IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "webp")  # open_clip's image keys
# What webdataset's automatic decoder would unpickle or import: no shard of ours or of img2dataset holds one.
CODE_EXTENSIONS = ("pyd", "pickle", "pkl", "pth", "pt", "ten", "py", "pyc", "so", "dill", "joblib")
MAX_PIXELS = 100_000_000  # of one image; a shard's images are resized, so this is far away
MAX_TEXT_BYTES = 1 << 20


class Sample(NamedTuple):
    """Where one image and its texts lie. The members are None where the sample has none."""

    tar: str
    key: str
    extension: str  # of the image
    image: Member
    text: Member | None
    row: Member | None


def tars_of(shards: str | Path) -> list[str]:
    """The tars of a folder, sorted, or the one tar itself. Raises ShardError."""
    if str(shards).endswith(".tar") and files.size_of(str(shards)) is not None:
        return [str(shards) if files.is_url(shards) else files.local(shards)]
    if not files.is_url(shards) and not os.path.isdir(files.local(shards)):
        raise ShardError(f"{shards}: no such folder; give the folder of the .tar files, such as RUN/shards/main")
    tars = [files.joined(shards, name) for name in files.names_in(shards) if name.endswith(".tar")]
    if not tars:
        raise ShardError(f"{shards}: no .tar file in it; give the folder of the shards, such as RUN/shards/main")
    return tars


def find_samples(shards: str | Path) -> list[Sample]:
    """Every sample with an image and a text, in the order of the shards. Raises ShardError."""
    found = [s for tar in tars_of(shards) for s in samples_in(tar) if s.text is not None]
    if not found:
        raise ShardError(f"{shards}: no sample with an image and a .txt in its tars")
    return found


def samples_in(tar: str) -> Iterator[Sample]:
    """The samples of one tar: members that share a key. Raises ShardError."""
    named = ((split_name(member.name), member) for member in read_members(tar))
    keyed = [(name, member) for name, member in named if name is not None]
    for key, group in groupby(keyed, key=lambda pair: pair[0][0]):
        sample = _sample(tar, key, {name[1]: member for name, member in group})
        if sample is not None:
            yield sample


def _sample(tar: str, key: str, members: dict[str, Member]) -> Sample | None:
    for extension in members:
        if extension.rsplit(".", 1)[-1] in CODE_EXTENSIONS:
            raise ShardError(f"{tar}: {key}.{extension} is of a kind that runs code when it is loaded; refused")
    extension = next((e for e in IMAGE_EXTENSIONS if e in members), "")
    if not extension:
        return None
    return Sample(tar, key, extension, members[extension], members.get("txt"), members.get("json"))


def read_bytes(tar: str, member: Member) -> bytes:
    """A member's payload. Raises ShardError."""
    data = files.read_range(tar, member.offset, member.size)
    if len(data) != member.size:
        raise ShardError(f"{tar}: {member.name} is cut off")
    return data


def caption_of(sample: Sample) -> str:
    """The `.txt`. Raises ShardError."""
    if sample.text is None or sample.text.size > MAX_TEXT_BYTES:
        raise ShardError(f"{sample.tar}: {sample.key} has no .txt, or one above {MAX_TEXT_BYTES} bytes")
    return read_bytes(sample.tar, sample.text).decode("utf-8", "replace")


def row_of(sample: Sample) -> dict[str, Any]:
    """The `.json`; empty where there is none or it is no object."""
    if sample.row is None or sample.row.size > MAX_TEXT_BYTES:
        return {}
    try:
        row = json.loads(read_bytes(sample.tar, sample.row))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def decode(data: bytes) -> "Image":
    """RGB pixels. Raises ShardError for what is broken, too large, or in no format of shards."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP"))
            if image.width * image.height > MAX_PIXELS:
                raise ShardError(f"an image of {image.width} x {image.height} pixels")
            return image.convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise ShardError(f"image does not decode: {error}") from error


def is_held_out(key: str, share: float) -> bool:
    """Whether a sample stays out of training: by its key, so that every run and `evaluate` agree."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") < share * 2**64


def shuffled(count: int, seed: int, epoch: int) -> np.ndarray:
    """(count,) a permutation: the same for the same seed and epoch."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def batches_of(count: int, size: int, seed: int) -> Iterator[np.ndarray]:
    """Endless batches of `size` places out of `count`, epoch after epoch; a last small batch is left out."""
    size = min(size, count)
    epoch = 0
    while True:
        order = shuffled(count, seed, epoch)
        yield from (order[i : i + size] for i in range(0, count - size + 1, size))
        epoch += 1


class Pictures:
    """Images as the model sees them, (3, s, s) uint8: decoded once and kept where they fit into `cache_bytes`.

    Images that do not decode are left out: `samples` are those that remain. Where the images do not fit, they are
    decoded batch by batch, and a broken one is grey.
    """

    def __init__(self, samples: Sequence[Sample], clip: "Clip", threads: int = 1, cache_bytes: int = 4 << 30) -> None:
        self._clip = clip
        self._pool = ThreadPoolExecutor(max(1, threads))
        self.broken = 0
        self.samples = list(samples)
        self._kept: np.ndarray | None = None  # (n, 3, s, s)
        side = clip.image_size
        if len(self.samples) * 3 * side * side <= cache_bytes:
            self._fill(side)

    def _fill(self, side: int) -> None:
        """Decode in the order of the shards; close the gaps that broken images leave."""
        kept = np.empty((len(self.samples), 3, side, side), np.uint8)
        good: list[Sample] = []
        for first in range(0, len(self.samples), 256):
            part = self.samples[first : first + 256]
            for sample, pixels in zip(part, self._pool.map(self._pixels, part), strict=True):
                if pixels is not None:
                    kept[len(good)] = pixels
                    good.append(sample)
        self.broken = len(self.samples) - len(good)
        self.samples, self._kept = good, kept[: len(good)]

    def _pixels(self, sample: Sample) -> np.ndarray | None:
        try:
            return self._clip.preprocess(decode(read_bytes(sample.tar, sample.image)))
        except ShardError:
            return None

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, places: Sequence[int] | np.ndarray) -> np.ndarray:
        """(n, 3, s, s) uint8 of the samples at `places`."""
        if self._kept is not None:
            return self._kept[places]
        grey = np.full((3, self._clip.image_size, self._clip.image_size), 128, np.uint8)
        found = self._pool.map(self._pixels, [self.samples[i] for i in places])
        return np.stack([grey if pixels is None else pixels for pixels in found])
