"""Fetches one task: its parts in order, its hosts interleaved, each part committed whole. No Beam."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

from filters.reasons import Drop, Reason
from filters.url import host_of
from transforms import parquet, storage
from transforms.boundary import Boundary
from transforms.fetch.adopted import read_sample, with_facts
from transforms.fetch.again import conditions
from transforms.fetch.commit import Spool, commit_part, is_committed
from transforms.fetch.decoders import DecodeQueue, shared_pool
from transforms.fetch.image import Processed
from transforms.fetch.pages import page_of
from transforms.fetch.plan import stem
from transforms.fetch.rows import Fetched, failed_elsewhere, fetched_row, is_ours, refreshed, standing
from transforms.fetch.settings import FetchSettings
from transforms.lease import Lease
from transforms.records import FAILED, SAMPLE, Candidate, PlanRow
from transforms.trouble import Trouble
from transforms.warc import read_stored
from transforms.web.client import Answer, no_answer
from transforms.web.polite import PoliteWeb
from transforms.web.settings import WebSettings

T = TypeVar("T")
MAX_LOCAL_SHARE = 0.2  # of a part: beyond it the network is broken, below it a few names are odd
MAX_ODD_SHARE = 0.05  # of a part: above it the network may be broken, and gets time to come back
AGAIN_AT_ONCE = 64  # requests for what failed on our side: a network in trouble is not asked everything at once
READERS = 2  # threads that read stored ranges
MAX_UNDER_WAY = 512  # candidates between their turn and their place in the spool: bounds the bodies that wait


class NetworkTrouble(Trouble):
    """Our own network or resolver fails: nothing that was asked is to blame."""


class TaskResult(NamedTuple):
    """What one task did, this time."""

    parts: int
    parts_done_before: int


async def fetch_task(
    run: str,
    round_: int,
    task: int,
    fetch: FetchSettings,
    web: WebSettings,
    lease: Lease | None = None,
) -> TaskResult:
    """Fetch every part of a task that is not committed yet, for as long as its lease holds.

    Raises LeaseLost, StorageError where the disk gives up.
    """
    folder = storage.join(run, "images")
    plan = parquet.read_rows(storage.join(folder, "plan", f"{stem(round_, task)}.parquet"), PlanRow)
    done = parts = 0
    decoders = shared_pool(fetch.decoders, fetch.image.model_dump_json())
    with ThreadPoolExecutor(READERS) as readers:
        async with PoliteWeb(web, may_ask=lease.check if lease else None) as polite:
            if lease is not None:
                lease.busy = lambda: polite.in_flight
            fetcher = Fetcher(run, fetch, polite, DecodeQueue(decoders), readers)
            for part, rows in groupby(plan, key=lambda row: row.part):
                parts += 1
                name = stem(round_, task, part)
                if is_committed(folder, name):
                    done += 1
                    continue
                with Spool(fetch.spool_bytes) as spool:
                    fetched = await fetch_all(list(rows), fetcher, spool)
                    polite.may_ask()
                    commit_part(
                        folder, name, [(f.image, f.extension) for f in fetched], spool, [f.log for f in fetched]
                    )
    return TaskResult(parts, done)


async def fetch_all(rows: Sequence[PlanRow], fetcher: "Fetcher", spool: Spool) -> list[Fetched]:
    """Every row's outcome, in their order. What failed for reasons of ours is asked again after a pause.

    Raises NetworkTrouble where too much of it fails still: such rows must not become final.
    """
    fetched = await asyncio.gather(*(fetcher.fetch(row, spool) for row in rows))
    gate = asyncio.Semaphore(AGAIN_AT_ONCE)
    for pause_s in pauses_s(fetched, fetcher.settings.local_pauses_s):
        ours = [place for place, f in enumerate(fetched) if is_ours(f.image.reason)]
        if not ours:
            break
        await asyncio.sleep(pause_s)
        again = await asyncio.gather(*(fetcher.fetch(rows[place], spool, gate) for place in ours))
        for place, outcome in zip(ours, again, strict=True):
            fetched[place] = outcome
    check_network(fetched)
    return [
        standing(row.before, f.log) if row.before is not None and is_ours(f.image.reason) else f
        for row, f in zip(rows, fetched, strict=True)
    ]


def pauses_s(fetched: Sequence[Fetched], pauses: Sequence[float]) -> Sequence[float]:
    """All of them where the network looks broken. A few names whose servers are broken must not hold everybody up."""
    ours = sum(is_ours(f.image.reason) for f in fetched)
    return pauses if ours > MAX_ODD_SHARE * len(fetched) else pauses[:2]


def check_network(fetched: Sequence[Fetched]) -> None:
    ours = [f for f in fetched if is_ours(f.image.reason)]
    if len(ours) > MAX_LOCAL_SHARE * len(fetched):
        example = ours[0].image
        raise NetworkTrouble(
            f"{len(ours)} of {len(fetched)} requests failed on our side ({example.reason} for {host_of(example.url)}): "
            "check this machine's network and resolver, then run the same command again"
        )


class Fetcher:
    """Gets one candidate: by request or from its stored range, through the same decode path."""

    def __init__(
        self, run: str, settings: FetchSettings, web: PoliteWeb, decoders: DecodeQueue, readers: ThreadPoolExecutor
    ) -> None:
        self.settings = settings
        self._run = run
        self._web = web
        self._decoders = decoders
        self._readers = readers
        self._gate = asyncio.Semaphore(MAX_UNDER_WAY)

    async def fetch(self, row: PlanRow, spool: Spool, gate: asyncio.Semaphore | None = None) -> Fetched:
        async with gate or self._gate:
            return await self._fetch(row, spool)

    async def _fetch(self, row: PlanRow, spool: Spool) -> Fetched:
        candidate = row.candidate
        if candidate.source.encoding == FAILED:
            return failed_elsewhere(candidate)
        answer = no_answer(candidate.url)
        facts: dict[str, Any] = {}
        with Boundary(candidate.url) as caught:
            if candidate.source.encoding == SAMPLE:
                answer, facts = await self._in_thread(_sample_answer, candidate)
            else:
                answer = await self._answer(row)
            if row.before is not None:
                return refreshed(candidate, row.before, answer)
            if answer.drop is not None:
                return fetched_row(candidate, answer, answer.drop)
            processed = await self._decoders.process(answer.body)
            if isinstance(processed, Processed):
                spool.put(candidate.uid, processed.data)
            fetched = fetched_row(candidate, answer, processed)
            return fetched._replace(image=with_facts(fetched.image, facts))
        assert caught.drop is not None
        return fetched_row(candidate, answer, caught.drop)

    async def _answer(self, row: PlanRow) -> Answer:
        candidate = row.candidate
        if candidate.source.path:
            answer = await self._in_thread(_stored_answer, self._run, candidate)
            return answer if answer.drop is not None else answer._replace(drop=self._web.judge_own_headers(answer))
        if row.page_reason:
            drop = Drop(Reason(row.page_reason), row.page_value, row.page_detail)
            return no_answer(candidate.url)._replace(drop=drop)
        page_url = page_of(candidate) if row.page_reason is None else ""
        more = conditions(row.before) if row.before is not None else ()
        return await self._web.ask(candidate.url, kind="image", page_url=page_url, headers=more)

    async def _in_thread(self, read: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, read, *arguments)


def _stored_answer(run: str, candidate: Candidate) -> Answer:
    """The bytes of a stored range, as if they had been asked for just now."""
    source = candidate.source
    stored = read_stored(storage.join(run, source.path), source.offset, source.length)
    answer = no_answer(candidate.url)
    if isinstance(stored, Drop):
        return answer._replace(drop=stored)
    headers, body = stored
    return answer._replace(status=200, headers=tuple(headers), body=body)


def _sample_answer(candidate: Candidate) -> tuple[Answer, dict[str, Any]]:
    """A sample that another tool stored, as if it had been asked for just now, and what its sidecar says."""
    found = read_sample(candidate.source)
    answer = no_answer(candidate.url)
    if isinstance(found, Drop):
        return answer._replace(drop=found), {}
    body, facts = found
    return answer._replace(status=200, body=body), facts
