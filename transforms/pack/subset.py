"""`subset.npy`: DataComp's list of the samples in a subset, sorted; beyond RUN_ROWS of them on disk. No Beam."""

import binascii
import tempfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms import storage

SUBSET_TYPE = np.dtype("u8,u8")  # DataComp's: the halves of a uid
_UID = np.dtype("S16")  # sorts as the halves do
RUN_ROWS = 1_000_000  # that are sorted in memory at once: 16 MB, and as much again twice while they are sorted
BLOCK_ROWS = 1 << 15  # of each run that are in memory while the runs are merged: half a MB


def write_subset(sink: storage.Sink, folder: str, names: Iterable[str]) -> None:
    """Write the subset file of a folder's shards, given the names of their Parquets. Raises StorageError."""
    with storage.scratch_errors(), tempfile.TemporaryFile() as scratch:
        runs = [_append(scratch, run) for run in _sorted_runs(_uids_of(folder, names))]
        shape = (sum(count for _, count in runs),)
        header = {"descr": np.lib.format.dtype_to_descr(SUBSET_TYPE), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(sink, header)
        for block in _merged(scratch, runs):
            sink.write(block.view(">u8").astype("<u8").tobytes())


def _uids_of(folder: str, names: Iterable[str]) -> Iterator[np.ndarray]:
    """(rows,) of 16 bytes each, shard by shard."""
    for name in names:
        with storage.open_for_reading(storage.join(folder, name)) as file:
            for batch in pq.ParquetFile(file).iter_batches(columns=["uid", "source_uid"]):
                yield subset_uids(batch["uid"], batch["source_uid"])


def subset_uids(uids: pa.StringArray, source_uids: pa.StringArray) -> np.ndarray:
    """(rows,) of 16 bytes each: a uid as DataComp writes it. A foreign one speaks for itself where it has that form."""
    has_form = pc.match_substring_regex(source_uids, r"\A[0-9a-f]{32}\z")
    text = pc.if_else(has_form, source_uids, uids)
    return np.frombuffer(binascii.unhexlify("".join(text.to_pylist())), _UID)


def _sorted_runs(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same uids, some RUN_ROWS at a time, each time sorted."""
    waiting: list[np.ndarray] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= RUN_ROWS:
            yield np.sort(np.concatenate(waiting))
            waiting = []
    if waiting:
        yield np.sort(np.concatenate(waiting))


def _append(scratch: BinaryIO, run: np.ndarray) -> tuple[int, int]:
    """Where a run begins in the file, in bytes, and how many uids it has."""
    begin = scratch.tell()
    scratch.write(run.data)
    return begin, len(run)


def _merged(scratch: BinaryIO, runs: Iterable[tuple[int, int]]) -> Iterator[np.ndarray]:
    """The uids of sorted runs in one order, block by block."""
    readers = [_blocks(scratch, begin, count) for begin, count in runs]
    heads = {number: next(reader) for number, reader in enumerate(readers)}
    while heads:
        limit = min(head[-1] for head in heads.values())  # what is not read yet lies behind it
        taken = []
        for number, head in list(heads.items()):
            count = int(np.searchsorted(head, limit, "right"))
            taken.append(head[:count])
            rest = head[count:] if count < len(head) else next(readers[number], None)
            if rest is None:
                del heads[number]
            else:
                heads[number] = rest
        yield np.sort(np.concatenate(taken))


def _blocks(scratch: BinaryIO, begin: int, count: int) -> Iterator[np.ndarray]:
    for first in range(0, count, BLOCK_ROWS):
        scratch.seek(begin + first * _UID.itemsize)
        yield np.frombuffer(scratch.read(min(BLOCK_ROWS, count - first) * _UID.itemsize), _UID)
