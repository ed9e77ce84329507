"""Where a row belongs: seeded hashes that are the same on every machine and every day."""

import hashlib


def stable_hash(*parts: bytes | str) -> int:
    """The first 8 bytes of SHA-256 over the parts, as an unsigned integer."""
    return int.from_bytes(stable_bytes(*parts), "big")


def stable_bytes(*parts: bytes | str) -> bytes:
    """The first 8 bytes of SHA-256 over the parts, each preceded by its length so that parts cannot run together."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(4, "big") + data)
    return digest.digest()[:8]


def partition_of(uid: bytes, parts: int) -> int:
    """Which of `parts` output files holds `uid`."""
    return int.from_bytes(uid[:4], "big") % parts


def task_of(host: str, tasks: int) -> int:
    """Which of `tasks` owns `host`: a host is never split, so that its limits hold over all workers."""
    return stable_hash(host) % tasks
