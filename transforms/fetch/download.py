"""Gets one candidate: by request or from its stored range, through the same decode path. No Beam."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from filters.reasons import Drop, Reason
from transforms import storage
from transforms.coordination.error_boundary import ErrorBoundary
from transforms.fetch.adopted import read_sample, with_facts
from transforms.fetch.again import conditions, previous_image, was_redirected_away
from transforms.fetch.pages import page_of
from transforms.fetch.plan import start_of
from transforms.fetch.rows import Fetched, failed_elsewhere, fetched_row, refreshed
from transforms.formats.warc import read_stored
from transforms.image.pool import DecodeQueue
from transforms.image.process import Processed
from transforms.records import FAILED, SAMPLE, Candidate, PlanRow
from transforms.spool import Spool
from transforms.web.client import Answer, no_answer
from transforms.web.polite import PoliteWeb

T = TypeVar("T")


class Fetcher:
    """What turns candidates into rows, and puts their images into a spool."""

    def __init__(self, run: str, web: PoliteWeb, decoders: DecodeQueue, readers: ThreadPoolExecutor) -> None:
        self._run = run
        self._web = web
        self._decoders = decoders
        self._readers = readers

    async def fetch(self, row: PlanRow, spool: Spool) -> Fetched:
        candidate = row.candidate
        if candidate.source.encoding == FAILED:
            return failed_elsewhere(candidate)
        answer = no_answer(candidate.url)
        facts: dict[str, Any] = {}
        with ErrorBoundary(candidate.url) as caught:
            if candidate.source.encoding == SAMPLE:
                answer, facts = await self._in_thread(_sample_answer, candidate)
            else:
                answer = await self._answer(row)
            before = previous_image(row)
            if before is not None:
                return refreshed(candidate, before, answer)
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
        before = previous_image(row)
        more = conditions(before) if before is not None else ()
        redirects = row.before.redirects or 0 if row.before is not None and was_redirected_away(row.before) else 0
        return await self._web.ask(start_of(row), page_url=page_url, headers=more, redirects=redirects)

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
