"""One task of a crawl round: asks its pages politely, writes what they answered as WARC. No Beam."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from itertools import groupby

from filters.optout import says_nofollow
from filters.reasons import Drop, Reason
from transforms import run_dir, storage
from transforms.coordination.error_boundary import ErrorBoundary
from transforms.crawl.settings import CrawlSource
from transforms.formats import parquet
from transforms.formats.http_headers import first, values_of
from transforms.formats.warc import WarcWriter
from transforms.html.page import HtmlSettings, read_body
from transforms.records import CrawlPage, CrawlTarget
from transforms.spool import Memory, Spool
from transforms.web.client import Answer
from transforms.web.host_files import HostFiles
from transforms.web.parts import THREADS, LocalFailure, Part, PartsRun, TaskResult
from transforms.web.polite import PoliteWeb
from transforms.web.settings import WebSettings

HTML_TYPES = ("text/html", "application/xhtml+xml")


async def crawl_task(
    run: str,
    round_: int,
    task: int,
    source: CrawlSource,
    web: WebSettings,
    html: HtmlSettings,
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
        known = HostFiles(web.robots.max_age_s, run, task, source.tasks)
        async with PoliteWeb(web, may_ask=may_ask, host_files=known) as polite:
            return await CrawlRun(folder, source, html, polite, threads).run(parts)


class CrawlRun(PartsRun[str, Answer]):
    """One attempt at a task of pages. The answers of a part wait without their bodies, which are in its spool."""

    def __init__(
        self, folder: str, source: CrawlSource, html: HtmlSettings, polite: PoliteWeb, threads: ThreadPoolExecutor
    ) -> None:
        super().__init__(threads, source.parts_at_once, source.local_pauses_s, polite.may_ask)
        self._folder, self._html, self._polite = folder, html, polite
        self._memory = Memory(source.spool_bytes)

    def is_committed(self, part: Part) -> bool:
        return storage.exists(storage.join(self._folder, f"{part.name}.parquet"))

    def space(self) -> Spool:
        return Spool(self._memory)

    async def ask(self, row: str, space: Spool) -> Answer:
        answer = await self._polite.ask(row, kind="page")
        drop = answer.drop or _judge_type(answer)
        if drop is None:
            space.put(row.encode(), answer.body)
        return answer._replace(drop=drop, body=b"")

    def local_failure(self, outcome: Answer) -> LocalFailure | None:
        drop = outcome.drop
        ours = drop is not None and drop.reason in (Reason.LOCAL_NETWORK, Reason.LOCAL_RESOLVER)
        return LocalFailure(outcome.url, str(drop.reason)) if drop is not None and ours else None

    def commit(self, part: Part, outcomes: list[Answer], space: Spool) -> None:
        with storage.publishing_by_digest(self._folder, partial(_warc_name, part.name)) as file:
            pages = self._write_warc(file, outcomes, space)
        digest = file.hexdigest()
        named = [p._replace(warc=_warc_name(part.name, digest), warc_sha256=digest) for p in pages]
        path = storage.join(self._folder, f"{part.name}.parquet")
        parquet.write_rows(path, CrawlPage, named, keep_first=True)

    def _write_warc(self, file: storage.Sink, answers: Sequence[Answer], space: Spool) -> list[CrawlPage]:
        """The answers in plan order, never in order of arrival; one body in memory at a time."""
        writer = WarcWriter(file)
        pages = []
        for answer in answers:
            page = CrawlPage(answer.url, answer.status, "", None, "", (), "", "")
            if answer.drop is not None:
                drop = answer.drop
                pages.append(page._replace(reason=str(drop.reason), value=drop.value, detail=drop.detail))
                continue
            answer = answer._replace(body=space.get(answer.url.encode()))
            date = datetime.fromtimestamp(answer.started_s, UTC)
            writer.write_response(answer.final_url, answer.status, answer.headers, answer.body, date)
            with ErrorBoundary(answer.url) as caught:
                page = page._replace(links=links_of(answer, self._html, self._polite.agents))
            if caught.drop is not None:
                page = page._replace(reason=str(caught.drop.reason), detail=caught.drop.detail)
            pages.append(page)
        return pages


def _warc_name(part: str, digest: str) -> str:
    return f"{part}-{digest[:16]}.warc.gz"


def _judge_type(answer: Answer) -> Drop | None:
    kind = first(answer.headers, "content-type")
    if kind.split(";")[0].strip().lower() in HTML_TYPES:
        return None
    return Drop(Reason.NOT_HTML, None, kind)


def links_of(answer: Answer, html: HtmlSettings, agents: Sequence[str]) -> tuple[str, ...]:
    """Where a page leads, sorted; nowhere where it asks one of `agents` not to follow."""
    page = read_body(answer.body, first(answer.headers, "content-type"), answer.final_url, html)
    if says_nofollow(values_of(answer.headers, "x-robots-tag"), page.metas, agents):
        return ()
    return tuple(sorted(set(page.links)))
