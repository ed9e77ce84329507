"""Whether a folder of shards is sound: every file, every sample, every row, every hash. Needs no torch.

Sound means: tars and Parquets tell the same samples in the same order, with the bytes that their hashes promise;
images decode; keys are unique over all shards; `sizes.json`, `subset.npy` and `manifest.json` describe exactly what
lies there. A folder without `manifest.json`, such as img2dataset's own, is checked as far as its files tell.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trainer import files
from trainer.data import tars_of
from trainer.errors import ShardError
from trainer.key_check import KeyCheck
from trainer.shard_check import Finding, ShardCheck

MANIFEST, SIZES, SUBSET, CARD = "manifest.json", "sizes.json", "subset.npy", "README.md"
FORMAT = "pairmill-shards"
KNOWN_VERSIONS = (1,)
SUBSET_TYPE = np.dtype("u8,u8")  # DataComp's
MAX_FINDINGS_A_SHARD = 1_000
COPY_BYTES = 1 << 20


class Checked(NamedTuple):
    """What a worker finds out about one shard."""

    shard: str
    findings: list[Finding]
    keys: list[str]
    entries: list[tuple[int, int]]


def validate(folder: str | Path, *, jobs: int = 1) -> list[Finding]:
    """Everything unsound in `folder`; empty where it is sound. Raises ShardError where there is nothing to check."""
    return list(findings_in(str(folder), jobs, Totals()))


class Totals:
    """What was counted on the way."""

    def __init__(self) -> None:
        self.shards = 0
        self.samples: dict[str, int] = {}  # by tar


def findings_in(folder: str, jobs: int, totals: Totals) -> Iterator[Finding]:
    """The findings, as they are made."""
    names = [Path(tar).name for tar in tars_of(folder)]
    manifest = _read_manifest(folder)
    yield from manifest.findings
    yield from check_files(folder, names, manifest.value)
    with KeyCheck() as keys, files.near(folder, [SUBSET]) as copy:
        subset = Subset(Path(copy))
        for checked in check_shards(folder, names, manifest.value is not None, jobs):
            totals.samples[checked.shard] = len(checked.keys)
            yield from checked.findings[:MAX_FINDINGS_A_SHARD]
            if len(checked.findings) > MAX_FINDINGS_A_SHARD:
                yield Finding(checked.shard, "", f"{len(checked.findings) - MAX_FINDINGS_A_SHARD} more findings")
            yield from subset.missing(checked)
            keys.add(checked.shard, checked.keys)
        for key, shard, first in keys.repeated():
            yield Finding(shard, key, f"key also stands in {first}")
        yield from subset.findings(sum(totals.samples.values()), manifest.value is not None)
    yield from check_counts(folder, manifest.value, totals.samples)


def check_shards(folder: str, names: list[str], strict: bool, jobs: int) -> Iterable[Checked]:
    work = partial(check_shard, folder, strict=strict)
    if jobs <= 1 or len(names) == 1:
        return map(work, names)
    return _in_processes(ProcessPoolExecutor(min(jobs, len(names))), work, names)


def _in_processes(pool: Executor, work: Any, names: list[str]) -> Iterator[Checked]:
    with pool:
        yield from pool.map(work, names)


def check_shard(folder: str, name: str, strict: bool) -> Checked:
    stem = name.removesuffix(".tar")
    with files.near(folder, [name, f"{stem}.parquet"]) as copy:
        check = ShardCheck(copy, stem, strict).run()
    return Checked(name, check.findings, check.keys, check.entries)


class Manifest(NamedTuple):
    """`manifest.json` as far as it can be read, and what is wrong with it."""

    value: dict[str, Any] | None
    findings: list[Finding]


def _read_manifest(folder: str) -> Manifest:
    path = files.joined(folder, MANIFEST)
    if files.size_of(path) is None:
        # only we and DataComp write it; a manifest was there or the run broke off
        own = files.size_of(files.joined(folder, SUBSET)) is not None
        return Manifest(None, [Finding(MANIFEST, "", "missing: the shards were not finished")] if own else [])
    value = read_json(path)
    if not isinstance(value, dict) or not isinstance(value.get("shards"), list):
        return Manifest({}, [Finding(MANIFEST, "", "is no JSON object with a list of shards")])
    findings = []
    if value.get("format") != FORMAT:
        findings.append(Finding(MANIFEST, "", f"format is {value.get('format')!r}, expected {FORMAT!r}"))
    if value.get("schema_version") not in KNOWN_VERSIONS:
        findings.append(Finding(MANIFEST, "", f"schema_version {value.get('schema_version')!r} is unknown here"))
    return Manifest(value, findings)


def read_json(path: str) -> Any:
    """The value; None where it cannot be read."""
    try:
        return json.loads(files.read_bytes(path).decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def check_files(folder: str, tars: list[str], manifest: dict[str, Any] | None) -> Iterator[Finding]:
    """Sizes and hashes of what the manifest names; what is missing, and what nobody names."""
    if manifest is None:
        return
    named = {MANIFEST, CARD}
    for entry in files_in(manifest):
        named.add(entry.name)
        yield from check_file(folder, entry)
    for name in files.names_in(folder):
        if name not in named:
            yield Finding(name, "", "stray: the manifest does not name it")


class File(NamedTuple):
    """A file that the manifest names."""

    name: str
    sha256: str | None
    size_bytes: int | None


def files_in(manifest: dict[str, Any]) -> Iterator[File]:
    for shard in manifest.get("shards", []):
        for entry in (shard, shard.get("parquet") if isinstance(shard, dict) else None):
            if isinstance(entry, dict) and isinstance(entry.get("name"), str):
                yield File(entry["name"], entry.get("sha256"), entry.get("size_bytes"))
            else:
                yield File("", None, None)
    others = manifest.get("files")
    for name, stated in (others if isinstance(others, dict) else {SIZES: None, SUBSET: None}).items():
        yield File(name, stated.get("sha256") if isinstance(stated, dict) else stated, None)


def check_file(folder: str, file: File) -> Iterator[Finding]:
    if not file.name or Path(file.name).name != file.name:
        yield Finding(MANIFEST, "", f"an entry without the name of a file: {file.name!r}")
        return
    path = files.joined(folder, file.name)
    size = files.size_of(path)
    if size is None:
        yield Finding(file.name, "", "missing")
        return
    if file.size_bytes is not None and size != file.size_bytes:
        yield Finding(file.name, "", f"{size} bytes, the manifest says {file.size_bytes}")
    if file.sha256 is not None and sha256_of(path) != file.sha256:
        yield Finding(file.name, "", "bytes differ from the manifest's sha256")


def sha256_of(path: str) -> str:
    digest = hashlib.sha256()
    with files.opened(path) as file:
        while block := file.read(COPY_BYTES):
            digest.update(block)
    return digest.hexdigest()


def check_counts(folder: str, manifest: dict[str, Any] | None, samples: dict[str, int]) -> Iterator[Finding]:
    """Numbers of samples in `sizes.json` and in the manifest."""
    sizes = read_json(files.joined(folder, SIZES))
    if manifest is not None and sizes is None:
        yield Finding(SIZES, "", "cannot be read as JSON")
    if isinstance(sizes, dict):
        yield from _differing(SIZES, sizes, samples)
    if manifest:
        stated = {s["name"]: s.get("samples") for s in manifest["shards"] if isinstance(s, dict) and "name" in s}
        yield from _differing(MANIFEST, stated, samples)
        if manifest.get("samples") != sum(samples.values()):
            yield Finding(MANIFEST, "", f"samples is {manifest.get('samples')}, there are {sum(samples.values())}")


def _differing(name: str, stated: dict[str, Any], samples: dict[str, int]) -> Iterator[Finding]:
    for shard in sorted({*stated, *samples}):
        if stated.get(shard) != samples.get(shard):
            yield Finding(shard, "", f"{samples.get(shard, 'no')} samples, {name} says {stated.get(shard, 'nothing')}")


class Subset:
    """`subset.npy`, read from disk as it is needed."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / SUBSET
        self._entries: np.ndarray | None = None
        self._broken = ""
        if not self._path.is_file():
            return
        try:
            found = np.load(self._path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            self._broken = f"cannot be read: {error}"
            return
        if found.dtype == SUBSET_TYPE and found.ndim == 1:
            self._entries = found
        else:
            self._broken = f"dtype {found.dtype}, {found.ndim} dimensions; expected {SUBSET_TYPE}, 1"

    def missing(self, checked: Checked) -> Iterator[Finding]:
        """Samples of a shard that are not in the subset."""
        if self._entries is None or not checked.entries:
            return
        places = np.searchsorted(self._entries, np.array(checked.entries, SUBSET_TYPE))
        for place, entry in zip(places, checked.entries, strict=True):
            if place >= len(self._entries) or tuple(self._entries[place]) != entry:
                yield Finding(checked.shard, f"{entry[0]:016x}{entry[1]:016x}", f"not in {SUBSET}")

    def findings(self, samples: int, strict: bool) -> Iterator[Finding]:
        if self._broken:
            yield Finding(SUBSET, "", self._broken)
        if self._entries is None or not strict:
            return
        if len(self._entries) != samples:
            yield Finding(SUBSET, "", f"{len(self._entries)} entries for {samples} samples")
        if not is_sorted(self._entries):
            yield Finding(SUBSET, "", "not sorted")


def is_sorted(entries: np.ndarray) -> bool:
    """By first half, then second. `entries`: (n,) of u8,u8."""
    high, low = entries["f0"], entries["f1"]
    return bool(np.all((high[:-1] < high[1:]) | ((high[:-1] == high[1:]) & (low[:-1] <= low[1:]))))


def main(args: argparse.Namespace) -> int:
    """`pairmill validate SHARDS`. Returns 0 where the folder is sound, 1 where it is not."""
    if args.jobs < 1:
        raise ShardError(f"--jobs {args.jobs}: expected 1 or more")
    totals, unsound = Totals(), 0
    for finding in findings_in(args.shards, args.jobs, totals):
        print(f"{finding.shard}  {finding.key or '-'}  {finding.what}")
        unsound += 1
    counted = f"{len(totals.samples):,} shards, {sum(totals.samples.values()):,} samples"
    if unsound:
        print(f"unsound: {unsound} findings in {counted}", file=sys.stderr)
        return 1
    print(f"sound: {counted}")
    return 0
