"""What a run will ask for, transfer and take: counted from candidates, tables and seeds, before anybody is asked."""

from collections.abc import Iterable, Iterator
from heapq import nlargest
from itertools import chain, islice
from typing import Any, NamedTuple

from filters.url import host_of
from pipeline.columns import read_columns
from pipeline.config import Settings
from transforms import run_dir
from transforms.web.settings import WebSettings

TABLE_URLS = 5_000_000  # of tables that are read for their hosts
MAX_HOSTS = 1_000_000  # that are counted one by one, in some 200 MB; the images of others have one count
# The median page of HTTP Archive's crawl of October 2024 has 18 images of 1,054 kB together (Web Almanac 2024, page
# weight). Tables of large photographs hold several times that.
MEAN_IMAGE_BYTES = 59_000
# What one process with two decoders takes in over https on two cores: bench/results/fetch.json.
IMAGES_PER_S = 368.0
ANSWER_S = 0.2  # from a request to the end of its answer; with two at once that is the usual pace of ten a second
STORED_BYTES = {256: 25_000, 512: 70_000}  # an image: web photographs at quality 95, a rough guide
SLOWEST_HOSTS = 10


class Hosts:
    """Images a host in bounded memory: exact for the first `most` hosts that come, one count for all others."""

    def __init__(self, most: int) -> None:
        self.images: dict[str, int] = {}
        self.others = 0  # images of hosts that came when `most` were known
        self._most = most

    def add(self, host: str) -> bool:
        """Whether the host is a new one."""
        known = self.images.get(host, 0)
        if not known and len(self.images) >= self._most:
            self.others += 1
            return False
        self.images[host] = known + 1
        return not known

    @property
    def total(self) -> int:
        return sum(self.images.values()) + self.others


class HostTime(NamedTuple):
    """A host, its images, and the seconds that they take at its pace."""

    host: str
    images: int
    seconds: float


def estimate_of(run: str, settings: Settings, rows: int, candidates: int | None) -> dict[str, Any]:
    """Urls, hosts, requests, bytes, seconds, and the host for which a contact is missing; the last alone where nobody
    knows a url yet.

    `rows` are those that the sources know of, `candidates` those of a finished collect. Raises StorageError,
    SourceError.
    """
    urls = candidate_urls(run) if candidates is not None else source_urls(settings)
    hosts, foreign = count_hosts(urls if candidates is not None else islice(urls, TABLE_URLS), settings)
    counted = hosts.total
    if not counted:
        return {"contact_missing_for": foreign or foreign_of(seeds_of(settings), settings)}
    part = next(urls, None) is not None  # there are more
    images = max(counted, round(rows * counted / TABLE_URLS)) if part else counted
    slowest = slowest_hosts(hosts, settings.web, images / counted)
    requests = images + len(hosts.images) * (settings.web.robots.obey + settings.web.opt_outs.tdmrep)
    seconds = requests / IMAGES_PER_S / -(-settings.engine.workers // settings.fetch.decoders)
    return {
        "urls": images,
        "urls_counted": counted,
        "hosts": len(hosts.images),
        "has_more_hosts": part or hosts.others > 0,
        "images_of_other_hosts": hosts.others,
        "requests": requests,
        "asks_hosts_of_pages": knows_pages(settings),
        "transferred_bytes": images * MEAN_IMAGE_BYTES,
        "disk_bytes": {f"{size} px": images * each for size, each in STORED_BYTES.items()},
        "seconds": round(max(seconds, slowest[0].seconds), 1),
        "seconds_at_full_rate": round(seconds, 1),
        "slowest_hosts": [host._asdict() for host in slowest],
        "contact_missing_for": foreign or foreign_of(seeds_of(settings), settings),
    }


def candidate_urls(run: str) -> Iterator[str]:
    """Of images that are asked for: those in archives are not."""
    rows = read_columns(run, run_dir.CANDIDATES, ["url", "source.path"], "part-*.parquet")
    return (row["url"] for row in rows if not row["source"]["path"])


def source_urls(settings: Settings) -> Iterator[str]:
    return chain.from_iterable(source.urls() for source in settings.collect.all_sources().values())


def seeds_of(settings: Settings) -> list[str]:
    """The pages with which a crawl of foreign hosts begins; the demo's own server names those of its web."""
    crawl = settings.collect.crawl
    return crawl.seed_urls() if crawl is not None and settings.demo is None else []


def knows_pages(settings: Settings) -> bool:
    """Whether images come with the pages that show them; a table knows them by a column."""
    tables = settings.collect.tables
    return set(settings.collect.all_sources()) != {"tables"} or (tables is not None and tables.page_url is not None)


def count_hosts(urls: Iterable[str], settings: Settings, most: int = MAX_HOSTS) -> tuple[Hosts, str]:
    """Images a host, and the first host that must not be asked without a contact; "" where there is none."""
    hosts, foreign = Hosts(most), ""
    for url in urls:
        host = host_of(url)
        if host and hosts.add(host) and not foreign:
            foreign = foreign_of([url], settings)
    return hosts, foreign


def foreign_of(urls: Iterable[str], settings: Settings) -> str:
    """The first host of `urls` that would be asked by nobody in particular; "" where no contact is missing."""
    if settings.web.contact or settings.demo is not None:
        return ""
    return next((host_of(url) for url in urls if not settings.web.is_local(url)), "")


def slowest_hosts(hosts: Hosts, web: WebSettings, scale: float = 1.0) -> list[HostTime]:
    """The hosts that take longest at their pace, each with `scale` times the images that were counted."""
    times = (HostTime(host, round(n * scale), seconds_of(host, n * scale, web)) for host, n in hosts.images.items())
    return nlargest(SLOWEST_HOSTS, times, key=lambda host: (host.seconds, host.host))


def seconds_of(host: str, images: float, web: WebSettings) -> float:
    """Requests begin `gap_s` apart, and at most `at_once` are under way."""
    pace = web.pace(host, "image")
    return round(images * max(pace.gap_s, ANSWER_S / pace.at_once), 1)


def crawl_seconds(settings: Settings) -> float:
    """What the pages of a crawl take at most, asked of the hosts of its seeds alone at their pace."""
    seeds, crawl = seeds_of(settings), settings.collect.crawl
    if crawl is None or not seeds:
        return 0.0
    hosts = {host_of(url) for url in seeds}
    return round(crawl.max_pages / sum(1 / max(settings.web.pace(host, "page").gap_s, ANSWER_S) for host in hosts), 1)
