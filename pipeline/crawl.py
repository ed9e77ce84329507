"""A crawl in rounds: each round is one pipeline over its frontier, and the links it found make the next frontier."""

from collections.abc import Iterable, Iterator

import apache_beam as beam

from filters.url import host_of
from pipeline.config import Settings
from pipeline.engines.engine import Engine
from pipeline.inputs import seeds_of
from pipeline.ui.progress import Progress
from transforms import storage
from transforms.collect.crawl import round_stem
from transforms.collect.frontier import CrawlSettings, first_frontier, next_frontier
from transforms.collect.transform import CrawlRound
from transforms.coordination import lease
from transforms.formats import parquet
from transforms.partition import task_of
from transforms.records import CrawlPage, CrawlTarget
from transforms.run_dir import PAGES


def crawl(run: str, settings: Settings, engine: Engine, progress: Progress) -> None:
    """Crawl until no round has a new page or a budget is used up. A round that was begun goes on."""
    crawl_settings = settings.collect.crawl
    assert crawl_settings is not None
    folder = storage.join(run, PAGES)
    round_ = 0
    while round_ <= crawl_settings.max_depth:
        tasks = frontier_tasks(folder, round_)
        if tasks is None:
            tasks = write_frontier(folder, round_, new_urls(folder, round_, settings), crawl_settings)
        if not tasks:
            break
        crawl_round(run, round_, tasks, settings, engine, progress)
        round_ += 1
    lease.clear(run, "crawl-", settings.web.lease_s)
    storage.sweep(folder, committed_names(folder))


def frontier_tasks(folder: str, round_: int) -> list[int] | None:
    """The tasks of a round whose frontier is already written; None where it is not."""
    plan = storage.join(folder, "plan")
    if not storage.exists(storage.join(plan, f"{round_:04d}.done")):
        return None
    names = storage.list_names(plan, f"{round_:04d}-*.parquet")
    return [int(n.removesuffix(".parquet").split("-")[1]) for n in names]


def new_urls(folder: str, round_: int, settings: Settings) -> list[str]:
    """The pages of a new round: the seeds, or what the last round linked to. Bounded by the crawl's budget."""
    crawl_settings = settings.collect.crawl
    assert crawl_settings is not None
    seeds = seeds_of(settings)
    if round_ == 0:
        return first_frontier(seeds, crawl_settings)
    known = {t.url for t in parquet.read_all(storage.join(folder, "plan"), "*.parquet", CrawlTarget)}
    return next_frontier(known, links_of(folder, round_ - 1), crawl_settings, seeds)


def links_of(folder: str, round_: int) -> Iterator[str]:
    for page in parquet.read_all(folder, f"{round_:04d}-*.parquet", CrawlPage):
        yield from page.links


def write_frontier(folder: str, round_: int, urls: Iterable[str], settings: CrawlSettings) -> list[int]:
    """The plan of a round: a host belongs to one task, hosts in turn, parts of bounded size."""
    tasks: dict[int, dict[str, list[str]]] = {}
    for url in urls:
        host = host_of(url)
        tasks.setdefault(task_of(host, settings.tasks), {}).setdefault(host, []).append(url)
    plan = storage.join(folder, "plan")
    for task, hosts in tasks.items():
        rows = [CrawlTarget(url, n // settings.pages_per_part) for n, url in enumerate(in_turn(hosts))]
        parquet.write_rows(storage.join(plan, f"{round_stem(round_, task)}.parquet"), CrawlTarget, rows)
    storage.publish(storage.join(plan, f"{round_:04d}.done"), b"")
    return sorted(tasks)


def in_turn(hosts: dict[str, list[str]]) -> Iterator[str]:
    """One page of each host, again and again; each host's pages in order."""
    queues = [sorted(hosts[host]) for host in sorted(hosts)]
    for place in range(max(map(len, queues), default=0)):
        yield from (queue[place] for queue in queues if place < len(queue))


def crawl_round(
    run: str, round_: int, tasks: list[int], settings: Settings, engine: Engine, progress: Progress
) -> None:
    folder = storage.join(run, PAGES)
    targets = parquet.read_all(storage.join(folder, "plan"), f"{round_:04d}-*.parquet", CrawlTarget)
    pages = sum(1 for _ in targets)
    progress.stage(f"crawl, round {round_}", pages, "pages", lambda: pages_done(folder, round_))
    pauses_s = (settings.collect.crawl or CrawlSettings()).local_pauses_s
    transform = CrawlRound(run, round_, settings.web, settings.collect.html, pauses_s)
    engine.run(lambda p: p | "Tasks" >> beam.Create(tasks) | transform, "crawl", progress.say, len(tasks))


def pages_done(folder: str, round_: int) -> int:
    names = storage.list_names(folder, f"{round_:04d}-*.parquet")
    return sum(parquet.count_rows(storage.join(folder, name)) for name in names)


def committed_names(folder: str) -> set[str]:
    """The Parquets of `pages/` and the WARCs that they name."""
    names = storage.list_names(folder, "*.parquet")
    return {*names, *(page.warc for n in names for page in parquet.read_rows(storage.join(folder, n), CrawlPage))}
