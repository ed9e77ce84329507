"""The one module that knows where files live: on this machine, or in an object store behind a url.

Paths are strings with "/". An object appears whole under its final name or not at all; readers never see temporary
names. Credentials come from each store's usual environment alone.
"""

import glob
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import BinaryIO, Protocol

from transforms.storage import filesystems, local, remote
from transforms.storage.errors import StorageError
from transforms.storage.local import TEMPORARY_PREFIX, scratch_errors

__all__ = ["TEMPORARY_PREFIX", "StorageError", "scratch_errors"]

COPY_BYTES = 1 << 20
LOCAL_SCHEME = "file://"


def is_remote(path: str) -> bool:
    """Whether a path is the url of an object store."""
    return filesystems.URL.match(path) is not None and not path.startswith(LOCAL_SCHEME)


def _at(path: str) -> tuple[ModuleType, str]:
    """The module that serves a path, and the path as it takes it."""
    return (remote, path) if is_remote(path) else (local, path.removeprefix(LOCAL_SCHEME))


def absolute(path: str) -> str:
    """A local path made absolute; a url without the slashes at its end."""
    store, path = _at(path)
    return path.rstrip("/") if store is remote else os.path.abspath(path)


def join(*parts: str) -> str:
    """`a/b/c` of "a", "b", "c"; a part that is absolute, or a url, begins anew."""
    first = max((n for n, part in enumerate(parts) if is_remote(part)), default=0)
    return os.path.join(*parts[first:])


def exists(path: str) -> bool:
    store, path = _at(path)
    return store.exists(path)


def size_bytes(path: str) -> int:
    store, path = _at(path)
    return store.size_bytes(path)


def modified_s(path: str) -> float:
    """When a file was written, in seconds since 1970."""
    store, path = _at(path)
    return store.modified_s(path)


def mark_of(path: str) -> str:
    """What changes when a file is written again: its time in nanoseconds, or what its store gives for that; "" where
    it gives nothing. Raises StorageError."""
    store, path = _at(path)
    return store.mark_of(path)


def make_folder(path: str) -> None:
    store, path = _at(path)
    store.make_folder(path)


def list_names(folder: str, pattern: str = "*") -> list[str]:
    """Names (not paths) in `folder` that match the shell `pattern`, sorted; none where the folder is missing."""
    store, folder = _at(folder)
    return store.list_names(folder, pattern)


def glob_files(pattern: str) -> list[str]:
    """Absolute paths, or urls, of the files that a pattern matches, sorted; ** matches any number of folders.

    What is really called so comes first: `a[1].csv` is that file where there is one, and else `a1.csv`.
    """
    store, pattern = _at(pattern)
    for meaning in _meanings(pattern, store.exists):
        if found := store.glob_files(meaning):
            return found
    return []


def _meanings(pattern: str, is_there: Callable[[str], bool]) -> list[str]:
    """What a pattern may mean, the most literal first: all of it a name; folders that are there, then brackets as
    they are; a pattern from the first name on that is not there."""
    names = pattern.split("/")
    first = next((n for n, name in enumerate(names) if glob.has_magic(name)), len(names))
    while first < len(names) and is_there("/".join(names[: first + 1])):
        first += 1
    literal = [glob.escape(name) for name in names[:first]]
    plain = [name.replace("[", "[[]") for name in names[first:]]
    return list(dict.fromkeys("/".join([*literal, *rest]) for rest in (plain, names[first:])))


def open_for_reading(path: str) -> BinaryIO:
    """A seekable file. Raises StorageError where it cannot be opened."""
    store, path = _at(path)
    return store.open_for_reading(path)


def read_bytes(path: str) -> bytes:
    """Raises StorageError."""
    store, path = _at(path)
    return store.read_bytes(path)


def read_text(path: str) -> str:
    """Raises StorageError; UnicodeDecodeError where it is no UTF-8."""
    return read_bytes(path).decode("utf-8")


def read_range(path: str, offset: int, length: int) -> bytes:
    """`length` bytes from `offset`; fewer where the file ends. Raises StorageError."""
    store, path = _at(path)
    return store.read_range(path, offset, length)


def sha256_of(path: str) -> str:
    """The SHA-256 (hex) of a file's content. Raises StorageError."""
    digest = hashlib.sha256()
    with open_for_reading(path) as file:
        while block := file.read(COPY_BYTES):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def publishing(path: str, *, keep_first: bool = False) -> Iterator[BinaryIO]:
    """A file that appears under `path` when the block ends well, and leaves nothing behind when it does not.

    With `keep_first`, an object that is already there stays: of two attempts at one part the first one counts.
    Raises StorageError where the disk is full or the folder cannot be written.
    """
    store, path = _at(path)
    with store.publishing(os.path.dirname(path), lambda: path, keep_first=keep_first) as file:
        yield file


class Sink(Protocol):
    """Where bytes can be written."""

    def write(self, data: bytes, /) -> object: ...


class Digesting:
    """A file that is written, and the SHA-256 of what was written."""

    def __init__(self, file: BinaryIO, digest: "hashlib._Hash") -> None:
        self._file, self._digest = file, digest
        self.size_bytes = 0

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self.size_bytes += len(data)
        return self._file.write(data)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


@contextmanager
def publishing_by_digest(folder: str, name_of: Callable[[str], str]) -> Iterator[Digesting]:
    """A file that appears in `folder` under the name that `name_of` gives to its SHA-256 (hex). See `publishing`."""
    store, folder = _at(folder)
    digest = hashlib.sha256()
    with store.publishing(folder, lambda: join(folder, name_of(digest.hexdigest()))) as file:
        yield Digesting(file, digest)


def publish(path: str, data: bytes, *, keep_first: bool = False) -> None:
    """Write `data` whole under `path`."""
    with publishing(path, keep_first=keep_first) as file:
        file.write(data)


def delete(path: str) -> None:
    """Remove a file; one that is already gone is no error."""
    store, path = _at(path)
    store.delete(path)


def sweep(folder: str, keep: set[str]) -> list[str]:
    """Delete what no commit names: every file of `folder` that is not in `keep`, temporary ones included."""
    store, folder = _at(folder)
    return store.sweep(folder, keep)


def sweep_temporary(folder: str) -> None:
    """Delete what dead processes left half written in `folder` and below. Nobody else may be writing there."""
    store, folder = _at(folder)
    store.sweep_temporary(folder)


def delete_folder(path: str) -> None:
    """Remove a folder with all that is in it; one that is missing is no error."""
    store, path = _at(path)
    store.delete_folder(path)


def check_folder(url: str) -> None:
    """Whether a folder of an object store can be worked in, found within 30 s. Raises StorageError with the remedy."""
    remote.check_folder(url)
