"""Which pages a crawl asks next. Blind to the order in which anything arrived: budgets cut by sort order.

Pure, but for the seed file.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from functools import cached_property
from typing import Literal, NamedTuple

from pydantic import Field, field_validator

from filters.rules import Rules, operational
from filters.url import host_of, in_domain, normalise_url
from transforms import storage
from transforms.web.parts import LOCAL_PAUSES_S

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

    # What the seeds are is an input of the crawl, as a table is; where they stand changes nothing.
    seeds: list[str] = operational([])  # urls
    seed_file: str | None = operational(None)  # one url a line; # starts a comment
    scope: Literal["host", "domain", "prefix", "any"] = "host"  # of the seeds; "domain": and their subdomains
    include: list[str] = Field([])  # regular expressions; a url must match one, where there are any
    exclude: list[str] = Field([])  # regular expressions; a url that matches one is left out
    max_pages: int = Field(10_000, ge=1)  # of the whole crawl: some 3 hours of one host at a page a second
    max_pages_per_host: int = Field(10_000, ge=1)
    max_depth: int = Field(10, ge=0)  # clicks from a seed; sites are rarely deeper than 6
    tasks: int = Field(16, ge=1, le=10_000)  # a host belongs to one; never a function of the number of workers
    pages_per_part: int = Field(200, ge=1)  # the unit of resume: three minutes of one host at a page a second
    local_pauses_s: tuple[float, ...] = operational(LOCAL_PAUSES_S)
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


class FrontierError(ValueError):
    """A seed cannot be asked; the message names it and the remedy."""


class SeedScope(NamedTuple):
    """What the seeds allow, worked out once."""

    hosts: frozenset[str]
    domains: frozenset[str]  # the hosts without a leading "www."
    prefixes: tuple[str, ...]  # the seeds up to their last slash


def read_seeds(settings: CrawlSettings) -> list[str]:
    """The seeds of the list and the file as identities, each once, in sort order.

    Raises FrontierError for a file that cannot be read, for a seed that is no http(s) url, and where there are none.
    """
    seeds = sorted({_seed(line.strip()) for line in _seed_lines(settings)})
    if not seeds:
        raise FrontierError("no seeds: list urls in collect.crawl.seeds, or one a line in collect.crawl.seed_file")
    return seeds


def _seed_lines(settings: CrawlSettings) -> list[str]:
    """Empty lines and comments are left out."""
    lines = list(settings.seeds)
    if settings.seed_file is not None:
        try:
            lines += storage.read_bytes(settings.seed_file).decode("utf-8-sig", "replace").splitlines()
        except storage.StorageError as error:
            raise FrontierError(f"seed_file: {error}") from error
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _seed(text: str) -> str:
    url = normalise_url(text)
    if url is None or not url.startswith(("http://", "https://")):
        raise FrontierError(f"seed {text!r} is no http or https url; expected one such as https://example.org/")
    return url


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


def first_frontier(seeds: Iterable[str], settings: CrawlSettings) -> list[str]:
    """The pages of the first round: the seeds themselves, in scope or not, within the budgets. Sorted."""
    return _within_budgets(set(seeds), Counter(), settings)


def next_frontier(
    known: Collection[str], links: Iterable[str], settings: CrawlSettings, seeds: Iterable[str]
) -> list[str]:
    """The pages of the next round, sorted: a function of the two sets, whatever their order.

    `known` (best a set) are the urls of all former rounds. Where a budget is smaller than what was found, the first
    urls in sort order are asked and the others are not part of the crawl.
    """
    scope = scope_of(seeds)
    found = {url for url in links if url not in known and in_scope(url, settings, scope)}
    return _within_budgets(found, Counter(host_of(url) for url in known), settings)


def _within_budgets(found: Iterable[str], asked: Counter[str], settings: CrawlSettings) -> list[str]:
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
