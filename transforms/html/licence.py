"""What a page says of the licence of its images: `rel=license`, or schema.org in JSON-LD."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from selectolax.lexbor import LexborHTMLParser

from filters.url import normalise_url
from transforms.html.dom_context import surroundings

MAX_JSON_LD = 1_000_000  # characters of one script
MAX_JSON_VALUES = 10_000  # objects and lists looked at in one script


class PageLicence(NamedTuple):
    """Licences as absolute urls or as the page's own words; "" and {} where it says nothing."""

    page: str
    by_image: dict[str, str]  # identity of the image's url: licence
    by_figure: dict[int, str]  # mem_id of the figure: licence

    def of(self, image_url: str, figure: int | None = None) -> str:
        """The closest word on one image: its figure's, its own in JSON-LD, the page's."""
        return (self.by_figure.get(figure, "") if figure else "") or self.by_image.get(image_url, "") or self.page


def read_licences(tree: LexborHTMLParser, base: str | None) -> PageLicence:
    """The licences that a page names; a `rel=license` inside a figure is not the page's."""
    rel_page, by_figure = _rel_licences(tree, base)
    json_page, by_image = _json_licences(tree, base)
    return PageLicence(rel_page or json_page, by_image, by_figure)


def _rel_licences(tree: LexborHTMLParser, base: str | None) -> tuple[str, dict[int, str]]:
    page, by_figure = "", dict[int, str]()
    for link in tree.css("link[rel][href], a[rel][href], area[rel][href]"):
        attributes = link.attributes
        rel = (attributes.get("rel") or "").lower().split()
        href = (attributes.get("href") or "").strip()
        if not href or ("license" not in rel and "licence" not in rel):
            continue
        licence = normalise_url(href, base) or href
        figure = surroundings(link).figure
        if figure is None:
            page = page or licence
        else:
            by_figure.setdefault(figure, licence)
    return page, by_figure


def _json_licences(tree: LexborHTMLParser, base: str | None) -> tuple[str, dict[str, str]]:
    page, by_image = "", dict[str, str]()
    for found in _json_ld(tree):
        licence = _absolute(_text_or_id(found.get("license")), base)
        if licence and not _has_type(found, "ImageObject"):
            page = page or licence
        elif licence:
            for key in ("contentUrl", "url"):
                url = normalise_url(_text_or_id(found.get(key)), base)
                if url and url != base:
                    by_image.setdefault(url, licence)
    return page, by_image


def _absolute(licence: str, base: str | None) -> str:
    """A licence may be a url or a name such as "CC BY 4.0"; only the first is made absolute."""
    if " " in licence or ("/" not in licence and ":" not in licence):
        return licence
    return normalise_url(licence, base) or licence


def _json_ld(tree: LexborHTMLParser) -> Iterator[dict[str, Any]]:
    """Every object that names a licence in the page's JSON-LD; broken scripts say nothing."""
    for script in tree.css('script[type="application/ld+json" i]'):
        text = script.text(deep=True) or ""
        if "license" not in text or len(text) > MAX_JSON_LD:
            continue
        try:
            yield from _objects(json.loads(text, strict=False))
        except (ValueError, RecursionError):
            continue


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    waiting = [value]
    for _ in range(MAX_JSON_VALUES):
        if not waiting:
            return
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(reversed([v for v in value.values() if isinstance(v, dict | list)]))
        elif isinstance(value, list):
            waiting.extend(reversed([v for v in value if isinstance(v, dict | list)]))


def _has_type(found: dict[str, Any], name: str) -> bool:
    kind = found.get("@type")
    return kind == name or (isinstance(kind, list) and name in kind)


def _text_or_id(value: Any) -> str:
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict):
        value = value.get("@id") or value.get("url")
    return value.strip() if isinstance(value, str) else ""
