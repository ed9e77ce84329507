"""Shards where they lie: in a folder of this machine, or behind a url of an object store (through fsspec).

Credentials come from each store's usual environment alone.
"""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from trainer.errors import InputError, ShardError

T = TypeVar("T")

LOCAL_SCHEME = "file://"
URL = re.compile(rf"(?!{LOCAL_SCHEME})[A-Za-z][A-Za-z0-9+.-]*://")
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
    "hdfs": {},
}
SAME_STORE = {"s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az"}  # other schemes of the same stores
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


def local(path: str | Path) -> str:
    """A path of this machine, without `file://`."""
    return str(path).removeprefix(LOCAL_SCHEME)


def writable_folder(what: str, folder: str | Path) -> str:
    """The path of a folder in which files can be made; nothing is left there. Raises InputError."""
    if is_url(folder):
        raise InputError(f"{what} {folder} is a url, and is written to a local disk; name a file or folder there")
    path = Path(local(folder))
    missing = [p for p in (path, *path.parents) if not os.path.isdir(p)]  # the deepest first
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise InputError(f"{what} {folder} cannot be written: {error.strerror}; name another folder") from error
    finally:
        for made in missing:
            with contextlib.suppress(OSError):
                os.rmdir(made)
    return str(path)


def _failures() -> tuple[type[BaseException], ...]:
    modules = ((sys.modules.get(module), names) for module, names in LIBRARY_ERRORS.items())
    found = [getattr(m, n) for m, names in modules if m is not None for n in names if hasattr(m, n)]
    return (OSError, ValueError, RuntimeError, ImportError, *found)


def _asked(url: str, work: Callable[[Any, str], T]) -> T:
    """`work(file system, path in it)`. Raises FileNotFoundError, and ShardError for everything else."""
    from fsspec.core import url_to_fs

    scheme, _, rest = url.partition("://")
    store = SAME_STORE.get(scheme, scheme)
    if store not in OPTIONS:
        known = ", ".join([*OPTIONS, *SAME_STORE])
        raise ShardError(f"{url}: unknown kind of store {scheme}://; expected {known} or a local path")
    # fsspec sees the bucket alone: in a key it would take `::` for a chain of file systems, and `#` for a fragment.
    bucket, slash, key = rest.partition("/")
    try:
        system, root = url_to_fs(f"{scheme}://{bucket}", **OPTIONS[store])
        _KEPT[id(system)] = system
        return work(system, f"{root.rstrip('/')}{slash}{key.rstrip('/')}" if key.strip("/") else root)
    except FileNotFoundError:
        raise
    except ImportError as error:
        raise ShardError(f"{url}: {scheme}:// needs a package: pip install 'pairmill[{store}]'") from error
    except _failures() as error:
        raise ShardError(f"{url}: cannot be read: {' '.join(str(error).split())[:300]}") from error


def joined(folder: str | Path, name: str) -> str:
    return f"{str(folder).rstrip('/')}/{name}" if is_url(folder) else str(Path(local(folder)) / name)


def names_in(folder: str | Path) -> list[str]:
    """Sorted; none where the folder is missing."""
    if not is_url(folder):
        return sorted(os.listdir(local(folder))) if os.path.isdir(local(folder)) else []
    try:
        found = _asked(str(folder), lambda fs, path: fs.ls(path, detail=False))
    except FileNotFoundError:
        return []
    return sorted(name.rstrip("/").rpartition("/")[2] for name in found)


def size_of(path: str) -> int | None:
    """In bytes; None where there is no such file."""
    if not is_url(path):
        return os.path.getsize(local(path)) if os.path.isfile(local(path)) else None
    try:
        entry = _asked(path, lambda fs, name: fs.info(name))
    except FileNotFoundError:
        return None
    return entry["size"] if entry["type"] == "file" else None


def opened(path: str) -> BinaryIO:
    """A seekable file. Raises OSError, ShardError."""
    if not is_url(path):
        return open(local(path), "rb")
    return _asked(path, lambda fs, name: fs.open(name, block_size=BLOCK_BYTES, cache_type="readahead"))


def read_bytes(path: str) -> bytes:
    """Raises OSError, ShardError."""
    return _asked(path, lambda fs, name: fs.cat_file(name)) if is_url(path) else Path(local(path)).read_bytes()


def read_range(path: str, offset: int, size: int) -> bytes:
    """One request. Raises OSError, ShardError."""
    if is_url(path):
        return _asked(path, lambda fs, name: fs.cat_file(name, start=offset, end=offset + size)) if size else b""
    with open(local(path), "rb") as file:
        return os.pread(file.fileno(), size, offset)


@contextlib.contextmanager
def near(folder: str, names: list[str]) -> Iterator[str]:
    """A local folder with these files, as far as they exist: the folder itself, or a copy while the block lasts."""
    if not is_url(folder):
        yield local(folder)
        return
    with tempfile.TemporaryDirectory(prefix="pairmill-shard-") as copy:
        for name in names:
            url = joined(folder, name)
            if size_of(url) is not None:
                _asked(url, lambda fs, path, name=name: fs.get_file(path, joined(copy, name)))  # type: ignore[misc]
        yield copy
