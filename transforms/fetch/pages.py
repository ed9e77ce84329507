"""What the hosts of pages say of images on other hosts: each host is asked by the task that owns it."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from filters.reasons import Drop
from filters.url import host_of
from transforms import run_dir, storage
from transforms.coordination.lease import Lease, while_held
from transforms.fetch.plan import LEASES
from transforms.formats import parquet
from transforms.partition import task_of
from transforms.records import Candidate, PageRule, PlanRow
from transforms.web.host_files import HostFiles
from transforms.web.loop import run_async
from transforms.web.polite import PoliteWeb
from transforms.web.settings import WebSettings

AT_ONCE = 512  # hosts under way

Rules = dict[str, PageRule]  # by page url


def page_of(candidate: Candidate) -> str:
    """The page that vouches for an image: that of its best caption; "" where it is not known, or is no web page."""
    url = candidate.captions[0].page_url if candidate.captions else ""
    return url if url.startswith(("http://", "https://")) else ""


def other_owner(candidate: Candidate, tasks: int, web: WebSettings) -> int | None:
    """The task that must ask the page's host; None where that is the image's own task, or nobody.

    Nobody asks for stored bytes, or a foreign host without a contact.
    """
    page_url = page_of(candidate)
    if candidate.source.path or not page_url or not (web.contact or web.is_local(page_url)):
        return None
    owner = task_of(host_of(page_url), tasks)
    return None if owner == task_of(host_of(candidate.url), tasks) else owner


def judge_pages(
    task: int, rows: Iterable[PlanRow], run: str, round_: int, web: WebSettings, tasks: int
) -> Iterator[PlanRow]:
    """Rows with the verdict of their page's host, asked by its owner: one of `tasks` tasks.

    `rows` are read twice. Raises StorageError, LeaseLost.
    """
    path = run_dir.page_rules(run, round_, task)
    if not storage.exists(path):
        urls = {page_of(row.candidate) for row in rows}

        def attempt(lease: Lease) -> list[PageRule]:
            host_files = HostFiles(web.robots.max_age_s, run, task, tasks)
            return run_async(ask_pages(urls, web, host_files, lease.check))

        rules = while_held(run, f"{LEASES}pages-{run_dir.stem_of(round_, task)}", web.lease_s, attempt)
        parquet.write_rows(path, PageRule, rules, keep_first=True)
    known = {rule.page_url: rule for rule in parquet.read_rows(path, PageRule)}
    for row in rows:
        rule = known[page_of(row.candidate)]
        yield row._replace(page_reason=rule.reason, page_value=rule.value, page_detail=rule.detail)


async def ask_pages(
    urls: Iterable[str], web: WebSettings, host_files: HostFiles, may_ask: Callable[[], object]
) -> list[PageRule]:
    """What the rules of each page's host say of it, in the order of the urls."""
    gate = asyncio.Semaphore(AT_ONCE)
    async with PoliteWeb(web, may_ask=may_ask, host_files=host_files) as polite:

        async def ask_host(pages: list[str]) -> list[PageRule]:
            async with gate:
                return [_rule(url, await polite.judge_page(url)) for url in pages]

        by_host = groupby(sorted(urls, key=lambda url: (host_of(url), url)), key=host_of)
        hosts = await asyncio.gather(*[ask_host(list(pages)) for _, pages in by_host])
    return sorted(rule for rules in hosts for rule in rules)


def _rule(url: str, drop: Drop | None) -> PageRule:
    return PageRule(url, "", None, "") if drop is None else PageRule(url, str(drop.reason), drop.value, drop.detail)
