"""Fetches one task: its rows part by part, see `transforms/web/parts.py`. No Beam."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby

from transforms import run_dir
from transforms.coordination.lease import Lease
from transforms.fetch.again import previous_image
from transforms.fetch.commit import commit_part, is_committed
from transforms.fetch.download import Fetcher
from transforms.fetch.rows import Fetched, is_ours, unchanged
from transforms.fetch.settings import FetchSettings
from transforms.formats import parquet
from transforms.image.pool import DecodeQueue, shared_pool
from transforms.partition import task_of
from transforms.records import PlanRow
from transforms.spool import Memory, Spool
from transforms.web.host_files import HostFiles
from transforms.web.parts import THREADS, LocalFailure, Part, PartsRun, TaskResult
from transforms.web.polite import PoliteWeb
from transforms.web.settings import WebSettings

BATCH_ROWS = 1_000  # of the plan in memory


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
    folder = run_dir.folder(run, run_dir.IMAGES)
    plan = parquet.read_rows(run_dir.fetch_plan(run, round_, task), PlanRow, BATCH_ROWS)
    parts = (
        Part(run_dir.stem_of(round_, task, part), list(rows)) for part, rows in groupby(plan, key=lambda row: row.part)
    )
    decoders = DecodeQueue(shared_pool(fetch.decoders, fetch.image.model_dump_json()))
    with ThreadPoolExecutor(THREADS) as threads:
        may_ask = lease.check if lease else None
        known = HostFiles(web.robots.max_age_s, run, task, tasks)
        async with PoliteWeb(
            web, may_ask=may_ask, ready=decoders.room, owns=partial(owns, task, tasks), host_files=known
        ) as polite:
            attempt = TaskRun(folder, fetch, Fetcher(run, polite, decoders, threads), polite, threads)
            if lease is not None:
                lease.busy, lease.done = (lambda: polite.in_flight), (lambda: attempt.rows_done)
            return await attempt.run(parts)


def owns(task: int, tasks: int, host: str) -> bool:
    return task_of(host, tasks) == task


class TaskRun(PartsRun[PlanRow, Fetched]):
    """One attempt at a task of images."""

    def __init__(
        self, folder: str, settings: FetchSettings, fetcher: Fetcher, polite: PoliteWeb, threads: ThreadPoolExecutor
    ) -> None:
        super().__init__(threads, settings.parts_at_once, settings.local_pauses_s, polite.may_ask)
        self._folder, self._fetcher = folder, fetcher
        self._memory = Memory(settings.spool_bytes)

    def is_committed(self, part: Part) -> bool:
        return is_committed(self._folder, part.name)

    def space(self) -> Spool:
        return Spool(self._memory)

    async def ask(self, row: PlanRow, space: Spool) -> Fetched:
        return await self._fetcher.fetch(row, space)

    def local_failure(self, outcome: Fetched) -> LocalFailure | None:
        image = outcome.image
        return LocalFailure(image.url, image.reason) if is_ours(image.reason) else None

    def commit(self, part: Part, outcomes: list[Fetched], space: Spool) -> None:
        fetched = [or_previous_image(row, outcome) for row, outcome in zip(part.rows, outcomes, strict=True)]
        images, log = [(f.image, f.extension) for f in fetched], [f.log for f in fetched]
        commit_part(self._folder, part.name, images, space, log)


def or_previous_image(row: PlanRow, fetched: Fetched) -> Fetched:
    """A failure of ours takes away no image that was there before."""
    before = previous_image(row) if is_ours(fetched.image.reason) else None
    return fetched if before is None else unchanged(before, fetched.log)
