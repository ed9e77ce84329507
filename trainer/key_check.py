"""Keys that stand twice in a folder of shards, found with flat memory: hashes go to files, a file at a time is read."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

BUCKETS = 64
HASH_BYTES = 16
PLACE_BYTES = 8  # of the shard, and of the key in it: four each
RECORD_BYTES = HASH_BYTES + PLACE_BYTES


class KeyCheck:
    """A context that owns a temporary folder."""

    def __init__(self) -> None:
        self._shards: list[str] = []

    def __enter__(self) -> "KeyCheck":
        self._folder = tempfile.TemporaryDirectory(prefix="pairmill-validate-")
        self._files: list[BinaryIO] = [open(Path(self._folder.name) / str(n), "w+b") for n in range(BUCKETS)]
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()
        self._folder.cleanup()

    def add(self, shard: str, keys: Sequence[str]) -> None:
        number = len(self._shards).to_bytes(4, "big")
        self._shards.append(shard)
        for place, key in enumerate(keys):
            digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()[:HASH_BYTES]
            self._files[digest[0] % BUCKETS].write(digest + number + place.to_bytes(4, "big"))

    def repeated(self) -> Iterator[tuple[str, str, str]]:
        """(key's hash in hex, shard, shard where it stood first) of each repetition."""
        for file in self._files:
            file.seek(0)
            data = file.read()
            seen: dict[bytes, int] = {}
            for at in range(0, len(data), RECORD_BYTES):
                digest = data[at : at + HASH_BYTES]
                number = int.from_bytes(data[at + HASH_BYTES : at + HASH_BYTES + 4], "big")
                if digest in seen:
                    yield digest.hex(), self._shards[number], self._shards[seen[digest]]
                else:
                    seen[digest] = number
