"""Folders of this machine. An object is written beside its final name under a temporary one, synced, then renamed."""

import contextlib
import errno
import fnmatch
import glob
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from transforms.storage.errors import StorageError

TEMPORARY_PREFIX = ".tmp-"
SPACE = "free some space and run again"
PERMISSION = "ask for leave to write there, or name another folder"
REMEDIES = {
    errno.ENOSPC: SPACE,
    errno.EDQUOT: "your quota is used up: free some space and run again",
    errno.EACCES: PERMISSION,
    errno.EPERM: PERMISSION,
    errno.EROFS: "the disk is mounted for reading alone: name a folder on another one",
    errno.ENAMETOOLONG: "name a folder with a shorter path",
    errno.ENOTDIR: "a part of the path is a file: name another folder",
    errno.EEXIST: "a file has the name of the folder: move it away, or name another folder",
    errno.EISDIR: "a folder has the name of the file: move it away, or name another folder",
    errno.ENOENT: "the folder is gone: run again, and leave it where it is",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n) and run again",
    errno.ENFILE: "too many files are open on this machine: close some programs and run again",
    errno.EFBIG: f"{SPACE}; where there is enough, raise the limit of a file's size (ulimit -f)",
    errno.EIO: "the disk fails: check it, or name a folder on another one",
    errno.ESTALE: "the network disk has lost its server: mount it again, then run again",
}


def explained(doing: str, error: OSError) -> StorageError:
    """One line with what was being done, why it cannot be, and the remedy that fits."""
    remedy = REMEDIES.get(error.errno or 0, "look after that disk, then run again")
    return StorageError(f"{doing}: {error.strerror or error}; {remedy}")


def exists(path: str) -> bool:
    return os.path.exists(path)


def size_bytes(path: str) -> int:
    with _reading(path):
        return os.path.getsize(path)


def modified_s(path: str) -> float:
    with _reading(path):
        return os.path.getmtime(path)


def mark_of(path: str) -> str:
    with _reading(path):
        return str(os.stat(path).st_mtime_ns)


@contextmanager
def _reading(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error


def make_folder(path: str) -> None:
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise explained(f"cannot make the folder {path}", error) from error


def list_names(folder: str, pattern: str) -> list[str]:
    if not os.path.isdir(folder):
        return []
    with _reading(folder):
        return sorted(n for n in os.listdir(folder) if not n.startswith(".") and fnmatch.fnmatchcase(n, pattern))


def glob_files(pattern: str) -> list[str]:
    return [os.path.abspath(p) for p in sorted(glob.glob(pattern, recursive=True)) if os.path.isfile(p)]


def open_for_reading(path: str) -> BinaryIO:
    with _reading(path):
        return open(path, "rb")


def read_bytes(path: str) -> bytes:
    with open_for_reading(path) as file, _reading(path):
        return file.read()


def read_range(path: str, offset: int, length: int) -> bytes:
    with open_for_reading(path) as file, _reading(path):
        return os.pread(file.fileno(), length, offset)


@contextmanager
def publishing(folder: str, path_of: Callable[[], str], *, keep_first: bool = False) -> Iterator[BinaryIO]:
    """`path_of` gives the final path, in `folder`, when all is written."""
    temporary = os.path.join(folder, f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
    make_folder(folder or ".")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _put(temporary, path_of(), keep_first)
    except OSError as error:
        raise explained(f"cannot write {path_of()}", error) from error
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


@contextmanager
def scratch_errors() -> Iterator[None]:
    """Turns what a full disk says about a temporary file into a StorageError."""
    try:
        yield
    except OSError as error:
        folder = "the folder of temporary files (TMPDIR)"
        with contextlib.suppress(FileNotFoundError):  # what it raises where no such folder can be written
            folder = tempfile.gettempdir()
        raise explained(f"cannot write in {folder}", error) from error


def delete(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise explained(f"cannot delete {path}", error) from error


def sweep(folder: str, keep: set[str]) -> list[str]:
    if not os.path.isdir(folder):
        return []
    gone = [n for n in sorted(os.listdir(folder)) if n not in keep and os.path.isfile(os.path.join(folder, n))]
    for name in gone:
        delete(os.path.join(folder, name))
    return gone


def sweep_temporary(folder: str) -> None:
    for path, _, names in os.walk(folder):
        for name in names:
            if name.startswith(TEMPORARY_PREFIX):
                delete(os.path.join(path, name))


def delete_folder(path: str) -> None:
    if os.path.isdir(path):
        try:
            shutil.rmtree(path)
        except OSError as error:
            raise explained(f"cannot delete {path}", error) from error
