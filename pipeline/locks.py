"""Locks between processes that work in one run directory: the kernel's on a local disk, leases on an object store."""

import contextlib
import fcntl
from collections.abc import Callable, Iterator

from pipeline.errors import UsageError
from transforms import storage
from transforms.coordination.lease import LeaseTaken, held

EXPIRY_S = 20.0  # of a lease whose process was killed on another machine


Check = Callable[[], None]  # raises LeaseLost where another process may be at work by now


@contextlib.contextmanager
def only_one(run: str, part: tuple[int, int]) -> Iterator[Check]:
    """One process a run directory, or one a slice: slices work side by side, but never beside a whole run.

    Gives what is to be called before a manifest is written. Raises UsageError where another is at work.
    """
    whole = part[1] == 1
    own = "whole" if whole else f"{part[0]}-of-{part[1]}"
    with _exclusion(run, "run", shared=not whole, wait=False), _exclusion(run, own, wait=False) as check:
        yield check


@contextlib.contextmanager
def one_at_a_time(run: str, what: str) -> Iterator[None]:
    """Waits until no other process does `what` in this run directory."""
    with _exclusion(run, what, wait=True):
        yield


@contextlib.contextmanager
def _exclusion(run: str, what: str, *, wait: bool, shared: bool = False) -> Iterator[Check]:
    lock = _leased if storage.is_remote(run) else _locked
    with contextlib.ExitStack() as stack:
        try:
            check = stack.enter_context(lock(run, what, wait, shared))
        except (LeaseTaken, BlockingIOError) as error:
            raise UsageError(
                f"{run}: another pairmill is at work here; wait for it, or choose another --run-dir"
            ) from error
        yield check


@contextlib.contextmanager
def _leased(run: str, what: str, wait: bool, shared: bool) -> Iterator[Check]:
    with held(run, f"lock-{what}", EXPIRY_S, shared=shared, wait=wait) as lease:
        yield lease.check


@contextlib.contextmanager
def _locked(run: str, what: str, wait: bool, shared: bool) -> Iterator[Check]:
    """A lock is gone with its process, however that ended; the file means nothing by itself."""
    try:
        storage.make_folder(run)
    except storage.StorageError as error:
        raise UsageError(f"--run-dir: {error}; choose another one") from error
    path = storage.join(run, f".lock-{what}")
    try:
        lock = open(path, "w")  # noqa: SIM115 - closed below
    except OSError as error:
        raise UsageError(f"--run-dir: cannot write {path}: {error.strerror}; choose another one") from error
    with lock as file:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        yield lambda: None
