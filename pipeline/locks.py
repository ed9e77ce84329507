"""Locks between processes that work in one run directory."""

import contextlib
import fcntl
from collections.abc import Iterator

from pipeline.errors import UsageError
from transforms import storage


@contextlib.contextmanager
def only_one(run: str, part: tuple[int, int]) -> Iterator[None]:
    """One process a run directory, or one a slice: slices work side by side, but never beside a whole run.

    Raises UsageError where another is at work.
    """
    whole = part[1] == 1
    with _held(run, "run", shared=not whole), _held(run, "whole" if whole else f"{part[0]}-of-{part[1]}"):
        yield


@contextlib.contextmanager
def _held(run: str, what: str, shared: bool = False) -> Iterator[None]:
    with _lock_file(run, what) as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"{run}: another pairmill is at work here; wait for it, or choose another --run-dir"
            ) from error
        yield


@contextlib.contextmanager
def one_at_a_time(run: str, what: str) -> Iterator[None]:
    """Waits until no other process does `what` in this run directory."""
    with _lock_file(run, what) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _lock_file(run: str, what: str) -> Iterator[int]:
    """A lock is gone with its process, however that ended; the file means nothing by itself."""
    try:
        storage.make_folder(run)
    except storage.StorageError as error:
        raise UsageError(f"--run-dir: {error}; choose another one") from error
    with open(storage.join(run, f".lock-{what}"), "w") as file:
        yield file.fileno()
