"""Which pages a crawl asks next. Blind to the order in which anything arrived: budgets go to hosts in turn, and cut
each host's pages by sort order.

Pure.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from heapq import nsmallest
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
    return _leads_into_itself(segments, settings.max_repeated_segments)


def _leads_into_itself(segments: list[str], most: int) -> bool:
    """Whether segments follow themselves more than `most` times in a row, as in /a/b/a/b/a/b: each visit adds a round.

    Heritrix's PathologicalPathDecideRule, with two bounds of twice as many: one number may stand there so often, as
    dates and posts do in /11/11/11/11; and where several broken links mix (/a/b/a/a/b/b/a), one name all in all.
    """
    names = Counter(segment for segment in segments if not segment.isdigit())
    if max(names.values(), default=0) > 2 * most:
        return True
    for length in range(1, len(segments) // (most + 1) + 1):
        run = 0  # segments in a row that are the ones `length` before
        for index in range(length, len(segments)):
            run = run + 1 if segments[index] == segments[index - length] else 0
            one_number = segments[index].isdigit() and len(set(segments[index - length : index])) == 1
            if run >= (2 * most if one_number else most) * length:
                return True
    return False


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

    `known` (best a set) are the urls of all former rounds. Where a budget is smaller than what was found, hosts have
    their turns: who had fewer pages so far comes first, each host's urls in sort order; the others are not part of
    the crawl.
    """
    scope = scope_of(seeds)
    found = {url for url in links if url not in known and in_scope(url, settings, scope)}
    return _within_budgets(found, Counter(host_of(url) for url in known), settings)


def _within_budgets(found: Iterable[str], asked: Counter[str], settings: CrawlSource) -> list[str]:
    left = max(0, settings.max_pages - asked.total())
    turns: list[tuple[int, str]] = []
    for url in sorted(found):
        host = host_of(url)
        if asked[host] < settings.max_pages_per_host:
            asked[host] += 1
            turns.append((asked[host], url))  # the n-th page of a host has the n-th turn
    return sorted(url for _, url in nsmallest(left, turns))
