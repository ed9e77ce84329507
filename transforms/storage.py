"""The one module that knows where files live. Local folders now; object stores come in behind the same names.

Paths are strings with "/". An object appears whole under its final name or not at all: it is written beside it under
a temporary name, synced, then renamed. Readers never see temporary names.
"""

import fnmatch
import hashlib
import io
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from transforms.trouble import Trouble

TEMPORARY_PREFIX = ".tmp-"
COPY_BYTES = 1 << 20


class StorageError(Trouble):
    """A file could not be read or written; the message names it and the remedy."""


def join(*parts: str) -> str:
    """`a/b/c` of "a", "b", "c"."""
    return os.path.join(*parts)


def exists(path: str) -> bool:
    return os.path.exists(path)


def size_bytes(path: str) -> int:
    return os.path.getsize(path)


def make_folder(path: str) -> None:
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make the folder {path}: {error.strerror}") from error


def list_names(folder: str, pattern: str = "*") -> list[str]:
    """Names (not paths) in `folder` that match the shell `pattern`, sorted; none where the folder is missing."""
    if not os.path.isdir(folder):
        return []
    return sorted(n for n in os.listdir(folder) if not n.startswith(".") and fnmatch.fnmatchcase(n, pattern))


def open_for_reading(path: str) -> BinaryIO:
    """Raises StorageError where the file cannot be opened."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error


def read_bytes(path: str) -> bytes:
    with open_for_reading(path) as file:
        return file.read()


def read_range(path: str, offset: int, length: int) -> bytes:
    """`length` bytes from `offset`; fewer where the file ends. Raises StorageError."""
    with open_for_reading(path) as file:
        return os.pread(file.fileno(), length, offset)


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
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}-{name}")
    make_folder(folder or ".")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _put(temporary, path, keep_first)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}; free some space and run again") from error
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def _put(temporary: str, path: str, keep_first: bool) -> None:
    if keep_first:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
    else:
        os.replace(temporary, path)
    _sync_folder(os.path.dirname(path) or ".")


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish_file(path: str, file: BinaryIO) -> None:
    """Write what stands in `file`, from its beginning, whole under `path`."""
    file.seek(0)
    with publishing(path) as target:
        while block := file.read(COPY_BYTES):
            target.write(block)


def publish(path: str, data: bytes, *, keep_first: bool = False) -> None:
    """Write `data` whole under `path`."""
    with publishing(path, keep_first=keep_first) as file:
        file.write(data)


@contextmanager
def scratch_errors() -> Iterator[None]:
    """Turns what a full disk says about a temporary file into a StorageError."""
    try:
        yield
    except OSError as error:
        place = tempfile.gettempdir()
        raise StorageError(f"cannot write in {place}: {error.strerror}; free some space and run again") from error


@contextmanager
def scratch_file() -> Iterator[io.BufferedRandom]:
    """A nameless file that is gone when the block ends. Raises StorageError where its disk is full."""
    with scratch_errors(), tempfile.TemporaryFile() as file:
        yield file


def delete(path: str) -> None:
    """Remove a file; one that is already gone is no error."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def sweep(folder: str, keep: set[str]) -> list[str]:
    """Delete what no commit names: every file of `folder` that is not in `keep`, temporary ones included."""
    if not os.path.isdir(folder):
        return []
    gone = [n for n in sorted(os.listdir(folder)) if n not in keep and os.path.isfile(os.path.join(folder, n))]
    for name in gone:
        delete(os.path.join(folder, name))
    return gone


def sweep_temporary(folder: str) -> None:
    """Delete what dead processes left half written in `folder` and below. Nobody else may be writing there."""
    for path, _, names in os.walk(folder):
        for name in names:
            if name.startswith(TEMPORARY_PREFIX):
                delete(os.path.join(path, name))


def delete_folder(path: str) -> None:
    """Remove a folder with all that is in it; one that is missing is no error."""
    if os.path.isdir(path):
        shutil.rmtree(path)
