"""One task of a crawl round: asks its pages politely, writes what they answered as WARC. No Beam."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from functools import partial
from itertools import groupby

from filters.reasons import Drop, Reason
from transforms import run_dir, storage
from transforms.coordination.error_boundary import ErrorBoundary
from transforms.formats import parquet
from transforms.formats.http_headers import first
from transforms.formats.warc import WarcWriter
from transforms.html.page import HtmlSettings, read_body
from transforms.records import CrawlPage, CrawlTarget
from transforms.web.client import Answer
from transforms.web.parts import THREADS, LocalFailure, Part, PartsRun, TaskResult
from transforms.web.polite import PoliteWeb
from transforms.web.settings import WebSettings

PARTS_AT_ONCE = 2  # their pages stay in memory until the part is whole
HTML_TYPES = ("text/html", "application/xhtml+xml")


async def crawl_task(
    run: str,
    round_: int,
    task: int,
    web: WebSettings,
    html: HtmlSettings,
    local_pauses_s: Sequence[float],
    may_ask: Callable[[], object] | None = None,
) -> TaskResult:
    """Ask the pages of every part that is not committed yet.

    `may_ask` raises where another attempt has the task. Raises NetworkTrouble, StorageError.
    """
    folder = run_dir.folder(run, run_dir.PAGES)
    plan = parquet.read_rows(run_dir.crawl_plan(run, round_, task), CrawlTarget)
    parts = (
        Part(run_dir.stem_of(round_, task, part), [target.url for target in targets])
        for part, targets in groupby(plan, key=lambda target: target.part)
    )
    with ThreadPoolExecutor(THREADS) as threads:
        async with PoliteWeb(web, may_ask=may_ask) as polite:
            return await CrawlRun(folder, html, polite, threads, local_pauses_s).run(parts)


class CrawlRun(PartsRun[str, Answer]):
    """One attempt at a task of pages."""

    def __init__(
        self,
        folder: str,
        html: HtmlSettings,
        polite: PoliteWeb,
        threads: ThreadPoolExecutor,
        local_pauses_s: Sequence[float],
    ) -> None:
        super().__init__(threads, PARTS_AT_ONCE, local_pauses_s, polite.may_ask)
        self._folder, self._html, self._polite = folder, html, polite

    def is_committed(self, part: Part) -> bool:
        return storage.exists(storage.join(self._folder, f"{part.name}.parquet"))

    def space(self) -> AbstractContextManager[None]:
        return nullcontext()

    async def ask(self, row: str, space: None) -> Answer:
        return await self._polite.ask(row, kind="page")

    def local_failure(self, outcome: Answer) -> LocalFailure | None:
        drop = outcome.drop
        ours = drop is not None and drop.reason in (Reason.LOCAL_NETWORK, Reason.LOCAL_RESOLVER)
        return LocalFailure(outcome.url, str(drop.reason)) if drop is not None and ours else None

    def commit(self, part: Part, outcomes: list[Answer], space: None) -> None:
        with storage.publishing_by_digest(self._folder, partial(_warc_name, part.name)) as file:
            pages = _write_warc(file, outcomes, self._html)
        digest = file.hexdigest()
        named = [p._replace(warc=_warc_name(part.name, digest), warc_sha256=digest) for p in pages]
        path = storage.join(self._folder, f"{part.name}.parquet")
        parquet.write_rows(path, CrawlPage, named, keep_first=True)


def _warc_name(part: str, digest: str) -> str:
    return f"{part}-{digest[:16]}.warc.gz"


def _write_warc(file: storage.Sink, answers: Sequence[Answer], html: HtmlSettings) -> list[CrawlPage]:
    """The answers in plan order, never in order of arrival."""
    writer = WarcWriter(file)
    pages = []
    for answer in answers:
        drop = answer.drop or _judge_type(answer)
        if drop is None:
            date = datetime.fromtimestamp(answer.started_s, UTC)
            writer.write_response(answer.final_url, answer.status, answer.headers, answer.body, date)
        pages.append(_page(answer, drop, html))
    return pages


def _judge_type(answer: Answer) -> Drop | None:
    kind = first(answer.headers, "content-type")
    if kind.split(";")[0].strip().lower() in HTML_TYPES:
        return None
    return Drop(Reason.NOT_HTML, None, kind)


def _page(answer: Answer, drop: Drop | None, html: HtmlSettings) -> CrawlPage:
    page = CrawlPage(answer.url, answer.status, "", None, "", (), "", "")
    if drop is not None:
        return page._replace(reason=str(drop.reason), value=drop.value, detail=drop.detail)
    with ErrorBoundary(answer.url) as caught:
        links = read_body(answer.body, first(answer.headers, "content-type"), answer.final_url, html).links
        return page._replace(links=tuple(sorted(set(links))))
    assert caught.drop is not None
    return page._replace(reason=str(caught.drop.reason), detail=caught.drop.detail)
