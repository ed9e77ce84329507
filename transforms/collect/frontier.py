"""Which pages a crawl asks next. Pure, and blind to the order in which anything arrived: budgets cut by sort order."""

import re
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from functools import cached_property
from typing import Literal, NamedTuple

from pydantic import Field, field_validator

from filters.rules import Rules
from filters.url import host_of, in_domain, normalise_url

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


class CrawlSettings(Rules):
    """A polite crawl from seeds, in rounds: the pages of a round are known before it begins."""

    seeds: list[str] = Field([])  # urls
    seed_file: str | None = None  # one url a line; # starts a comment
    scope: Literal["host", "domain", "prefix", "any"] = "host"  # of the seeds; "domain": and their subdomains
    include: list[str] = Field([])  # regular expressions; a url must match one, where there are any
    exclude: list[str] = Field([])  # regular expressions; a url that matches one is left out
    max_pages: int = Field(10_000, ge=1)  # of the whole crawl: some 3 hours of one host at a page a second
    max_pages_per_host: int = Field(10_000, ge=1)
    max_rounds: int = Field(10, ge=1)  # clicks from a seed, plus one; sites are rarely deeper than 6
    # Guards against endless sites (calendars, sessions, filters); few real pages lie outside them.
    max_url_length: int = Field(1_024, ge=1)  # characters; sitemaps allow 2,048
    max_query_parameters: int = Field(4, ge=0)
    max_path_depth: int = Field(16, ge=1)  # segments
    max_repeated_segments: int = Field(2, ge=1)  # /a/b/a/b/a/b is a link that leads into itself

    @field_validator("include", "exclude")
    @classmethod
    def _expressions_compile(cls, expressions: list[str]) -> list[str]:
        for expression in expressions:
            try:
                re.compile(expression)
            except re.error as error:
                raise ValueError(f"{expression!r} is no regular expression: {error}") from error
        return expressions

    @cached_property
    def included(self) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(e) for e in self.include)

    @cached_property
    def excluded(self) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(e) for e in self.exclude)


class SeedError(ValueError):
    """A seed cannot be asked; the message names it and the remedy."""


class SeedScope(NamedTuple):
    """What the seeds allow, worked out once."""

    hosts: frozenset[str]
    domains: frozenset[str]  # the hosts without a leading "www."
    prefixes: tuple[str, ...]  # the seeds up to their last slash


def read_seeds(lines: Iterable[str]) -> list[str]:
    """The seeds as identities, each once, in sort order. Raises SeedError for one that is no http(s) url, or for none.

    Empty lines and those that begin with # are left out.
    """
    seeds = set()
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        url = normalise_url(text)
        if url is None or not url.startswith(("http://", "https://")):
            raise SeedError(f"seed {text!r} is no http or https url; expected one such as https://example.org/")
        seeds.add(url)
    if not seeds:
        raise SeedError(
            "there are no seeds; list urls in collect.crawl.seeds or name a file in collect.crawl.seed_file"
        )
    return sorted(seeds)


def scope_of(seeds: Iterable[str]) -> SeedScope:
    """The scope of seeds that are identities already (`read_seeds`)."""
    seeds = list(seeds)
    hosts = frozenset(host_of(seed) for seed in seeds)
    paths = (seed.partition("?")[0] for seed in seeds)
    prefixes = sorted({path[: path.rindex("/") + 1] for path in paths})
    return SeedScope(hosts, frozenset(host.removeprefix("www.") for host in hosts), tuple(prefixes))


def in_scope(url: str, settings: CrawlSettings, scope: SeedScope) -> bool:
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


def _near_seeds(url: str, settings: CrawlSettings, scope: SeedScope) -> bool:
    if settings.scope == "host":
        return host_of(url) in scope.hosts
    if settings.scope == "domain":
        return in_domain(host_of(url), scope.domains)
    return settings.scope == "any" or url.startswith(scope.prefixes)


def is_trap(url: str, settings: CrawlSettings) -> bool:
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


def next_frontier(
    known: Container[str], links: Iterable[str], settings: CrawlSettings, scope: SeedScope, asked: Mapping[str, int]
) -> list[str]:
    """The pages of the next round, sorted. The same for the same sets, whatever their order.

    `known` are all urls of former rounds, `asked` their number a host. Where a budget is smaller than what was found,
    the first urls in sort order are asked and the others are not part of the crawl.
    """
    found = sorted({url for url in links if url not in known and in_scope(url, settings, scope)})
    hosts = Counter(asked)
    left = settings.max_pages - sum(asked.values())
    chosen: list[str] = []
    for url in found:
        host = host_of(url)
        if len(chosen) < left and hosts[host] < settings.max_pages_per_host:
            hosts[host] += 1
            chosen.append(url)
    return chosen


def first_frontier(seeds: Iterable[str], settings: CrawlSettings) -> list[str]:
    """The pages of the first round: the seeds themselves, in scope or not, within the budgets. Sorted."""
    hosts: Counter[str] = Counter()
    chosen: list[str] = []
    for url in sorted(set(seeds)):
        host = host_of(url)
        if len(chosen) < settings.max_pages and hosts[host] < settings.max_pages_per_host:
            hosts[host] += 1
            chosen.append(url)
    return chosen
