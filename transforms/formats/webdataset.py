"""The names in a webdataset tar: which members make a sample, and which of them are its image and its text.

As webdataset groups them (`webdataset/tariterators.py`): the key is the path up to the first dot of the base name, the
rest is the ending. Archivers' own members belong to no sample.
"""

import re
from collections.abc import Iterable

IMAGE_ENDINGS = frozenset({"jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "avif", "tif", "tiff", "heic",
                           "jxl", "ppm", "pgm", "svg"})  # fmt: skip
# What archivers leave: __meta__ (webdataset), extended headers as files (old unpackers), resource forks (macOS).
_NO_SAMPLE = re.compile(r"(?:^|/)(?:__[^/.]*__(?:[/.]|$)|__MACOSX/|PaxHeaders?(?:\.[\w]+)?/|\._|\.DS_Store$)")


def sample_name(name: str) -> tuple[str, str] | None:
    """(key, ending in lower case) of a member, "./" left out; None for what belongs to no sample."""
    while name.startswith(("./", "/")):
        name = name.removeprefix(".").lstrip("/")
    folder, slash, base = name.rpartition("/")
    stem, dot, ending = base.partition(".")
    if not stem or not dot or not ending or _NO_SAMPLE.search(name):
        return None
    return folder + slash + stem, ending.lower()


def is_foreign(name: str) -> bool:
    """Whether a member is an archiver's own, of which nobody misses anything."""
    return _NO_SAMPLE.search(name) is not None


def image_ending(endings: Iterable[str]) -> str | None:
    """The ending of a sample's image: "jpg", or else the first like "seg.jpg"; None where there is none."""
    return _first(endings, IMAGE_ENDINGS, "")


def side_ending(endings: Iterable[str], kind: str) -> str | None:
    """The ending of the text ("txt") or the sidecar ("json") that stands beside a sample's image."""
    endings = list(endings)
    image = image_ending(endings) or ""
    return _first(endings, frozenset({kind}), image.rpartition(".")[0])


def _first(endings: Iterable[str], kinds: frozenset[str], beside: str) -> str | None:
    fitting = [ending for ending in endings if ending.rpartition(".")[2] in kinds]
    best = [e for e in fitting if e.rpartition(".")[0] == beside] or [e for e in fitting if e in kinds] or fitting
    return best[0] if best else None
