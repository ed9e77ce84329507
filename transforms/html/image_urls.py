"""Which of the many urls of an `<img>` or `<picture>` is the picture: the largest one that can be decoded. Pure."""

import re
from collections.abc import Mapping, Sequence
from itertools import islice

from filters.url import is_template
from transforms.html import media
from transforms.html.srcset import SrcsetCandidate, parse_srcset

Attributes = Mapping[str, str | None]

# Where scripts that load images late keep the url, the most trusted first. These replace the `src` of an image whose
# class says that a script will load it.
LAZY_SRC = (
    "data-src", "data-original", "data-lazy-src", "data-lazy", "data-original-src", "data-hi-res-src", "data-hires",
    "data-full-src", "data-large-src", "data-orig-src", "data-image-src", "data-img-src", "data-cfsrc", "data-ezsrc",
    "data-delayed-url", "data-li-src", "data-echo", "lazy-src", "data-load-src", "data-actualsrc", "data-default-src",
    "data-lazyload", "data-lazy-original", "data-flickity-lazyload",
)  # fmt: skip
# Names that hold other things too: they serve only where there is no real `src`.
MAYBE_LAZY_SRC = ("data-pin-media", "data-url", "data-image", "data-img")
LAZY_SRCSET = ("data-srcset", "data-lazy-srcset", "data-original-set", "data-src-set", "data-ezsrcset", "lazy-srcset",
               "data-flickity-lazyload-srcset")  # fmt: skip

# A <source> that we could not decode is no choice. AVIF stays: Pillow reads it where its decoder is built in.
DECODABLE = frozenset(
    ("", "image/jpeg", "image/jpg", "image/pjpeg", "image/png", "image/apng", "image/webp", "image/gif", "image/avif",
     "image/bmp", "image/x-ms-bmp")
)  # fmt: skip

# Names of placeholders, shown until a script has run. They lose against a lazy attribute only, so that a picture
# that is really called white.png is kept.
_STAND_IN = (
    "blank|spacer|placeholder|pixel|transparent|trans|clear|empty|dummy|gr[ea]y|white|loading|loader|spinner|preload|"
    "preloader|lazy|lazyload|1x1|1px|pix|dot|no[._-]?image"
)
_PLACEHOLDER = re.compile(
    r"(?:^|/)(?:"
    r"[a-z0-9]\.gif|"
    rf"(?:(?:default|img|image|photo|bg)[._-]?)?(?:(?:{_STAND_IN})[._-]?)+(?:img|image|bg|\d+(?:x\d+)?)?"
    r"\.(?:gif|png|svg|jpe?g|webp)|"
    r"[^/?#]*[_-](?:blank|spacer|placeholder|lazyload|loading|loader|transparent|1x1)\.(?:gif|png|svg|webp)"
    r")(?:[?#].*)?$",
    re.IGNORECASE,
)
_INLINE = re.compile(r"\s*(?:data|about|javascript|blob):", re.IGNORECASE)
_NOWHERE = re.compile(r"(?:https?:)?//:\d*/?$|#|(?:https?:)?//$", re.IGNORECASE)  # "//:0" and "#" load nothing
_IMAGE_LIKE = re.compile(r"[^\s\"'<>{}\[\]][^\"'<>\[\]]*\.(?:jpe?g|jfif|png|gif|webp|avif|bmp)(?:[?#;!@:,/].*)?$", re.I)
_PAGE_LIKE = re.compile(r"\.(?:html?|xhtml|php|aspx?|jsp|js|json|css|xml|pdf|mp4|webm|zip)(?:[?#].*)?$", re.IGNORECASE)
_DESCRIPTOR = re.compile(r"\s\d+(?:\.\d+)?[wx]\s*(?:,|$)")  # a srcset is no url
_PATH_LIKE = re.compile(r"(?:https?:)?//[^\s/]+/\S|\.{0,2}/[^\s/]", re.IGNORECASE)
_SRC_NAME = re.compile(r"src$|original|lazy|hi-?res|full|large", re.IGNORECASE)
# Attributes that hold another image, or a worse one.
_OTHER_NAME = re.compile(
    r"^(?:src|srcset|alt|title|class|id|style|sizes|usemap|longdesc|aria-.*|on.*|href|crossorigin|referrerpolicy)$|"
    r"placeholder|fallback|error|avatar|low|lqip|blur|preview|loading|loader|widths",
    re.IGNORECASE,
)
_THUMB_NAME = re.compile(r"thumb|small|tiny|mini", re.IGNORECASE)
_SIZE = re.compile(
    r"[?&](?:w|width|size|resize|sz|imwidth)=(\d{1,5})|(?<!\d)(\d{1,5})x\d{0,5}(?=[._/?@-]|$)|\bw_(\d{1,5})|"
    r"(?<=[-_])(\d{1,5})(?:w|px)(?=[._/?]|$)",
    re.IGNORECASE,
)
_PREVIEW = re.compile(r"(?:^|[/_.-])(?:lqip|preview|tiny|blur|blurred|lowres|low)(?=[/_.?-]|$)", re.I)
MAX_PREVIEW_WIDTH = 100  # pixels; a wider image is a picture that a page may mean to show
MAX_LAZY_CHARACTERS = 4_000  # of a url
MAX_LAZY_NAMES = 100  # attributes of one tag that are looked at
_LAZY_CLASS = re.compile(r"lazy|lozad|unveil", re.IGNORECASE)


class SourceSet:
    """The best candidate of one `<source>`, if it has any that can be decoded and that a wide window shows."""

    def __init__(self, attributes: Attributes) -> None:
        kind = (attributes.get("type") or "").partition(";")[0].strip().lower()
        self.shown = media.matches(attributes.get("media"))
        self.best = max(_srcset(attributes) if kind in DECODABLE else [], key=_size, default=None)


def best_url(attributes: Attributes, sources: Sequence[SourceSet] = ()) -> str:
    """The url of an image, as written; "" where it names none. `sources` are those before it in its `<picture>`.

    As in the HTML standard the first source serves whose media a desktop's window answers (`transforms.html.media`),
    and `src` counts as a candidate of density 1. Of the candidates the largest wins: the width descriptor, then the
    density, then what comes first. A placeholder gives way to the attributes of lazy loaders, and where there is no
    other url, to a source for other windows. Templates are urls here: judging them drops and counts them.
    """
    for source in sources:
        if source.best is not None and source.shown:
            return source.best.url
    choices = _srcset(attributes)
    src = _src(attributes)
    if src and not stands_in(src):
        choices = [*choices, SrcsetCandidate(src, 0, 1.0)]
    choices = choices or [source.best for source in sources if source.best is not None]
    if choices:
        return max(choices, key=_size).url
    return src or next((candidate.url for candidate in parse_srcset(attributes.get("srcset") or "")), "")


def _size(candidate: SrcsetCandidate) -> tuple[int, float]:
    return candidate.width, candidate.density


def _srcset(attributes: Attributes) -> list[SrcsetCandidate]:
    """The candidates of `srcset`, or of what a script will put there where the image waits for one."""
    found = _candidates(attributes, "srcset")
    if found:
        return found
    src = (attributes.get("src") or "").strip()
    waits = _is_placeholder(attributes, src) or is_lazy(attributes)
    others = (n for n in islice(attributes, MAX_LAZY_NAMES) if n.endswith(("srcset", "src-set")) and n != "srcset")
    for name in (*LAZY_SRCSET, *others):
        found = _candidates(attributes, name)
        if found and (waits or any(is_preview(src, candidate.url) for candidate in found)):
            return found
    return []


def _candidates(attributes: Attributes, name: str) -> list[SrcsetCandidate]:
    """The candidates that are urls of pictures."""
    value = attributes.get(name)
    found = parse_srcset(value) if value else []
    return [c for c in found if not stands_in(c.url) and not _is_unfilled(c.url)]


def _is_placeholder(attributes: Attributes, src: str) -> bool:
    return not src or stands_in(src) or _is_unfilled(src) or _is_dot(attributes)


def _src(attributes: Attributes) -> str:
    """`src`, or what a lazy loader will put there: where src is missing, a placeholder, a preview, or marked lazy."""
    src = (attributes.get("src") or "").strip()
    if _is_placeholder(attributes, src):
        return lazy_url(attributes) or src
    if is_lazy(attributes):
        return _known_lazy_url(attributes) or src
    late = lazy_url(attributes)
    return late if late and is_preview(src, late) else src


def _known_lazy_url(attributes: Attributes) -> str:
    values = (_lazy_value(attributes, name) for name in LAZY_SRC)
    return next((value for value in values if value and not _PAGE_LIKE.search(value)), "")


def lazy_url(attributes: Attributes) -> str:
    """What a lazy loader's attribute holds: known names first, then any that holds an image's url; or ""."""
    if len(attributes) < 2 and "src" in attributes:  # nearly every image without a loader
        return ""
    known = _known_lazy_url(attributes)
    if known:
        return known
    spare = ""
    for name in (*MAYBE_LAZY_SRC, *_lazy_names(attributes)):
        value = _lazy_value(attributes, name)
        if not _IMAGE_LIKE.match(value) and not (_SRC_NAME.search(name) and _is_path(value)):
            continue
        if not _THUMB_NAME.search(name):
            return value
        spare = spare or value
    return spare


def _lazy_names(attributes: Attributes) -> list[str]:
    """The attributes, known or not, that may hold the url of a late image."""
    return [name for name in islice(attributes, MAX_LAZY_NAMES) if not _OTHER_NAME.search(name)]


def _lazy_value(attributes: Attributes, name: str) -> str:
    """The url in an attribute, its `{width}` filled; "" where it holds none, a placeholder or a template."""
    value = (attributes.get(name) or "").strip()
    if "{width}" in value:
        widths = re.findall(r"\d{1,5}", attributes.get("data-widths") or "")
        value = value.replace("{width}", max(widths, key=int)) if widths else ""
    if len(value) > MAX_LAZY_CHARACTERS or not value or _is_nothing(value) or _is_unfilled(value):
        return ""
    if _INLINE.match(value) or _DESCRIPTOR.search(value) or any(mark in value for mark in "<>"):
        return ""
    spaced = any(mark in value for mark in " \n\t")
    return value if not spaced or _IMAGE_LIKE.match(value) or _PATH_LIKE.match(value) else ""


def is_preview(small: str, large: str) -> bool:
    """Whether `small` is a little stand-in for `large`, by the widths and words in the two urls."""
    width, other = _width_in(small), _width_in(large)
    if 0 < width <= MAX_PREVIEW_WIDTH and (other >= 2 * width or not other):
        return True
    return bool(_PREVIEW.search(small[-300:])) and not _PREVIEW.search(large[-300:])


def _width_in(url: str) -> int:
    found = _SIZE.search(url[-300:])
    return int(next(filter(None, found.groups()))) if found else 0


def is_lazy(attributes: Attributes) -> bool:
    """Whether the class says that a script will load the image."""
    return bool(_LAZY_CLASS.search(attributes.get("class") or ""))


def _is_dot(attributes: Attributes) -> bool:
    return attributes.get("width") == "1" and attributes.get("height") == "1"


def _is_path(value: str) -> bool:
    return bool(_PATH_LIKE.match(value)) and not _PAGE_LIKE.search(value)


def _is_nothing(url: str) -> bool:
    """Fragments and urls without host: a browser loads nothing, or the page itself."""
    return bool(_NOWHERE.match(url))


def _is_unfilled(url: str) -> bool:
    return is_template(url) or "{width}" in url


def stands_in(url: str) -> bool:
    """Whether a url is inline, leads nowhere or has the name of a placeholder."""
    return bool(_INLINE.match(url)) or _is_nothing(url) or bool(_PLACEHOLDER.search(url[-300:]))
