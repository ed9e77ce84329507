"""Folders of this machine. An object is written beside its final name under a temporary one, synced, then renamed."""

import errno
import fnmatch
import glob
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from transforms.storage.errors import StorageError

TEMPORARY_PREFIX = ".tmp-"


def exists(path: str) -> bool:
    return os.path.exists(path)


def size_bytes(path: str) -> int:
    return os.path.getsize(path)


def modified_s(path: str) -> float:
    return os.path.getmtime(path)


def make_folder(path: str) -> None:
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make the folder {path}: {error.strerror}; {remedy(error)}") from error


def list_names(folder: str, pattern: str) -> list[str]:
    if not os.path.isdir(folder):
        return []
    return sorted(n for n in os.listdir(folder) if not n.startswith(".") and fnmatch.fnmatchcase(n, pattern))


def glob_files(pattern: str) -> list[str]:
    pattern = literal_first(pattern, os.path.lexists)
    return [os.path.abspath(p) for p in sorted(glob.glob(pattern, recursive=True)) if os.path.isfile(p)]


def literal_first(pattern: str, is_there: Callable[[str], bool]) -> str:
    """The pattern in which names that are there as they are written, such as `photos [2019]`, stand for themselves."""
    plain, escaped = "", ""
    for part in re.split("(/)", pattern):
        plain += part
        if glob.has_magic(part) and part != "**" and is_there(plain):
            part = glob.escape(part)
        escaped += part
    return escaped


def open_for_reading(path: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error


def read_bytes(path: str) -> bytes:
    with open_for_reading(path) as file:
        return file.read()


def read_range(path: str, offset: int, length: int) -> bytes:
    with open_for_reading(path) as file:
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
        raise StorageError(f"cannot write {path_of()}: {error.strerror or error}; {remedy(error)}") from error
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
        folder = tempfile.gettempdir()
        raise StorageError(f"cannot write in {folder}: {error.strerror}; {remedy(error)}") from error


def remedy(error: OSError) -> str:
    """What a person can do about a file that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free some space and run again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "let this user write there, or choose another folder"
    if error.errno == errno.ENAMETOOLONG:
        return "choose a shorter name"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "allow more open files (ulimit -n) and run again"
    return "look after that disk and run again"


def delete(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


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
        shutil.rmtree(path)
