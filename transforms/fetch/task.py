"""Fetches one task: its parts begin in order and overlap, each is committed whole. No Beam.

A part ends with its slowest host, and one row in twenty on the web ends with a deadline: were each part to wait for
the one before, most of what may be under way would stand still. So the next ones begin meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from itertools import groupby
from typing import NamedTuple

from filters.url import host_of
from transforms import storage
from transforms.coordination.fatal import FatalError
from transforms.coordination.lease import Lease
from transforms.fetch.again import standing_before
from transforms.fetch.commit import Memory, Spool, commit_part, is_committed
from transforms.fetch.download import Fetcher
from transforms.fetch.plan import stem
from transforms.fetch.rows import Fetched, is_ours, standing
from transforms.fetch.settings import FetchSettings
from transforms.formats import parquet
from transforms.image.pool import DecodeQueue, shared_pool
from transforms.partition import task_of
from transforms.records import PlanRow
from transforms.web.polite import PoliteWeb
from transforms.web.settings import WebSettings

ROWS_BEGUN = 2_048  # and without an outcome; most of them wait for their host
MAX_LOCAL_SHARE = 0.2  # of a part: beyond it the network is broken, below it a few names are odd
MAX_ODD_SHARE = 0.05  # of a part: above it the network may be broken, and gets time to come back
AGAIN_AT_ONCE = 64  # requests for what failed on our side: a network in trouble is not asked everything at once
BATCH_ROWS = 1_000  # of the plan in memory
THREADS = 3  # that read stored ranges and commit parts


class NetworkTrouble(FatalError):
    """Our own network or resolver fails: nothing that was asked is to blame."""


class TaskResult(NamedTuple):
    """What one task did, this time."""

    parts: int
    parts_done_before: int


class Part(NamedTuple):
    """The rows of a plan that are committed together."""

    name: str  # the stem of its files
    rows: list[PlanRow]


async def fetch_task(
    run: str,
    round_: int,
    task: int,
    fetch: FetchSettings,
    web: WebSettings,
    lease: Lease | None = None,
    tasks: int = 1,
) -> TaskResult:
    """Fetch every part of one of `tasks` tasks that is not committed yet, for as long as its lease holds.

    Raises LeaseLost, NetworkTrouble, StorageError where the disk gives up.
    """
    folder = storage.join(run, "images")
    plan = parquet.read_rows(storage.join(folder, "plan", f"{stem(round_, task)}.parquet"), PlanRow, BATCH_ROWS)
    parts = (Part(stem(round_, task, part), list(rows)) for part, rows in groupby(plan, key=lambda row: row.part))
    decoders = DecodeQueue(shared_pool(fetch.decoders, fetch.image.model_dump_json()))
    with ThreadPoolExecutor(THREADS) as threads:
        may_ask = lease.check if lease else None
        async with PoliteWeb(web, may_ask=may_ask, ready=decoders.room, owns=partial(owns, task, tasks)) as polite:
            if lease is not None:
                lease.busy = lambda: polite.in_flight
            fetcher = Fetcher(run, polite, decoders, threads)
            return await TaskRun(folder, fetch, fetcher, polite, threads).fetch(parts)


def owns(task: int, tasks: int, host: str) -> bool:
    return task_of(host, tasks) == task


class TaskRun:
    """One attempt at a task."""

    def __init__(
        self, folder: str, settings: FetchSettings, fetcher: Fetcher, polite: PoliteWeb, threads: ThreadPoolExecutor
    ) -> None:
        self._folder, self._settings = folder, settings
        self._fetcher, self._polite, self._threads = fetcher, polite, threads
        self._memory = Memory(settings.spool_bytes)
        self._open = asyncio.Semaphore(settings.parts_at_once)
        self._begun = asyncio.Semaphore(ROWS_BEGUN)
        self._again = asyncio.Semaphore(AGAIN_AT_ONCE)
        self._calm = asyncio.Event()
        self._calm.set()
        self._troubled = 0  # parts that give the network time to come back

    async def fetch(self, parts: Iterable[Part]) -> TaskResult:
        done = count = 0
        try:
            async with asyncio.TaskGroup() as group:
                for part in parts:
                    count += 1
                    if is_committed(self._folder, part.name):
                        done += 1
                    else:
                        await self._begin(part, group)
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None  # the first has ended the others
        return TaskResult(count, done)

    async def _begin(self, part: Part, group: asyncio.TaskGroup) -> None:
        """Returns when all its rows are begun: what is under way follows the plan."""
        await self._open.acquire()
        spool = Spool(self._memory)
        begun: list[asyncio.Task[Fetched]] = []
        ended = group.create_task(self._end(part, begun, spool, whole := asyncio.Event()))
        ended.add_done_callback(lambda _: self._open.release())
        for row in part.rows:
            await self._calm.wait()
            await self._begun.acquire()
            begun.append(group.create_task(self._fetcher.fetch(row, spool)))
            begun[-1].add_done_callback(lambda _: self._begun.release())
        whole.set()

    async def _end(self, part: Part, begun: list[asyncio.Task[Fetched]], spool: Spool, whole: asyncio.Event) -> None:
        with spool:
            await whole.wait()
            fetched = await self._settled(part.rows, await asyncio.gather(*begun), spool)
            self._polite.may_ask()
            images, log = [(f.image, f.extension) for f in fetched], [f.log for f in fetched]
            commit = partial(commit_part, self._folder, part.name, images, spool, log)
            await asyncio.get_running_loop().run_in_executor(self._threads, commit)

    async def _settled(self, rows: Sequence[PlanRow], fetched: list[Fetched], spool: Spool) -> list[Fetched]:
        """Every row's outcome. What failed for reasons of ours is asked again after a pause.

        Raises NetworkTrouble where too much of it fails still: such rows must not become final.
        """
        async with self._patience(fetched) as pauses_s:
            for pause_s in pauses_s:
                ours = [place for place, f in enumerate(fetched) if is_ours(f.image.reason)]
                if not ours:
                    break
                await asyncio.sleep(pause_s)
                again = await asyncio.gather(*(self._ask_again(rows[place], spool) for place in ours))
                for place, outcome in zip(ours, again, strict=True):
                    fetched[place] = outcome
        check_network(fetched)
        return [last_word(row, f) for row, f in zip(rows, fetched, strict=True)]

    async def _ask_again(self, row: PlanRow, spool: Spool) -> Fetched:
        async with self._again:
            return await self._fetcher.fetch(row, spool)

    @asynccontextmanager
    async def _patience(self, fetched: Sequence[Fetched]) -> AsyncIterator[Sequence[float]]:
        """The pauses before asking again. Where the network looks broken all of them, and nothing new is begun
        meanwhile; a few names whose servers are broken must not hold everybody up."""
        pauses_s = self._settings.local_pauses_s
        if sum(is_ours(f.image.reason) for f in fetched) <= MAX_ODD_SHARE * len(fetched):
            yield pauses_s[:2]
            return
        self._troubled += 1
        self._calm.clear()
        try:
            yield pauses_s
        finally:
            self._troubled -= 1
            if not self._troubled:
                self._calm.set()


def last_word(row: PlanRow, fetched: Fetched) -> Fetched:
    """A failure of ours takes away no image that was there before."""
    before = standing_before(row) if is_ours(fetched.image.reason) else None
    return fetched if before is None else standing(before, fetched.log)


def check_network(fetched: Sequence[Fetched]) -> None:
    ours = [f for f in fetched if is_ours(f.image.reason)]
    if len(ours) > MAX_LOCAL_SHARE * len(fetched):
        example = ours[0].image
        raise NetworkTrouble(
            f"{len(ours)} of {len(fetched)} requests failed on our side ({example.reason} for {host_of(example.url)}): "
            "check this machine's network and resolver, then run the same command again"
        )
