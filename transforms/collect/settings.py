"""Settings of the `collect` section."""

from functools import cached_property
from typing import Any

from pydantic import Field, model_serializer, model_validator

from filters.rules import Rules, operational
from filters.url import UrlRules
from transforms.collect.language import LanguageSettings
from transforms.crawl.settings import CrawlSource
from transforms.html.page import HtmlSettings
from transforms.outside import class_named, validated
from transforms.sources.adopt import AdoptSource
from transforms.sources.base import CandidateSource
from transforms.sources.tables import TableSource
from transforms.sources.warc import WarcSource


class OutsideSource(Rules):
    """A source whose class a configuration names, `source: "module:Class"`, with the fields of that class beside it."""

    source: str = Field(pattern=r"^[\w.]+:\w+$")  # `module:Class`
    settings: dict[str, Any] = {}  # the fields of that class; written beside `source`

    @model_validator(mode="before")
    @classmethod
    def _fields_beside_the_name(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {"source": value.get("source"), "settings": {k: v for k, v in value.items() if k != "source"}}

    @model_validator(mode="after")
    def _is_there(self) -> "OutsideSource":
        assert self.loaded is not None
        return self

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return {"source": self.source, **self.settings}

    @cached_property
    def loaded(self) -> CandidateSource:
        """The source itself. Raises ValueError that says what is wrong and what to do."""
        return validated(class_named(self.source, "source", (CandidateSource,)), self.source, self.settings)


class CollectSettings(Rules):
    """Where pages and tables come from, and what is read out of them. At least one source."""

    crawl: CrawlSource | None = None  # a polite crawl from seeds
    warc: WarcSource | None = None  # WARC files of any tool
    tables: TableSource | None = None  # url tables of any tool
    adopt: AdoptSource | None = None  # a folder of img2dataset or webdataset
    sources: tuple[OutsideSource, ...] = ()  # sources of your own
    html: HtmlSettings = HtmlSettings()
    url: UrlRules = UrlRules()
    language: LanguageSettings = LanguageSettings()
    max_captions: int = Field(8, ge=1)  # per image; the most frequent ones stay
    judge_early: bool = False  # also apply select's caption and language rules, before any request
    max_broken: float = operational(0.01, ge=0, le=1)  # share of the archives' bytes that damage may cost
    parts: int = Field(8, ge=1, le=10_000)  # files of candidates/; a part is sorted in memory

    def all_sources(self) -> dict[str, CandidateSource]:
        """Every source that is given, by its key, in the order in which they are read."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        own = {name: value for name, value in fields.items() if isinstance(value, CandidateSource)}
        return own | {f"sources.{number}": outside.loaded for number, outside in enumerate(self.sources)}
