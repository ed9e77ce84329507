"""The first half of `collect` where a crawl is a source. Rounds: the links of one make the frontier of the next."""

from collections.abc import Iterable, Iterator

import apache_beam as beam

from filters.url import host_of
from pipeline.context import Context
from transforms import run_dir, storage
from transforms.coordination import lease
from transforms.crawl.frontier import first_frontier, next_frontier
from transforms.crawl.passes import depth_of, failed_pages, retries_of, rounds_planned
from transforms.crawl.settings import CrawlSource
from transforms.crawl.transform import LEASES, CrawlRound
from transforms.formats import parquet
from transforms.partition import task_of
from transforms.records import CrawlPage, CrawlTarget


def crawl(c: Context, source: CrawlSource) -> None:
    """Every pass of the crawl, until no round has a page or a budget is used up. A round that was begun goes on."""
    crawl_pass(c, source, 0, {})
    for retry in retries_of(c.run):
        crawl_pass(c, source, retry.start, failed_pages(c.run, retry))
    lease.clear(c.run, LEASES, c.settings.web.lease_s)
    folder = run_dir.folder(c.run, run_dir.PAGES)
    storage.sweep(folder, committed_names(folder))


def crawl_pass(c: Context, source: CrawlSource, start: int, failed: dict[int, list[str]]) -> None:
    """The rounds of a pass from round `start`; `failed`: depth → pages that are asked again there."""
    for depth in range(source.max_depth + 1):
        round_ = start + depth
        tasks = frontier_tasks(c.run, round_)
        if tasks is None:
            urls = [*failed.get(depth, []), *new_urls(c.run, round_, depth, source, is_first=start == 0)]
            tasks = write_frontier(c.run, round_, urls, source)
        if tasks:
            crawl_round(c, source, round_, tasks)
        elif depth >= max(failed, default=0):
            return


def is_over(run: str, source: CrawlSource) -> bool:
    """Whether the newest pass has come to its end: its last frontier is empty, or whole at the deepest level."""
    last = rounds_planned(run) - 1
    if last < 0:
        return False
    if not frontier_tasks(run, last):
        return True
    return depth_of(last, retries_of(run)) == source.max_depth and pages_done(run, last) == pages_planned(run, last)


def frontier_tasks(run: str, round_: int) -> list[int] | None:
    """The tasks of a round whose frontier is already written; None where it is not."""
    plan = run_dir.folder(run, run_dir.PAGES, run_dir.PLAN)
    if not storage.exists(storage.join(plan, f"{round_:04d}.done")):
        return None
    return [run_dir.task_of_plan(name) for name in storage.list_names(plan, run_dir.of_round(round_))]


def new_urls(run: str, round_: int, depth: int, source: CrawlSource, is_first: bool) -> list[str]:
    """The new pages of a round: the seeds, or what the last round linked to. Bounded by the crawl's budget."""
    seeds = source.seed_urls()
    if depth == 0:
        return first_frontier(seeds, source) if is_first else []
    plan = run_dir.folder(run, run_dir.PAGES, run_dir.PLAN)
    known = {target.url for target in parquet.read_all(plan, "*.parquet", CrawlTarget)}
    return next_frontier(known, links_of(run, round_ - 1), source, seeds)


def links_of(run: str, round_: int) -> Iterator[str]:
    folder = run_dir.folder(run, run_dir.PAGES)
    for page in parquet.read_all(folder, run_dir.of_round(round_), CrawlPage):
        yield from page.links


def write_frontier(run: str, round_: int, urls: Iterable[str], source: CrawlSource) -> list[int]:
    """The plan of a round: a host belongs to one task, hosts in turn, parts of bounded size."""
    tasks: dict[int, dict[str, list[str]]] = {}
    for url in urls:
        host = host_of(url)
        tasks.setdefault(task_of(host, source.tasks), {}).setdefault(host, []).append(url)
    for task, hosts in tasks.items():
        rows = [CrawlTarget(url, n // source.pages_per_part) for n, url in enumerate(in_turn(hosts))]
        parquet.write_rows(run_dir.crawl_plan(run, round_, task), CrawlTarget, rows)
    done = run_dir.folder(run, run_dir.PAGES, run_dir.PLAN, f"{round_:04d}.done")
    storage.publish(done, b"")
    return sorted(tasks)


def in_turn(hosts: dict[str, list[str]]) -> Iterator[str]:
    """One page of each host, again and again; each host's pages in order."""
    queues = [sorted(hosts[host]) for host in sorted(hosts)]
    for index in range(max(map(len, queues), default=0)):
        yield from (queue[index] for queue in queues if index < len(queue))


def crawl_round(c: Context, source: CrawlSource, round_: int, tasks: list[int]) -> None:
    pages = pages_planned(c.run, round_)
    c.progress.stage(f"crawl, round {round_}", pages, "pages", lambda: pages_done(c.run, round_))
    transform = CrawlRound(c.run, round_, source, c.settings.web, c.settings.collect.html)
    c.engine.run(lambda p: p | "Tasks" >> beam.Create(tasks) | transform, "crawl", c.progress.say, len(tasks))


def pages_planned(run: str, round_: int) -> int:
    plan = run_dir.folder(run, run_dir.PAGES, run_dir.PLAN)
    return sum(parquet.count_rows(storage.join(plan, n)) for n in storage.list_names(plan, run_dir.of_round(round_)))


def pages_done(run: str, round_: int) -> int:
    folder = run_dir.folder(run, run_dir.PAGES)
    names = storage.list_names(folder, run_dir.of_round(round_))
    return sum(parquet.count_rows(storage.join(folder, name)) for name in names)


def committed_names(folder: str) -> set[str]:
    """The Parquets of `pages/` and the WARCs that they name."""
    names = storage.list_names(folder, "*.parquet")
    return {*names, *(page.warc for n in names for page in parquet.read_rows(storage.join(folder, n), CrawlPage))}
