"""One page: its images with what it says of them, its links, its metas. Pure."""

import re
from itertools import islice
from typing import Literal, NamedTuple

from pydantic import Field
from selectolax.lexbor import LexborHTMLParser, LexborNode

from filters.caption import normalise_caption
from filters.optout import says_nofollow
from filters.rules import Rules
from filters.url import normalise_url
from transforms.html.dom_context import Surroundings, surroundings
from transforms.html.image_urls import SourceSet, best_url, is_lazy, lazy_url
from transforms.html.licence import PageLicence, read_licences
from transforms.html.parser_limits import cut_hostile

PERMALINK_MARKS = " \u00b6"  # the pilcrow that documentation tools hang on every caption
MAX_CAPTION_NODES = 2_000  # of one figcaption; the rest of a longer one is not read
MAX_SOURCES = 64  # of one picture
SHOWN_OF_DATA_URL = 64  # characters; the url is dropped for its scheme, whatever it holds


class HtmlSettings(Rules):
    """What is read out of a page."""

    max_characters: int = Field(8_000_000, ge=1)  # of a page; the HTTP Archive's largest hundredth ends below 2 MB
    # Which texts are captions; og is og:image:alt.
    kinds: list[Literal["alt", "title", "figcaption", "og"]] = Field(["alt", "title", "figcaption", "og"])
    open_graph: Literal["off", "alt", "title"] = "alt"  # og:image with og:image:alt; "title": else with og:title


class ImageFound(NamedTuple):
    """An image of a page, with what the page says of it: (kind, text) pairs, each text once, none of them empty."""

    url: str  # identity, or as written where it does not parse
    captions: tuple[tuple[str, str], ...]
    width: int | None  # pixels, as the page claims
    height: int | None
    licence: str
    number: int  # in the page: 0, 1, 2, ...


class Page(NamedTuple):
    """What one page holds. Urls are identities (`filters.url`)."""

    url: str
    base_url: str
    metas: tuple[tuple[str, str], ...]  # (name or property in lower case, content), in order
    links: tuple[str, ...]  # http(s) only, each once, in order; none where meta robots says nofollow
    images: tuple[ImageFound, ...]
    title: str
    language_hint: str  # `lang` of the page, lower case
    licence: str  # of the page as a whole


class FoundCaption(NamedTuple):
    """One occurrence: an image and one text, "" where the page says nothing of it."""

    url: str
    text: str
    kind: str
    licence: str


def read_page(html: str, page_url: str, settings: HtmlSettings) -> Page:
    """Read one page. Broken, cut off and hostile HTML is read as far as it goes; nothing is raised."""
    cut = cut_hostile(html, settings.max_characters)
    tree = LexborHTMLParser(cut.encode("utf-8", "replace"))
    base = _base_url(tree, page_url)
    metas = _metas(tree)
    licences = read_licences(tree, base)
    images = _Images(tree, base, licences, settings).read()
    images += _open_graph(metas, base, licences, settings, len(images))
    title = tree.css_first("head > title, title")
    return Page(
        url=page_url,
        base_url=base or "",
        metas=metas,
        links=() if says_nofollow((), metas, ()) else _links(tree, base),
        images=tuple(images),
        title=clean_text(title.text(deep=True)) if title is not None else "",
        language_hint=_language(tree),
        licence=licences.page,
    )


def found_captions(page: Page) -> list[FoundCaption]:
    """The occurrences of a page: one for each image and text; an image without any text is one with the text ""."""
    found = []
    for image in page.images:
        for kind, text in image.captions or (("alt", ""),):
            found.append(FoundCaption(image.url, text, kind, image.licence))
    return found


def clean_text(text: str | None) -> str:
    """The normal form of captions (`filters.caption`), for titles too."""
    if not text:
        return ""
    if text.isascii() and text.isprintable():  # nearly every text
        return " ".join(text.split())
    return normalise_caption(text)


def _base_url(tree: LexborHTMLParser, page_url: str) -> str | None:
    """The first `<base href>`, where it is one; a base of data: or javascript: is none, says the standard."""
    page = normalise_url(page_url)
    node = tree.css_first("base[href]")
    if node is None:
        return page
    base = normalise_url(node.attributes.get("href") or "", page)
    return base if base is not None and not base.startswith(("data:", "javascript:")) else page


def _metas(tree: LexborHTMLParser) -> tuple[tuple[str, str], ...]:
    found = []
    for node in tree.css("meta[content]"):
        attributes = node.attributes
        name = attributes.get("name") or attributes.get("property")
        if name:
            found.append((name.strip().lower(), (attributes.get("content") or "").strip()))
    return tuple(found)


def _language(tree: LexborHTMLParser) -> str:
    node = tree.css_first("html")
    attributes = node.attributes if node is not None else {}
    return (attributes.get("lang") or attributes.get("xml:lang") or "").strip().lower()


def _links(tree: LexborHTMLParser, base: str | None) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for node in tree.css("a[href], area[href], link[rel][href]"):
        attributes = node.attributes
        rel = (attributes.get("rel") or "").lower().split()
        if "nofollow" in rel or (node.tag == "link" and "next" not in rel):
            continue
        url = normalise_url(attributes.get("href") or "", base)
        if url is not None and url.startswith(("http://", "https://")):
            found[url] = None
    return tuple(found)


class _Images:
    """The images of one page, in the order of the page."""

    def __init__(self, tree: LexborHTMLParser, base: str | None, licences: PageLicence, settings: HtmlSettings) -> None:
        self._nodes = tree.css("img, amp-img")
        self._base = base
        self._licences = licences
        self._settings = settings
        self._figcaptions = _figcaptions(tree)
        self._sources: dict[int, list[SourceSet]] = {}  # of a picture

    def read(self) -> list[ImageFound]:
        found: list[ImageFound] = []
        fallbacks: list[tuple[int, ImageFound]] = []  # of noscript, with the index that they would have
        placeholders: dict[int, bool] = {}  # index in `found`: whether a script was to replace it
        for node in self._nodes:
            around = surroundings(node)
            image, waits = self._image(node, around)
            if image is None:
                continue
            if around.in_noscript:
                fallbacks.append((len(found), image))
            else:
                placeholders[len(found)] = waits
                found.append(image)
        return _numbered(_with_fallbacks(found, fallbacks, placeholders))

    def _image(self, node: LexborNode, around: Surroundings) -> tuple[ImageFound | None, bool]:
        attributes = node.attributes
        sources = self._picture_sources(around.picture) if around.picture is not None else []
        written = best_url(attributes, sources)
        if not written:
            return None, False
        url = normalise_url(written, self._base) or written
        if url.startswith("data:"):
            url = url[:SHOWN_OF_DATA_URL]
        caption = self._figcaptions.get(around.figure, "") if around.figure is not None else ""
        image = ImageFound(
            url=url,
            captions=self._captions(attributes, caption),
            width=_pixels(attributes.get("width")),
            height=_pixels(attributes.get("height")),
            licence=self._licences.of(url, around.figure),
            number=0,
        )
        return image, is_lazy(attributes) or bool(lazy_url(attributes))

    def _captions(self, attributes: dict[str, str | None], figcaption: str) -> tuple[tuple[str, str], ...]:
        texts = (
            ("alt", clean_text(attributes.get("alt"))),
            ("title", clean_text(attributes.get("title"))),
            ("figcaption", figcaption),
        )
        once: dict[str, str] = {}
        for kind, text in texts:
            if text and kind in self._settings.kinds:
                once.setdefault(text, kind)
        return tuple((kind, text) for text, kind in once.items())

    def _picture_sources(self, picture: LexborNode) -> list[SourceSet]:
        known = self._sources.get(picture.mem_id)
        if known is None:
            known = [SourceSet(node.attributes) for node in picture.css("source")[:MAX_SOURCES]]
            self._sources[picture.mem_id] = known
        return known


def _with_fallbacks(
    found: list[ImageFound], fallbacks: list[tuple[int, ImageFound]], placeholders: dict[int, bool]
) -> list[ImageFound]:
    """The images with those of `<noscript>`, which say again, for browsers without scripts, what comes before them.

    A fallback takes the place of an inline placeholder just before it, is left out where the image before it waits
    for a script or the page shows the same url, and else is an image of its own.
    """
    shown = {image.url for image in found}
    placed: dict[int, list[ImageFound]] = {}
    for index, image in fallbacks:
        before = found[index - 1] if index else None
        if image.url in shown:
            continue
        if before is not None and before.url.startswith(("data:", "about:", "blob:")):
            found[index - 1] = image._replace(captions=image.captions or before.captions)
        elif before is None or not placeholders[index - 1]:
            placed.setdefault(index, []).append(image)
        shown.add(image.url)
    result: list[ImageFound] = []
    for index in range(len(found) + 1):
        result.extend(placed.get(index, ()))
        result.extend(found[index : index + 1])
    return result


def _numbered(images: list[ImageFound]) -> list[ImageFound]:
    return [image._replace(number=number) for number, image in enumerate(images)]


def _figcaptions(tree: LexborHTMLParser) -> dict[int, str]:
    """The caption of each figure, by its mem_id: the first one that no inner figure owns."""
    captions: dict[int, str] = {}
    for node in tree.css("figcaption"):
        figure = surroundings(node).figure
        if figure is not None and figure not in captions:
            captions[figure] = clean_text(_shown_text(node)).rstrip(PERMALINK_MARKS)
    return captions


_BREAKS = frozenset(
    ("br", "p", "div", "li", "ul", "ol", "dl", "dt", "dd", "h1", "h2", "h3", "h4", "h5", "h6", "tr", "td", "th",
     "table", "blockquote", "section", "hr", "pre")
)  # fmt: skip
_SILENT = frozenset(("script", "style", "noscript", "template"))


def _shown_text(node: LexborNode) -> str:
    """The text as a reader sees it: blocks and line breaks part words, `<b>` and `<sub>` do not."""
    parts = []
    for child in islice(node.traverse(include_text=True), MAX_CAPTION_NODES):
        if child.is_text_node:
            if child.parent is None or child.parent.tag not in _SILENT:
                parts.append(child.text_content or "")
        elif child.tag in _BREAKS:
            parts.append(" ")
    return "".join(parts)


def _pixels(value: str | None) -> int | None:
    """An HTML dimension in pixels; percentages and nonsense say nothing."""
    found = re.fullmatch(r"\s*(\d{1,9})(?:\.\d*)?(?:px)?\s*", value or "", re.ASCII)
    return int(found.group(1)) if found else None


def _open_graph(
    metas: tuple[tuple[str, str], ...], base: str | None, licences: PageLicence, settings: HtmlSettings, start: int
) -> list[ImageFound]:
    """The images that the page shows when it is shared. A structured property belongs to the image before it."""
    if settings.open_graph == "off" or "og" not in settings.kinds:
        return []
    texts: dict[str, str] = {}
    url = ""
    for name, content in metas:
        if name in ("og:image", "og:image:url") and content:
            url = normalise_url(content, base) or content
            texts.setdefault(url, "")
        elif name == "og:image:alt" and url:
            texts[url] = texts[url] or clean_text(content)
    title = clean_text(next((c for n, c in metas if n == "og:title"), "")) if settings.open_graph == "title" else ""
    found = [(url, text or title) for url, text in texts.items()]
    return [
        ImageFound(url, (("og", text),), None, None, licences.of(url), start + number)
        for number, (url, text) in enumerate(pair for pair in found if pair[1])
    ]
