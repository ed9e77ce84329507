"""The HTML of the demo's pages: one kind of mark-up a host, as real sites differ."""

from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple
from urllib.parse import urlsplit

from pipeline.demo.pictures import Scene

PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


class Shown(NamedTuple):
    """An image on a page."""

    url: str
    text: str
    scene: Scene
    is_clean: bool  # nothing is wrong with it: it may be named twice


class Links(NamedTuple):
    """Where a page leads to: (url, words)."""

    nav: Sequence[tuple[str, str]]
    items: Sequence[tuple[str, str]]


def page_html(style: str, host: str, title: str, shown: Sequence[Shown], links: Links, metas: Sequence[str]) -> str:
    """A whole page."""
    base = '<base href="/img/">' if style == "picture" else ""
    show = STYLES[style]
    images = "\n".join(f"<section>{show(image, host)}</section>" for image in shown)
    return f"""<!DOCTYPE html>
<html lang="en"><head><title>{escape(title)}</title>{base}
{"".join(metas)}{_open_graph(shown)}
<style>body {{ font-family: sans-serif }}</style></head>
<body><nav><ul>{_list(links.nav)}</ul></nav>
<main><h1>{escape(title)}</h1>
{images}
<ul class="index">{_list(links.items)}</ul></main>
<footer><p>{escape(host)}: a web made up for a demonstration.</p>
<script>console.log("<img src='/not/an/image.jpg' alt='text of a script, no picture'>")</script></footer></body></html>
"""


def _list(links: Sequence[tuple[str, str]]) -> str:
    return "".join(f'<li><a href="{escape(url)}">{escape(words)}</a></li>' for url, words in links)


def _open_graph(shown: Sequence[Shown]) -> str:
    """The first image once more for those who share links, where nothing is wrong with it."""
    if not shown or not shown[0].is_clean or len(shown) % 2:
        return ""
    first = shown[0]
    return (
        f'<meta property="og:image" content="{escape(first.url)}">'
        f'<meta property="og:image:alt" content="{escape(first.text)}">'
    )


def _address(image: Shown, host: str) -> str:
    """The shortest usual form: a path on the page's own host, else the whole url."""
    parts = urlsplit(image.url)
    return parts.path if parts.scheme == "http" and parts.netloc == host else image.url


def _thumb(image: Shown) -> str:
    parts = urlsplit(image.url)
    return f"http://{parts.netloc}/thumb{parts.path}"


def _plain(image: Shown, host: str) -> str:
    size = f'width="{image.scene.width}" height="{image.scene.height}"'
    return f'<p><img src="{_address(image, host)}" alt="{escape(image.text)}" {size}></p>'


def _lazy(image: Shown, host: str) -> str:
    url, text = _address(image, host), escape(image.text)
    return (
        f'<div class="card"><img class="lazyload" src="{PIXEL}" data-src="{url}" alt="{text}">'
        f'<noscript><img src="{url}" alt="{text}"></noscript></div>'
    )


def _figure(image: Shown, host: str) -> str:
    return (
        f"<figure><img alt='' src='{_address(image, host)}'>\n"
        f"<figcaption>\n  {escape(image.text)}\n</figcaption></figure>"
    )


def _srcset(image: Shown, host: str) -> str:
    url = _address(image, host)
    return (
        f'<img src="{_thumb(image)}" srcset="{_thumb(image)} 160w, {url} 800w" '
        f'sizes="(max-width: 600px) 160px, 800px" alt="{escape(image.text)}">'
    )


def _title(image: Shown, host: str) -> str:
    return f'<IMG SRC={_address(image, host)} TITLE="{escape(image.text)}">'


def _picture(image: Shown, host: str) -> str:
    """On pages with a `<base>`: pictures of the usual folder are named by their file alone."""
    path = _address(image, host)
    url = path.removeprefix("/img/")
    return (
        f'<picture><source media="(min-width: 800px)" srcset="{url} 800w, {_thumb(image)} 160w">'
        f'<img src="{_thumb(image)}" alt="{escape(image.text)}"></picture>'
    )


STYLES: dict[str, Callable[[Shown, str], str]] = {
    "plain": _plain,
    "lazy": _lazy,
    "figure": _figure,
    "srcset": _srcset,
    "title": _title,
    "picture": _picture,
}
