"""Settings of a crawl, which is a source: it writes WARC files, and they are read as those of any other tool."""

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from filters.rules import operational
from filters.url import normalise_url
from transforms import run_dir, storage
from transforms.records import Unit
from transforms.sources.base import CandidateSource, Read, Reading, SourceError
from transforms.sources.warc import read_archive
from transforms.web.parts import LOCAL_PAUSES_S


class SeedError(SourceError):
    """A seed cannot be asked; the message names it and the remedy."""


class CrawlSource(CandidateSource):
    """Source `crawl`: a polite crawl from seeds, in rounds: the pages of a round are known before it begins."""

    is_archive: ClassVar[bool] = True

    # What the seeds are is an input of the crawl, as a table is; where they are listed changes nothing.
    seeds: list[str] = operational([])  # urls
    seed_file: str | None = operational(None, is_path=True)  # one url a line; # starts a comment
    scope: Literal["host", "domain", "prefix", "any"] = "host"  # of the seeds; "domain": and their subdomains
    include: list[str] = Field([])  # regular expressions; a url must match one, where there are any
    exclude: list[str] = Field([])  # regular expressions; a url that matches one is left out
    # Of the whole crawl, hosts in turn: some 3 hours of one host at a page a second.
    max_pages: int = Field(10_000, ge=1)
    max_pages_per_host: int = Field(10_000, ge=1)  # beyond them a host's links are left out
    max_depth: int = Field(10, ge=0)  # clicks from a seed; sites are rarely deeper than 6
    tasks: int = Field(16, ge=1, le=10_000)  # a host belongs to one; never a function of the number of workers
    pages_per_part: int = Field(200, ge=1)  # the unit of resume: three minutes of one host at a page a second
    parts_at_once: int = operational(8, ge=1)  # begun and not committed, in each task: slow hosts hold up no others
    spool_bytes: int = operational(32 * 1024 * 1024, ge=1)  # of pages in memory until their parts are whole
    # Before the 2nd, 3rd, … try of a part that failed for a reason of this machine.
    local_pauses_s: tuple[float, ...] = operational(LOCAL_PAUSES_S)
    # Guards against endless sites (calendars, sessions, filters); few real pages lie outside them.
    max_url_length: int = Field(1_024, ge=1)  # characters; sitemaps allow 2,048
    max_query_parameters: int = Field(4, ge=0)  # in a link; filters of shops combine more
    max_path_depth: int = Field(16, ge=1)  # segments
    max_repeated_segments: int = Field(2, ge=1)  # in a row: /a/b/a/b/a/b is a link that leads into itself

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

    def files(self) -> list[str]:
        return []

    def written(self, run: str) -> list[str]:
        """The WARCs of the crawl."""
        folder = run_dir.folder(run, run_dir.PAGES)
        return [storage.join(run_dir.PAGES, name) for name in storage.list_names(folder, "*.warc.gz")]

    def depends_on(self) -> dict[str, Any]:
        return {"seeds": self.seed_urls()}

    def check(self) -> None:
        self.seed_urls()

    def asks(self) -> list[str]:
        return self.seed_urls()

    def overview(self) -> dict[str, Any]:
        return {"seeds": self.seed_urls(), "max_pages": self.max_pages}

    def read(self, unit: Unit, path: str, reading: Reading) -> Iterator[Read]:
        return read_archive(unit, path, reading, wants_images=False)

    def seed_urls(self) -> list[str]:
        """The seeds of the list and the file as identities, each once, in sort order.

        Raises SeedError for a file that cannot be read, for a seed that is no http(s) url, and where there are none.
        """
        seeds = sorted({_seed(line.strip()) for line in self._seed_lines()})
        if not seeds:
            raise SeedError(
                "collect.crawl: no seeds: list urls in collect.crawl.seeds, or one a line in collect.crawl.seed_file"
            )
        return seeds

    def _seed_lines(self) -> list[str]:
        """Empty lines and comments are left out."""
        lines = list(self.seeds)
        if self.seed_file is not None:
            try:
                lines += storage.read_bytes(self.seed_file).decode("utf-8-sig", "replace").splitlines()
            except storage.StorageError as error:
                raise SeedError(f"collect.crawl: seed_file: {error}") from error
        return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _seed(text: str) -> str:
    url = normalise_url(text)
    if url is None or not url.startswith(("http://", "https://")):
        raise SeedError(
            f"collect.crawl: seed {text!r} is no http or https url; expected one such as https://example.org/"
        )
    return url
