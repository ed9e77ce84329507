"""What robots.txt and tdmrep.json of each host said, kept in the run directory for its rounds, stages and workers.

`hosts/TASK-of-TASKS-….parquet` holds what one of TASKS tasks has asked since its last file. The owner of a host is
known from its name and the number of tasks, which differs from stage to stage: who begins a task reads the files of
all tasks that can have owned a host of its own. A file is never changed, and no two attempts write the same one.
"""

import asyncio
import hashlib
import math
import time
import uuid
from collections.abc import Iterator

from filters.url import host_of
from transforms import rounds, run_dir, storage
from transforms.formats import parquet
from transforms.partition import task_of
from transforms.records import HostFile
from transforms.spool import Memory, Spool

ROBOTS, TDMREP = "/robots.txt", "/.well-known/tdmrep.json"
MEMORY_BYTES = 32 * 1024 * 1024  # of bodies; those beyond are in a temporary file
# A process that is killed forgets what it asked in the last seconds. The pauses grow with the time that a task has
# taken, so that the longest one writes some hundreds of files.
WRITE_AFTER_S = 2.0
WRITE_SHARE = 0.05


class HostFiles:
    """Of the hosts of one task. Without a run directory they are kept as long as this object."""

    def __init__(self, max_age_s: float, run: str | None = None, task: int = 0, tasks: int = 1) -> None:
        self._max_age_s, self._run, self._task, self._tasks = max_age_s, run, task, tasks
        self._known: dict[tuple[str, str], HostFile] = {}  # with the digest of the body instead of the body
        self._bodies = Spool(Memory(MEMORY_BYTES))
        self._digests: set[bytes] = set()  # many hosts say the same
        self._unwritten: list[HostFile] = []
        self._times_again = 0

    def find(self, origin: str, path: str) -> HostFile | None:
        """What is known of a file and not too old. A failure counts until somebody calls `retry` or `refresh`."""
        said = self._known.get((origin, path))
        if said is None or self.left_s(said) <= 0 or (said.reason and said.times_again != self._times_again):
            return None
        return said._replace(body=self._bodies.get(said.body) if said.body else b"")

    def left_s(self, said: HostFile) -> float:
        """How long it may still be relied on."""
        return said.asked_s + self._max_age_s - time.time()

    def note(self, said: HostFile) -> None:
        """Keep what was just asked."""
        said = said._replace(times_again=self._times_again)
        self._keep(said)
        if self._run is not None:
            self._unwritten.append(said)

    def _keep(self, said: HostFile) -> None:
        digest = hashlib.sha256(said.body).digest() if said.body else b""
        if digest and digest not in self._digests:
            self._digests.add(digest)
            self._bodies.put(digest, said.body)
        before = self._known.get((said.origin, said.path))
        if before is None or before.asked_s <= said.asked_s:
            self._known[said.origin, said.path] = said._replace(body=digest)

    async def __aenter__(self) -> "HostFiles":
        self._bodies.__enter__()
        await asyncio.to_thread(self._load)
        self._writing = asyncio.create_task(self._write_now_and_then())
        return self

    async def __aexit__(self, *error: object) -> None:
        """Raises StorageError where something could not be written."""
        self._writing.cancel()
        written = (await asyncio.gather(self._writing, return_exceptions=True))[0]
        with self._bodies:
            await self._write()
        if isinstance(written, storage.StorageError):
            raise written

    async def _write_now_and_then(self) -> None:
        began_s = time.monotonic()
        while True:
            await asyncio.sleep(max(WRITE_AFTER_S, WRITE_SHARE * (time.monotonic() - began_s)))
            await self._write()

    async def _write(self) -> None:
        if self._run is not None and self._unwritten:
            rows, self._unwritten = self._unwritten, []
            path = run_dir.host_files(self._run, self._task, self._tasks, uuid.uuid4().hex)
            await asyncio.to_thread(parquet.write_rows, path, HostFile, rows)

    def _load(self) -> None:
        if self._run is not None:
            self._times_again = rounds.times_again(self._run)
            for said in self._written(self._run):
                if self.left_s(said) > 0:
                    self._keep(said)

    def _written(self, run: str) -> Iterator[HostFile]:
        """The rows of other attempts and tasks that are of this task's hosts."""
        folder = run_dir.folder(run, run_dir.HOSTS)
        for name in storage.list_names(folder, "*.parquet"):
            task, tasks = run_dir.owner_of_host_files(name)
            is_own = (task, tasks) == (self._task, self._tasks)
            if (task - self._task) % math.gcd(tasks, self._tasks):
                continue  # no number is theirs and ours
            for said in parquet.read_rows(storage.join(folder, name), HostFile):
                if is_own or task_of(host_of(said.origin), self._tasks) == self._task:
                    yield said
