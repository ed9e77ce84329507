"""Settings of the `collect` section."""

from typing import Literal

from pydantic import Field

from filters.rules import Rules, operational
from filters.url import UrlRules
from transforms.collect.adopt import AdoptSettings
from transforms.collect.frontier import CrawlSettings
from transforms.collect.html import HtmlSettings
from transforms.collect.language import LanguageSettings
from transforms.collect.tables import TableSettings


class WarcSettings(Rules):
    """WARC files as a source: Common Crawl's, ours, or any other tool's."""

    paths: list[str] = operational(min_length=1)  # files or globs
    images: Literal["ignore", "prefer", "only"] = "ignore"  # take images from the archive; "only" asks nobody


class CollectSettings(Rules):
    """Where pages and tables come from, and what is read out of them. At least one source."""

    crawl: CrawlSettings | None = None
    warc: WarcSettings | None = None
    tables: TableSettings | None = None
    adopt: AdoptSettings | None = None
    html: HtmlSettings = HtmlSettings()
    url: UrlRules = UrlRules()
    language: LanguageSettings = LanguageSettings()
    max_captions: int = Field(8, ge=1)  # per image; the most frequent ones stay
    judge_early: bool = False  # also apply select's caption and language rules, before any request
    max_broken: float = operational(0.01, ge=0, le=1)  # share of the archives' bytes that damage may cost
    parts: int = Field(8, ge=1, le=10_000)  # files of candidates/; a part is sorted in memory
