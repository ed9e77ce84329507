"""Keys that occur twice in a folder of shards, found with flat memory: keys go to files, one file at a time is read."""

import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

BUCKETS = 64


class KeyCheck:
    """A context that owns a temporary folder."""

    def __init__(self) -> None:
        self._shards: list[str] = []

    def __enter__(self) -> "KeyCheck":
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pairmill-validate-")))
            self._files: list[BinaryIO] = [stack.enter_context(open(folder / str(n), "w+b")) for n in range(BUCKETS)]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, shard: str, keys: Sequence[str]) -> None:
        """`keys` hold no line ends: the tar reader refuses names that do not print."""
        number = len(self._shards)
        self._shards.append(shard)
        for key in keys:
            line = f"{number} {key}\n".encode()
            self._files[zlib.crc32(key.encode()) % BUCKETS].write(line)

    def repeated(self) -> Iterator[tuple[str, str, str]]:
        """(key, shard, shard where it was first) of each repetition."""
        for file in self._files:
            file.seek(0)
            first: dict[bytes, int] = {}
            for line in file:
                number, _, key = line.rstrip(b"\n").partition(b" ")
                if key in first:
                    yield key.decode(), self._shards[int(number)], self._shards[first[key]]
                else:
                    first[key] = int(number)
