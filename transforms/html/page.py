"""One page: its images with what it says of them, its links, its metas. Pure."""

import re
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Literal, NamedTuple

from pydantic import Field
from selectolax.lexbor import LexborHTMLParser, LexborNode

from filters.caption import normalise_caption
from filters.optout import says_nofollow
from filters.rules import Rules
from filters.url import is_template, normalise_url
from transforms.html.dom_context import Surroundings, is_foreign, surroundings
from transforms.html.encoding import decode
from transforms.html.image_urls import SourceSet, best_url, is_lazy, is_preview, lazy_url, stands_in
from transforms.html.licence import PageLicence, read_licences
from transforms.html.parser_limits import cut_hostile
from transforms.html.xhtml import as_html, is_xml

PERMALINK_MARKS = " \u00b6"  # the pilcrow that documentation tools hang on every caption
MAX_CAPTION_NODES = 2_000  # of one figcaption; the rest of a longer one is not read
MAX_SOURCES = 64  # of one picture
MAX_BASES = 64  # looked at, those of foreign elements among them
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


def read_body(body: bytes, content_type: str, page_url: str, settings: HtmlSettings) -> Page:
    """Read a page as it was sent, in its encoding, XHTML as XML. `content_type` is the HTTP header, or ""."""
    text, codec = decode(body, content_type)
    html = as_html(text[: settings.max_characters]) if is_xml(content_type) else text
    return read_page(html, page_url, settings, codec)


def read_page(html: str, page_url: str, settings: HtmlSettings, codec: str = "utf-8") -> Page:
    """Read one page. Broken, cut off and hostile HTML is read as far as it goes; nothing is raised.

    `codec` is the Python codec of the page's encoding: the queries of its urls are in it.
    """
    cut = cut_hostile(html, settings.max_characters)
    tree = LexborHTMLParser(cut.encode("utf-8", "replace"))
    base = _base_url(tree, page_url, codec)
    metas = _metas(tree)
    licences = read_licences(tree, base)
    images = _Images(tree, partial(_absolute, base=base, codec=codec), licences, settings).read()
    images += _open_graph(metas, partial(_absolute, base=base, codec=codec), licences, settings, len(images))
    title = tree.css_first("head > title, title")
    return Page(
        url=page_url,
        base_url=base or "",
        metas=metas,
        links=() if says_nofollow((), metas, ()) else _links(tree, base, codec),
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


def _base_url(tree: LexborHTMLParser, page_url: str, codec: str) -> str | None:
    """The first `<base href>` of HTML, where it is one; a base of data: or javascript: is none, says the standard."""
    page = normalise_url(page_url)
    bases = (n for n in tree.css("base[href]")[:MAX_BASES] if not is_foreign(n) and not surroundings(n).in_noscript)
    node = next(bases, None)
    if node is None:
        return page
    base = normalise_url(node.attributes.get("href") or "", page, codec)
    return base if base is not None and not base.startswith(("data:", "javascript:")) else page


def _absolute(written: str, base: str | None, codec: str) -> str:
    """The identity of an image's url; as written where it does not parse or is a bare fragment: no image is there."""
    url = "" if written.startswith("#") else normalise_url(written, base, codec)
    return (url or written)[:SHOWN_OF_DATA_URL] if (url or written).startswith("data:") else url or written


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


def _links(tree: LexborHTMLParser, base: str | None, codec: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for node in tree.css("a[href], area[href], link[rel][href]"):
        attributes = node.attributes
        rel = (attributes.get("rel") or "").lower().split()
        if "nofollow" in rel or (node.tag == "link" and "next" not in rel):
            continue
        url = normalise_url(attributes.get("href") or "", base, codec)
        if url is not None and url.startswith(("http://", "https://")):
            found[url] = None
    return tuple(found)


class _Images:
    """The images of one page, in the order of the page."""

    def __init__(
        self, tree: LexborHTMLParser, absolute: Callable[[str], str], licences: PageLicence, settings: HtmlSettings
    ) -> None:
        self._nodes = tree.css("img, amp-img")
        self._absolute = absolute
        self._licences = licences
        self._settings = settings
        self._figcaptions = _figcaptions(tree)
        self._sources: dict[int, list[SourceSet]] = {}  # of a picture
        self._before: dict[int, int] = {}  # of an img in a picture: how many sources stand before it

    def read(self) -> list[ImageFound]:
        found: list[ImageFound] = []
        fallbacks: list[_Fallback] = []
        waiting: set[int] = set()  # indices in `found` of those that a script was to replace
        owners: dict[int, int] = {}  # mem_id of an amp-img or picture: index in `found`
        for node in self._nodes:
            around = surroundings(node)
            image, waits = self._image(node, around)
            if around.in_noscript:
                fallbacks.append(_Fallback(image, len(found), around.fallback_of))
                continue
            owners[node.mem_id] = len(found)
            if around.picture is not None:
                owners[around.picture.mem_id] = len(found)
            if waits:
                waiting.add(len(found))
            found.append(image)
        return _numbered(_with_fallbacks(found, fallbacks, waiting, owners))

    def _image(self, node: LexborNode, around: Surroundings) -> tuple[ImageFound, bool]:
        attributes = node.attributes
        sources = self._sources_before(node, around.picture) if around.picture is not None else []
        written = best_url(attributes, sources)
        url = self._absolute(written) if written else ""
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
            ("alt", clean_text(attributes.get("aria-label"))),
            ("title", clean_text(attributes.get("title"))),
            ("figcaption", figcaption),
        )
        once: dict[str, str] = {}
        for kind, text in texts:
            if text and kind in self._settings.kinds:
                once.setdefault(text, kind)
        return tuple((kind, text) for text, kind in once.items())

    def _sources_before(self, node: LexborNode, picture: LexborNode) -> list[SourceSet]:
        """The sources that are children of the picture and stand before the image, as the standard wants them."""
        if picture.mem_id not in self._sources:
            sources: list[SourceSet] = []
            for child in picture.iter():
                if child.tag == "source" and len(sources) < MAX_SOURCES:
                    sources.append(SourceSet(child.attributes))
                elif child.tag == "img":
                    self._before[child.mem_id] = len(sources)
            self._sources[picture.mem_id] = sources
        return self._sources[picture.mem_id][: self._before.get(node.mem_id, 0)]


class _Fallback(NamedTuple):
    """An image of a `<noscript>`."""

    image: ImageFound
    place: int  # that it would have among the others
    owner: int | None  # mem_id of the amp-img or picture around it


def _with_fallbacks(
    found: list[ImageFound], fallbacks: list[_Fallback], waiting: set[int], owners: dict[int, int]
) -> list[ImageFound]:
    """The images with those of `<noscript>`, which say again, for browsers without scripts, what another image shows.

    That is the image of the element around it, one with the same url, or the image just before where it is a
    placeholder or waits for a script. A placeholder takes the fallback's url; an image without alt takes its texts.
    Any other fallback is an image of its own.
    """
    shown = {image.url: index for index, image in reversed(list(enumerate(found))) if image.url}
    placed: dict[int, list[ImageFound]] = {}
    for image, index, owner in fallbacks:
        other = owners.get(owner) if owner is not None else None
        if other is None:
            other = shown.get(image.url)
        if other is None and index and _gives_way(found[index - 1], image, index - 1 in waiting):
            other = index - 1
        if other is None:
            shown[image.url] = -1
            placed.setdefault(index, []).append(image)
        elif other >= 0:
            before = found[other]
            url, licence = before.url, before.licence
            if image.url and (_is_empty(before.url) or is_preview(before.url, image.url)):
                url, licence = image.url, image.licence
                shown[url] = other
            found[other] = before._replace(url=url, licence=licence, captions=_with_alt(before, image))
    result: list[ImageFound] = []
    for index in range(len(found) + 1):
        result.extend(placed.get(index, ()))
        result.extend(found[index : index + 1])
    return result


def _gives_way(before: ImageFound, fallback: ImageFound, waits: bool) -> bool:
    return waits or _is_empty(before.url) or is_preview(before.url, fallback.url)


def _is_empty(url: str) -> bool:
    """No picture: a placeholder or a template, or nothing at all."""
    return not url or stands_in(url) or is_template(url)


def _with_alt(image: ImageFound, fallback: ImageFound) -> tuple[tuple[str, str], ...]:
    """The texts of an image, with its fallback's where it has no alt."""
    if any(kind == "alt" for kind, _ in image.captions):
        return image.captions
    texts = {text: kind for kind, text in image.captions} | {text: kind for kind, text in fallback.captions}
    order = [*fallback.captions, *image.captions]
    return tuple(dict.fromkeys((texts[text], text) for _, text in order))


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
    metas: tuple[tuple[str, str], ...],
    absolute: Callable[[str], str],
    licences: PageLicence,
    settings: HtmlSettings,
    start: int,
) -> list[ImageFound]:
    """The images that the page shows when it is shared. A structured property belongs to the image before it."""
    if settings.open_graph == "off" or "og" not in settings.kinds:
        return []
    texts: dict[str, str] = {}
    url = ""
    for name, content in metas:
        if name in ("og:image", "og:image:url") and content:
            url = absolute(content)
            texts.setdefault(url, "")
        elif name == "og:image:alt" and url:
            texts[url] = texts[url] or clean_text(content)
    title = clean_text(next((c for n, c in metas if n == "og:title"), "")) if settings.open_graph == "title" else ""
    found = [(url, text or title) for url, text in texts.items()]
    return [
        ImageFound(url, (("og", text),), None, None, licences.of(url), start + number)
        for number, (url, text) in enumerate(pair for pair in found if pair[1])
    ]
