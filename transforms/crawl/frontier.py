"""Which pages a crawl asks next. Blind to the order in which anything arrived: budgets cut by sort order.

Pure.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from typing import NamedTuple

from filters.url import host_of, in_domain
from transforms.crawl.settings import CrawlSource

# Endings that no page has. Asking them would cost the host its bytes for nothing.
NOT_PAGES = frozenset(
    ("7z", "aac", "ai", "apk", "atom", "avi", "avif", "bin", "bmp", "bz2", "css", "csv", "deb", "dmg", "doc", "docx",
     "eps", "epub", "exe", "flac", "flv", "gif", "gz", "ico", "ics", "iso", "jar", "jpeg", "jpg", "js", "json", "m4a",
     "m4v", "mid", "mkv", "mobi", "mov", "mp3", "mp4", "mpeg", "mpg", "msi", "odp", "ods", "odt", "ogg", "ogv", "opus",
     "otf", "pdf", "pkg", "png", "ppt", "pptx", "ps", "psd", "rar", "rpm", "rss", "rtf", "svg", "swf", "tar", "tgz",
     "tif", "tiff", "torrent", "ttf", "txt", "wasm", "wav", "webm", "webmanifest", "webp", "whl", "wma", "wmv", "woff",
     "woff2", "xls", "xlsx", "xml", "xz", "zip", "zst")
)  # fmt: skip

_PATH = re.compile(r"[a-z]+://[^/?#]*([^?#]*)\??([^#]*)")


class SeedScope(NamedTuple):
    """What the seeds allow, worked out once."""

    hosts: frozenset[str]
    domains: frozenset[str]  # the hosts without a leading "www."
    prefixes: tuple[str, ...]  # the seeds up to their last slash


def scope_of(seeds: Iterable[str]) -> SeedScope:
    """The scope of seeds that are identities already (`CrawlSource.seed_urls`)."""
    seeds = list(seeds)
    hosts = frozenset(host_of(seed) for seed in seeds)
    paths = (seed.partition("?")[0] for seed in seeds)
    prefixes = sorted({path[: path.rindex("/") + 1] for path in paths})
    return SeedScope(hosts, frozenset(host.removeprefix("www.") for host in hosts), tuple(prefixes))


def in_scope(url: str, settings: CrawlSource, scope: SeedScope) -> bool:
    """Whether a page (a url's identity) belongs to the crawl."""
    if len(url) > settings.max_url_length or not url.startswith(("http://", "https://")):
        return False
    return (
        _near_seeds(url, settings, scope)
        and not is_trap(url, settings)
        and not _is_no_page(url)
        and (not settings.include or any(e.search(url) for e in settings.included))
        and not any(e.search(url) for e in settings.excluded)
    )


def _near_seeds(url: str, settings: CrawlSource, scope: SeedScope) -> bool:
    if settings.scope == "host":
        return host_of(url) in scope.hosts
    if settings.scope == "domain":
        return in_domain(host_of(url), scope.domains)
    return settings.scope == "any" or url.startswith(scope.prefixes)


def is_trap(url: str, settings: CrawlSource) -> bool:
    """Whether a url looks like one of endlessly many of its site."""
    path, query = _path_and_query(url)
    segments = [segment for segment in path.split("/") if segment]
    if len(segments) > settings.max_path_depth:
        return True
    if query and len(re.split("[&;]", query)) > settings.max_query_parameters:
        return True
    return max(Counter(segments).values(), default=0) > settings.max_repeated_segments


def _is_no_page(url: str) -> bool:
    path, _ = _path_and_query(url)
    name, dot, ending = path.rpartition("/")[2].rpartition(".")
    return bool(name and dot) and ending.lower() in NOT_PAGES


def _path_and_query(url: str) -> tuple[str, str]:
    found = _PATH.match(url)
    return (found.group(1), found.group(2)) if found else ("", "")


def first_frontier(seeds: Iterable[str], settings: CrawlSource) -> list[str]:
    """The pages of the first round: the seeds themselves, in scope or not, within the budgets. Sorted."""
    return _within_budgets(set(seeds), Counter(), settings)


def next_frontier(
    known: Collection[str], links: Iterable[str], settings: CrawlSource, seeds: Iterable[str]
) -> list[str]:
    """The pages of the next round, sorted: a function of the two sets, whatever their order.

    `known` (best a set) are the urls of all former rounds. Where a budget is smaller than what was found, the first
    urls in sort order are asked and the others are not part of the crawl.
    """
    scope = scope_of(seeds)
    found = {url for url in links if url not in known and in_scope(url, settings, scope)}
    return _within_budgets(found, Counter(host_of(url) for url in known), settings)


def _within_budgets(found: Iterable[str], asked: Counter[str], settings: CrawlSource) -> list[str]:
    left = settings.max_pages - asked.total()
    chosen: list[str] = []
    for url in sorted(found):
        if len(chosen) >= left:
            break
        host = host_of(url)
        if asked[host] < settings.max_pages_per_host:
            asked[host] += 1
            chosen.append(url)
    return chosen
