"""What a run directory says of itself: which stages are done, from what, with which settings.

`manifest/<stage>[.NAME].json` is written last and holds nothing that a clock or a machine put there;
`<stage>.started.json` is written first; clocks go to `<stage>.log.json`.
"""

import contextlib
import hashlib
import json
import platform
import resource
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from importlib import metadata
from typing import Any, NamedTuple

from pipeline import __version__
from pipeline.errors import UsageError
from transforms import run_dir, storage
from transforms.records import SCHEMA_VERSION

URL_IDENTITY = 1
VERSIONED = ("apache-beam", "pyarrow", "pillow", "numpy", "torch", "open_clip_torch", "selectolax", "pdqhash")
WHOLE_BYTES = 4 << 30  # of a stage's inputs, that are read whole for their digests: some seconds
SETTLED_S = 2.0  # a younger file may be written again in the same tick of its disk's clock
BLOCKS, BLOCK_BYTES = 16, 1 << 18  # that are read of each larger file, the first and the last among them


class Stamp(NamedTuple):
    """What a stage's output depends on."""

    settings: dict[str, Any]  # those that change a row's content
    inputs: dict[str, str]  # name → digest

    @property
    def fingerprint(self) -> str:
        return digest_of({"settings": self.settings, "inputs": self.inputs, "schema_version": SCHEMA_VERSION})


def digest_of(value: Any) -> str:
    """SHA-256 (hex) of a value as canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class Manifests:
    """The `manifest/` folder of a run."""

    def __init__(self, run: str) -> None:
        self._folder = run_dir.folder(run, run_dir.MANIFEST)

    def read(self, label: str) -> dict[str, Any] | None:
        """The manifest of a finished stage, or None."""
        return self._read(f"{label}.json")

    def started(self, label: str) -> dict[str, Any] | None:
        return self._read(f"{label}.started.json")

    def log(self, label: str) -> dict[str, Any] | None:
        return self._read(f"{label}.log.json")

    def _read(self, name: str) -> dict[str, Any] | None:
        path = storage.join(self._folder, name)
        if not storage.exists(path):
            return None
        try:
            return json.loads(storage.read_bytes(path))
        except ValueError as error:
            raise UsageError(f"{path}: not readable as JSON ({error}); delete it to run the stage again") from error

    def start(self, label: str, stamp: Stamp) -> None:
        self._write(f"{label}.started.json", {"stage": label, "fingerprint": stamp.fingerprint, **stamp._asdict()})

    def finish(self, label: str, stamp: Stamp, facts: dict[str, Any], log: dict[str, Any]) -> None:
        """Write the log, then, last of all, the manifest."""
        self._write(f"{label}.log.json", log)
        whole = {"stage": label, "fingerprint": stamp.fingerprint, "schema_version": SCHEMA_VERSION}
        whole |= {"url_identity": URL_IDENTITY, **stamp._asdict(), **facts}
        self._write(f"{label}.json", whole)

    def _write(self, name: str, value: Any) -> None:
        data = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        storage.publish(storage.join(self._folder, name), data.encode())

    def withdraw(self, label: str) -> None:
        """A finished stage is begun again: what it was begun with stays."""
        storage.delete(storage.join(self._folder, f"{label}.json"))

    def forget(self, label: str) -> None:
        for name in (f"{label}.json", f"{label}.started.json", f"{label}.log.json"):
            storage.delete(storage.join(self._folder, name))

    def labels(self, stage: str) -> list[str]:
        """The labels under which a stage has been started here: `select.main`, `select.strict`, ..."""
        names = storage.list_names(self._folder, f"{stage}*.started.json")
        return [n.removesuffix(".started.json") for n in names if n.split(".")[0] == stage]


def outputs_of(folder: str, names: Iterable[str]) -> dict[str, str]:
    """name → SHA-256 (hex) of the files of `folder` that commit something."""
    return {name: storage.sha256_of(storage.join(folder, name)) for name in names}


def digests_of_inputs(paths: Sequence[str]) -> list[str]:
    """A digest (hex) of each of a user's files, by which an edit is seen. Raises StorageError.

    Local files are read whole, the smallest first, up to WHOLE_BYTES in all. Of the others, and of objects in stores,
    counts what tells them apart without reading terabytes: size, the store's or disk's own mark, and some blocks.
    """
    sizes = {path: storage.size_bytes(path) for path in paths}
    digests, left = {}, WHOLE_BYTES
    for path in sorted(sizes, key=lambda path: (sizes[path], path)):
        is_whole = not storage.is_remote(path) and sizes[path] <= left
        left -= sizes[path] if is_whole else 0
        is_settled = storage.is_remote(path) or time.time() - storage.modified_s(path) > SETTLED_S
        work = _digest_of_input if is_settled else _digest_of_input.__wrapped__
        digests[path] = work(path, sizes[path], storage.mark_of(path), is_whole)
    return [digests[path] for path in paths]


@lru_cache(maxsize=100_000)
def _digest_of_input(path: str, size: int, mark: str, is_whole: bool) -> str:
    """Remembered as long as size and mark stay: a command asks several times. A whole digest does not hold the mark, so
    that a file may be copied."""
    if is_whole:
        return storage.sha256_of(path)
    digest = hashlib.sha256(f"{size}:{mark}:".encode())
    last = max(0, size - BLOCK_BYTES)
    for number in range(BLOCKS):
        digest.update(storage.read_range(path, last * number // (BLOCKS - 1), BLOCK_BYTES))
    return digest.hexdigest()


def differing_keys(old: Any, new: Any, prefix: str = "") -> list[str]:
    """The dotted keys at which two settings differ, with both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(set(old) | set(new))
        return [line for k in keys for line in differing_keys(old.get(k), new.get(k), f"{prefix}.{k}" if prefix else k)]
    return [] if old == new else [f"{prefix}: {_short(old)} → {_short(new)}"]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def machine_log(began: datetime, duration_s: float) -> dict[str, Any]:
    """What depends on clock and machine: CPU seconds of this process and its children, bytes of the largest one."""
    me, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = me.ru_utime + me.ru_stime + children.ru_utime + children.ru_stime
    return {
        "started": began.isoformat(timespec="seconds"),
        "duration_s": round(duration_s, 3),
        "cpu_s": round(cpu_s, 3),
        "peak_bytes": max(me.ru_maxrss, children.ru_maxrss) * 1024,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of this package, Python, and the libraries that decide what a run gives."""
    found = {"pairmill": __version__, "python": platform.python_version()}
    for package in VERSIONED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found
