"""Shards where they lie: in a folder of this machine, or behind a url of an object store (through fsspec).

Credentials come from each store's usual environment alone.
"""

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from trainer.errors import InputError, ShardError

T = TypeVar("T")

URL = re.compile(r"(?!file://)[A-Za-z][A-Za-z0-9+.-]*://")
BLOCK_BYTES = 4 << 20  # that a reader of headers gets at once
S3_CONFIG = {
    "retries": {"mode": "standard", "total_max_attempts": 5},
    "request_checksum_calculation": "when_required",  # the newer default breaks ranged reads on some stores
    "response_checksum_validation": "when_required",
}
OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {"use_listings_cache": False, "config_kwargs": S3_CONFIG},
    "gs": {"use_listings_cache": False},
    "az": {"use_listings_cache": False, "anon": False},
    "abfs": {"use_listings_cache": False, "anon": False},
    "hdfs": {},
}
# A child of a fork that dropped its parent's instance would close connections of both: none is ever dropped.
_KEPT: dict[int, Any] = {}
LIBRARY_ERRORS = {
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "aiohttp": ("ClientError",),
    "gcsfs.retry": ("HttpError",),
    "google.auth.exceptions": ("GoogleAuthError",),
    "azure.core.exceptions": ("AzureError",),
}


def is_url(path: str | Path) -> bool:
    return isinstance(path, str) and URL.match(path) is not None


def must_be_local(what: str, path: str | Path) -> None:
    """Raises InputError for a url."""
    if is_url(path):
        raise InputError(f"{what} {path} is a url, and is written to a local disk; name a file or folder there")


def _failures() -> tuple[type[BaseException], ...]:
    modules = ((sys.modules.get(module), names) for module, names in LIBRARY_ERRORS.items())
    found = [getattr(m, n) for m, names in modules if m is not None for n in names if hasattr(m, n)]
    return (OSError, ValueError, RuntimeError, ImportError, *found)


def _asked(url: str, work: Callable[[Any, str], T]) -> T:
    """`work(file system, path in it)`. Raises FileNotFoundError, and ShardError for everything else."""
    from fsspec.core import url_to_fs

    scheme = url.partition("://")[0]
    extra = {"abfs": "az"}.get(scheme, scheme)
    if scheme not in OPTIONS:
        raise ShardError(f"{url}: unknown kind of store {scheme}://; expected {', '.join(OPTIONS)} or a local path")
    try:
        system, path = url_to_fs(url, **OPTIONS[scheme])
        _KEPT[id(system)] = system
        return work(system, path)
    except FileNotFoundError:
        raise
    except ImportError as error:
        raise ShardError(f"{url}: {scheme}:// needs a package: pip install 'pairmill[{extra}]'") from error
    except _failures() as error:
        raise ShardError(f"{url}: cannot be read: {' '.join(str(error).split())[:300]}") from error


def joined(folder: str | Path, name: str) -> str:
    return f"{folder}/{name}" if is_url(folder) else str(Path(folder) / name)


def names_in(folder: str | Path) -> list[str]:
    """Sorted; none where the folder is missing."""
    if not is_url(folder):
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    try:
        found = _asked(str(folder), lambda fs, path: fs.ls(path, detail=False))
    except FileNotFoundError:
        return []
    return sorted(name.rstrip("/").rpartition("/")[2] for name in found)


def size_of(path: str) -> int | None:
    """In bytes; None where there is no such file."""
    if not is_url(path):
        return os.path.getsize(path) if os.path.isfile(path) else None
    try:
        entry = _asked(path, lambda fs, name: fs.info(name))
    except FileNotFoundError:
        return None
    return entry["size"] if entry["type"] == "file" else None


def opened(path: str) -> BinaryIO:
    """A seekable file. Raises OSError, ShardError."""
    if not is_url(path):
        return open(path, "rb")
    return _asked(path, lambda fs, name: fs.open(name, block_size=BLOCK_BYTES, cache_type="readahead"))


def read_bytes(path: str) -> bytes:
    """Raises OSError, ShardError."""
    return _asked(path, lambda fs, name: fs.cat_file(name)) if is_url(path) else Path(path).read_bytes()


def read_range(path: str, offset: int, size: int) -> bytes:
    """One request. Raises OSError, ShardError."""
    if is_url(path):
        return _asked(path, lambda fs, name: fs.cat_file(name, start=offset, end=offset + size)) if size else b""
    with open(path, "rb") as file:
        return os.pread(file.fileno(), size, offset)


@contextmanager
def near(folder: str, names: list[str]) -> Iterator[str]:
    """A local folder with these files, as far as they exist: the folder itself, or a copy while the block lasts."""
    if not is_url(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="pairmill-shard-") as copy:
        for name in names:
            url = joined(folder, name)
            if size_of(url) is not None:
                _asked(url, lambda fs, path, name=name: fs.get_file(path, joined(copy, name)))  # type: ignore[misc]
        yield copy
