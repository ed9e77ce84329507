"""Object stores, through fsspec. An object appears when its upload is complete, so that no reader sees a half one.

Every request is repeated where that may help: first by the store's library, then here, a bounded number of times.
"""

import fnmatch
import io
import itertools
import posixpath
import random
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TypeVar, cast

from transforms.storage import errors
from transforms.storage.errors import StorageError, explained, failures
from transforms.storage.filesystems import has_folders, reached, upload_options, url_of, whole_read_options
from transforms.storage.local import TEMPORARY_PREFIX, scratch_errors

T = TypeVar("T")

ATTEMPTS = 5
FIRST_WAIT_S, LONGEST_WAIT_S, GIVE_UP_S = 0.5, 20.0, 300.0
WHOLE_BYTES = 8 << 20  # a smaller object is read with one request
BUFFER_BYTES = 4 << 20  # of a larger one
MAGIC = frozenset("*?[")
BATCH = 1_000  # keys that one request deletes: S3's limit
PROBE_S = 25.0
# What file systems call it: s3fs, gcsfs, adlfs; then times, of hdfs and of fsspec's memory too.
MARKS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "updated", "created")
OURS: tuple[type[BaseException], ...] = (StorageError, ImportError)


def patiently(url: str, doing: str, work: Callable[[Any, str], T]) -> T:
    """`work(file system, path)`, again after a growing random wait while the store is busy or the line breaks.

    Raises FileNotFoundError where an object is missing, StorageError for everything else.
    """
    end = time.monotonic() + GIVE_UP_S
    for attempt in itertools.count(1):
        try:
            return work(*reached(url))
        except failures() as error:
            if isinstance(error, FileNotFoundError) and errors.code_of(error) != "NoSuchBucket":
                raise
            if not errors.is_transient(error) or attempt == ATTEMPTS or time.monotonic() > end:
                raise explained(url, doing, error) from error
            time.sleep(random.uniform(0.5, 1) * min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (attempt - 1)))
    raise AssertionError("count() ends")


def _read(url: str, work: Callable[[Any, str], T]) -> T:
    try:
        return patiently(url, "read", work)
    except FileNotFoundError as error:
        raise explained(url, "read", error) from error


def exists(url: str) -> bool:
    try:
        patiently(url, "look for", lambda fs, path: fs.info(path))
    except FileNotFoundError:
        return False
    return True


def size_bytes(url: str) -> int:
    return int(_read(url, lambda fs, path: fs.info(path))["size"])


def modified_s(url: str) -> float:
    return _read(url, lambda fs, path: fs.modified(path)).timestamp()


def mark_of(url: str) -> str:
    """Of one request."""
    info = _read(url, lambda fs, path: fs.info(path))
    return next((f"{key}={info[key]}" for key in MARKS if info.get(key)), "")


def make_folder(url: str) -> None:
    """Object stores have none: a folder is there when something is in it."""


def list_names(folder: str, pattern: str) -> list[str]:
    names = (posixpath.basename(entry["name"].rstrip("/")) for entry in _entries(folder))
    return sorted({n for n in names if not n.startswith(".") and fnmatch.fnmatchcase(n, pattern)})


def _entries(folder: str) -> list[dict[str, Any]]:
    """The names in a folder, every page of them; nothing where it is missing."""

    def listed(fs: Any, path: str) -> list[dict[str, Any]]:
        found = fs.ls(path, detail=True)
        return [e for e in found if e["name"].strip("/") != path.strip("/")]  # a folder's own marker

    try:
        return patiently(folder, "list", listed)
    except FileNotFoundError:
        return []


def glob_files(pattern: str) -> list[str]:
    def globbed(fs: Any, path: str) -> list[str]:
        found = fs.glob(path, detail=True)
        return sorted(name for name, entry in found.items() if entry["type"] == "file")

    try:
        return [url_of(pattern, name) for name in patiently(pattern, "list", globbed)]
    except FileNotFoundError:
        return []


class RangeReader(io.RawIOBase):
    """A large object, read by ranges: seekable, and patient with the store."""

    def __init__(self, url: str, size: int) -> None:
        self._url, self._size, self._place = url, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        data = read_range(self._url, self._place, min(len(buffer), max(0, self._size - self._place)))
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


def open_for_reading(url: str) -> BinaryIO:
    size = size_bytes(url)
    if size <= WHOLE_BYTES:
        return io.BytesIO(read_bytes(url))
    return cast(BinaryIO, io.BufferedReader(RangeReader(url, size), BUFFER_BYTES))


def read_bytes(url: str) -> bytes:
    return _read(url, lambda fs, path: fs.cat_file(path, **whole_read_options(url)))


def read_range(url: str, offset: int, length: int) -> bytes:
    """One request."""

    def ranged(fs: Any, path: str) -> bytes:
        try:
            return fs.cat_file(path, start=offset, end=offset + length)
        except failures() as error:
            if errors.is_behind_the_end(error):
                return b""
            raise

    return _read(url, ranged) if length > 0 else b""


@contextmanager
def publishing(folder: str, url_of: Callable[[], str], *, keep_first: bool = False) -> Iterator[BinaryIO]:
    """`url_of` gives the final url, in `folder`, when all is written."""
    with scratch_errors():
        file = tempfile.NamedTemporaryFile(prefix="pairmill-")  # noqa: SIM115 - closed below
    with file:
        with scratch_errors():
            yield cast(BinaryIO, file.file)
            file.flush()
        _upload(file.name, url_of(), keep_first)


def _upload(source: str, url: str, keep_first: bool) -> None:
    """Put a local file under `url`, whole; with `keep_first`, only where nothing is."""
    if keep_first and exists(url):
        return
    try:
        patiently(url, "write", lambda fs, path: _put(fs, source, path, url, keep_first))
    except FileNotFoundError as error:
        raise explained(url, "write", error) from error


def _put(fs: Any, source: str, path: str, url: str, keep_first: bool) -> None:
    if has_folders(url):
        _put_and_rename(fs, source, path, keep_first)
        return
    try:
        fs.put_file(source, path, mode="create" if keep_first else "overwrite", **upload_options(url))
    except failures() as error:
        if keep_first and errors.is_there_already(error):
            return
        if not (keep_first and errors.is_unconditional(error)):
            raise
        fs.put_file(source, path, **upload_options(url))  # the look before was all that can be done


def _put_and_rename(fs: Any, source: str, path: str, keep_first: bool) -> None:
    """For stores that show a file while it grows."""
    temporary = posixpath.join(posixpath.dirname(path), f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
    try:
        fs.put_file(source, temporary)
        if fs.exists(path):
            if keep_first:
                return
            fs.rm_file(path)
        fs.mv(temporary, path)
    finally:
        if fs.exists(temporary):
            fs.rm_file(temporary)


def delete(url: str) -> None:
    try:
        patiently(url, "delete", lambda fs, path: fs.rm_file(path))
    except FileNotFoundError:
        return


def sweep(folder: str, keep: set[str]) -> list[str]:
    files = [entry["name"] for entry in _entries(folder) if entry["type"] == "file"]
    gone = sorted(name for name in files if posixpath.basename(name) not in keep)
    _delete_all(folder, gone)
    return [posixpath.basename(name) for name in gone]


def _delete_all(folder: str, names: list[str]) -> None:
    """Names are those that the file system lists."""
    plain = [n for n in names if not MAGIC.intersection(n)]
    for name in set(names).difference(plain):  # which the other way would take for a pattern
        patiently(folder, "delete in", lambda fs, path, name=name: fs.rm_file(name))  # type: ignore[misc]
    for first in range(0, len(plain), BATCH):
        batch = plain[first : first + BATCH]
        patiently(folder, "delete in", lambda fs, path, batch=batch: fs.rm(batch))  # type: ignore[misc]


def sweep_temporary(folder: str) -> None:
    """An upload that broke off has no name; only a store with folders shows it."""
    if has_folders(folder):
        found = _found(folder)
        _delete_all(folder, [n for n in found if posixpath.basename(n).startswith(TEMPORARY_PREFIX)])


def _found(folder: str) -> list[str]:
    """Every file below `folder`."""
    try:
        return patiently(folder, "list", lambda fs, path: list(fs.find(path)))
    except FileNotFoundError:
        return []


def delete_folder(folder: str) -> None:
    """Raises StorageError where something stays: S3 says what it did not delete only inside an answer of 200."""
    names = _found(folder)
    _delete_all(folder, names)
    left = set(names) & set(_found(folder)) if names else set()
    if left:
        raise StorageError(f"cannot delete {len(left)} objects in {folder}, such as {min(left)}; "
                           "ask for leave to delete there")  # fmt: skip
    if has_folders(folder) and exists(folder):
        patiently(folder, "delete", lambda fs, path: fs.rm(path, recursive=True))


def check_folder(folder: str) -> None:
    """Write, read, list and delete a small object there, before any work. Takes 30 s at most. Raises StorageError."""
    outcome: list[BaseException | None] = []

    def work() -> None:
        try:
            _probe(folder)
        except (*failures(), *OURS) as error:
            outcome.append(error)
        else:
            outcome.append(None)

    prober = threading.Thread(target=work, daemon=True)  # a store that hangs must not hold up the end of the process
    prober.start()
    prober.join(PROBE_S)
    error = outcome[0] if outcome else TimeoutError(f"no answer within {PROBE_S:.0f} s")
    if isinstance(error, StorageError):
        raise error
    if error is not None:
        raise explained(folder, "use", error) from error


def _probe(folder: str) -> None:
    fs, path = reached(folder, hurried=True)
    name = f"{TEMPORARY_PREFIX}probe-{uuid.uuid4().hex}"
    probe = posixpath.join(path, name)
    fs.pipe_file(probe, name.encode())
    try:
        read = fs.cat_file(probe)
        listed = [posixpath.basename(entry) for entry in fs.ls(path, detail=False)]
    finally:
        fs.rm_file(probe)
    if read != name.encode() or name not in listed:
        raise StorageError(f"cannot use {folder}: what was written there is not found again; "
                           "give a store that shows a new object at once")  # fmt: skip
