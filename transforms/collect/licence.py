"""What a page says of the licence of its images: `rel=license`, or schema.org in JSON-LD."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from selectolax.lexbor import LexborHTMLParser, LexborNode

from filters.url import normalise_url

MAX_JSON_LD = 1_000_000  # characters of one script
MAX_JSON_VALUES = 10_000  # objects and lists looked at in one script


class PageLicence(NamedTuple):
    """Licences as absolute urls or as the page's own words; "" and {} where it says nothing."""

    page: str
    by_image: dict[str, str]  # identity of the image's url: licence

    def of(self, image_url: str, near: str) -> str:
        """The closest word on one image. `near` is what its own figure says, or ""."""
        return near or self.by_image.get(image_url, "") or self.page


def rel_licence(node: LexborNode, base: str | None) -> str:
    """The licence that a link with rel=license inside `node` names, or ""."""
    for link in node.css("a[rel], link[rel], area[rel]"):
        attributes = link.attributes
        rel = (attributes.get("rel") or "").lower().split()
        href = (attributes.get("href") or "").strip()
        if href and ("license" in rel or "licence" in rel):
            return normalise_url(href, base) or href
    return ""


def read_licences(tree: LexborHTMLParser, base: str | None) -> PageLicence:
    """The page's licence and those of single images; a `rel=license` inside a figure is not the page's."""
    page, by_image = "", dict[str, str]()
    for found in _json_ld(tree):
        licence = _text_or_id(found.get("license"))
        if not licence:
            continue
        licence = _absolute(licence, base)
        if _has_type(found, "ImageObject"):
            for key in ("contentUrl", "url"):
                url = normalise_url(_text_or_id(found.get(key)) or "", base)
                if url and url != base:
                    by_image.setdefault(url, licence)
        else:
            page = page or licence
    return PageLicence(_page_rel(tree, base) or page, by_image)


def _absolute(licence: str, base: str | None) -> str:
    """A licence may be a url or a name such as "CC BY 4.0"; only the first is made absolute."""
    if " " in licence or ("/" not in licence and ":" not in licence):
        return licence
    return normalise_url(licence, base) or licence


def _page_rel(tree: LexborHTMLParser, base: str | None) -> str:
    for link in tree.css("link[rel], a[rel], area[rel]"):
        attributes = link.attributes
        rel = (attributes.get("rel") or "").lower().split()
        href = (attributes.get("href") or "").strip()
        if href and ("license" in rel or "licence" in rel) and not _inside_figure(link):
            return normalise_url(href, base) or href
    return ""


def _inside_figure(node: LexborNode) -> bool:
    parent = node.parent
    for _ in range(32):
        if parent is None:
            return False
        if parent.tag == "figure":
            return True
        parent = parent.parent
    return False


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
