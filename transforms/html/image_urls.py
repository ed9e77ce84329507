"""Which of the many urls of an `<img>` or `<picture>` is the picture: the largest one that can be decoded. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from transforms.html.srcset import SrcsetCandidate, parse_srcset

Attributes = Mapping[str, str | None]

# Where scripts that load images late keep the url, the most trusted first.
LAZY_SRC = (
    "data-src", "data-original", "data-lazy-src", "data-lazy", "data-original-src", "data-hi-res-src", "data-hires",
    "data-full-src", "data-large-src", "data-orig-src", "data-image-src", "data-img-src", "data-cfsrc", "data-ezsrc",
    "data-delayed-url", "data-li-src", "data-pin-media", "data-echo", "data-url", "data-image", "data-img", "lazy-src",
    "data-load-src", "data-actualsrc", "data-default-src", "data-lazyload", "data-lazy-original",
    "data-flickity-lazyload",
)  # fmt: skip
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
_TEMPLATE = re.compile(r"\{[^{}]*\}|%7B[^{}]*%7D|<%|\$\{", re.IGNORECASE)
_LAZY_CLASS = re.compile(r"lazy|lozad|unveil", re.IGNORECASE)
_NARROW = re.compile(r"max-(?:device-)?width|orientation:\s*portrait|print|prefers-color-scheme:\s*dark", re.IGNORECASE)


class Choice(NamedTuple):
    """A candidate with what decides about it."""

    candidate: SrcsetCandidate
    wide: bool  # shown by a browser with a wide window


class SourceSet:
    """The best candidate of one `<source>`, if it has any that can be decoded."""

    def __init__(self, attributes: Attributes) -> None:
        kind = (attributes.get("type") or "").partition(";")[0].strip().lower()
        wide = not _NARROW.search(attributes.get("media") or "")
        candidates = _srcset(attributes) if kind in DECODABLE else []
        self.best = max((Choice(c, wide) for c in candidates), key=_size, default=None)


def best_url(attributes: Attributes, sources: Sequence[SourceSet] = ()) -> str:
    """The url of an image, as written; "" where it has none. `sources` are those of its `<picture>`.

    The largest width descriptor wins, then the largest density among what a wide window would show, then what comes
    first. `src` counts as a candidate of density 1 where no widths are given, as in the HTML standard; a placeholder
    in it gives way to the attributes of lazy loaders.
    """
    choices = [source.best for source in sources if source.best is not None]
    choices += [Choice(candidate, True) for candidate in _srcset(attributes)]
    src = _src(attributes)
    if src and not _stands_in(src):
        choices.append(Choice(SrcsetCandidate(src, 0, 1.0), True))
    return max(choices, key=_size).candidate.url if choices else src


def _size(choice: Choice) -> tuple[int, bool, float]:
    candidate = choice.candidate
    return candidate.width, choice.wide, candidate.density


def _srcset(attributes: Attributes) -> list[SrcsetCandidate]:
    """The candidates of `srcset`, or of what a script will put there."""
    for name in ("srcset", *LAZY_SRCSET):
        value = attributes.get(name)
        found = [c for c in parse_srcset(value) if _is_url(c.url) and not _INLINE.match(c.url)] if value else []
        if found:
            return found
    return []


def _src(attributes: Attributes) -> str:
    """`src`, or what a lazy loader will put there: where src is missing, a placeholder, or marked lazy."""
    src = (attributes.get("src") or "").strip()
    late = lazy_url(attributes)
    if late and (not src or _stands_in(src) or is_lazy(attributes) or _is_dot(attributes)):
        return late
    return src if _is_url(src) else ""


def lazy_url(attributes: Attributes) -> str:
    """The first attribute of a lazy loader that holds a url, or ""."""
    if not any(name.startswith(("data-", "lazy-")) for name in attributes):
        return ""
    for name in LAZY_SRC:
        value = (attributes.get(name) or "").strip()
        if value and _is_url(value) and not _INLINE.match(value) and not any(c in value for c in " \n\t<>{}"):
            return value
    return ""


def is_lazy(attributes: Attributes) -> bool:
    """Whether the class says that a script will load the image."""
    return bool(_LAZY_CLASS.search(attributes.get("class") or ""))


def _is_dot(attributes: Attributes) -> bool:
    return attributes.get("width") == "1" and attributes.get("height") == "1"


def _is_url(text: str) -> bool:
    """False for a template that a script fills in, and for a bare fragment."""
    return bool(text) and not text.startswith("#") and not _TEMPLATE.search(text[:2_000])


def _stands_in(url: str) -> bool:
    return bool(_INLINE.match(url)) or bool(_PLACEHOLDER.search(url[-300:]))
