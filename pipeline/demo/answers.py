"""What the demo's server answers to a host and a path. Pure but for the drawing."""

import struct
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from PIL import Image

from pipeline.demo.hosts import BY_NAME as HOSTS_BY_NAME
from pipeline.demo.hosts import TDMREP
from pipeline.demo.kinds import BY_NAME
from pipeline.demo.pictures import COLOURS, draw, encode
from pipeline.demo.plan import Item
from pipeline.demo.shapes import outline
from pipeline.demo.web import OPT_OUT_HEADERS, Page, Web, page_body

Headers = tuple[tuple[str, str], ...]
TYPES = {"JPEG": "image/jpeg", "WEBP": "image/webp", "PNG": "image/png", "GIF": "image/gif", "SVG": "image/svg+xml"}
BOMB_SIDE = 30_000  # pixels
THUMB_SIDE = 64  # pixels
LAST_MODIFIED = ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")


class Answer(NamedTuple):
    """One HTTP answer."""

    status: int
    headers: Headers = ()
    body: bytes = b""
    pace: str = ""  # "slow", "silent", "endless": how the body is sent; "" at once


def answer(web: Web, host: str, target: str) -> Answer:
    """The answer to `GET target` at `host` (without port). `target` is path and query."""
    if host not in HOSTS_BY_NAME:
        return Answer(421, (), b"no such host here\n")
    if target in WELL_KNOWN:
        return WELL_KNOWN[target](host)
    page = web.pages.get(f"http://{host}{target}")
    if page is not None:
        return _page(page)
    path, _, query = target.partition("?")
    small = path.startswith("/thumb/")
    item = web.items.get(f"http://{host}{path.removeprefix('/thumb') if small else path}")
    if item is None:
        return _missing()
    return _thumb(item) if small else ANSWERS[BY_NAME[item.kind].answer](item, query)


def _robots(host: str) -> Answer:
    text = HOSTS_BY_NAME[host].robots
    return _missing() if text is None else Answer(200, (("Content-Type", "text/plain"),), text.encode())


def _tdmrep(host: str) -> Answer:
    text = TDMREP.get(host)
    return _missing() if text is None else Answer(200, (("Content-Type", "application/json"),), text.encode())


def _pdf(host: str) -> Answer:
    return Answer(200, (("Content-Type", "application/pdf"),), b"%PDF-1.4\n%%EOF\n")


def _missing() -> Answer:
    return Answer(404, (("Content-Type", "text/html"),), b"<h1>Not found</h1>")


WELL_KNOWN: dict[str, Callable[[str], Answer]] = {
    "/robots.txt": _robots,
    "/.well-known/tdmrep.json": _tdmrep,
    "/files/list.pdf": _pdf,
}


def _page(page: Page) -> Answer:
    headers: Headers = (("Content-Type", f"text/html; charset={page.host.charset}"),)
    if page.says in OPT_OUT_HEADERS:
        headers += (OPT_OUT_HEADERS[page.says],)
    return Answer(200, headers, page_body(page))


@lru_cache(maxsize=256)
def image_bytes(item: Item) -> bytes:
    """The file behind an image url, whole and undisturbed."""
    image = draw(item.scene)
    if item.scale != 1:
        image = image.resize((round(image.width * item.scale), round(image.height * item.scale)))
    return encode(image, item.form, item.quality)


def _file(item: Item, *headers: tuple[str, str], body: bytes | None = None) -> Answer:
    data = image_bytes(item) if body is None else body
    return Answer(200, (("Content-Type", TYPES[item.form]), LAST_MODIFIED, *headers), data)


def _thumb(item: Item) -> Answer:
    image = draw(item.scene)
    image.thumbnail((THUMB_SIDE, THUMB_SIDE))
    return Answer(200, (("Content-Type", TYPES["JPEG"]), LAST_MODIFIED), encode(image, "JPEG"))


def _resized(item: Item, width: int, height: int) -> Answer:
    image = draw(item.scene).resize((width, height), Image.Resampling.BICUBIC)
    return _file(item, body=encode(image, item.form, item.quality))


def _truncated(item: Item) -> Answer:
    """Less than was written: what an upload that broke off leaves. The length that is sent is true."""
    data = image_bytes(item)
    return _file(item, body=data[: len(data) * 3 // 5])


def _redirect(location: str) -> Answer:
    return Answer(302, (("Location", location),))


def _hops(item: Item, query: str, hops: int) -> Answer:
    done = int(query.removeprefix("hop=") or 0) if query.startswith("hop=") else 0
    return _file(item) if done >= hops else _redirect(f"{urlsplit(item.url).path}?hop={done + 1}")


def _loop(item: Item, query: str) -> Answer:
    path = urlsplit(item.url).path
    return _redirect(path if query else f"{path}?again=1")


def _html(item: Item) -> Answer:
    body = b"<!DOCTYPE html><html><body>This picture may not be linked from other sites.</body></html>"
    return _file(item, body=body)


def _drawing(item: Item) -> Answer:
    red, green, blue = COLOURS[item.scene.colour]
    path = " ".join(f"{x:.2f},{y:.2f}" for x, y in outline(item.scene.shape))
    svg = f'<polygon points="{path}" fill="rgb({red},{green},{blue})"/>'
    return _file(item, body=f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-2 -2 4 4">{svg}</svg>'.encode())


def _pixel_bomb(item: Item) -> Answer:
    """A sound PNG header and hardly anything behind it."""
    header = struct.pack(">IIBBBBB", BOMB_SIDE, BOMB_SIDE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1_000))), (b"IEND", b""))
    return _file(item, body=b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(*chunk) for chunk in chunks))


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _failed(status: int) -> Answer:
    return Answer(status, (("Content-Type", "text/plain"),), b"no picture\n")


ANSWERS: dict[str, Callable[[Item, str], Answer]] = {
    "picture": lambda item, query: _file(item),
    "elsewhere": lambda item, query: _missing(),  # its url has another scheme: nobody can ask here
    "404": lambda item, query: _failed(404),
    "410": lambda item, query: _failed(410),
    "500": lambda item, query: _failed(500),
    "redirect_3": lambda item, query: _hops(item, query, 3),
    "redirect_7": lambda item, query: _hops(item, query, 7),
    "loop": _loop,
    "to_private": lambda item, query: _redirect(f"http://10.1.2.3{urlsplit(item.url).path}"),
    "to_loopback": lambda item, query: _redirect(f"http://127.0.0.1{urlsplit(item.url).path}"),
    "to_ftp": lambda item, query: _redirect("ftp" + item.url.removeprefix("http")),
    "slow": lambda item, query: _file(item)._replace(pace="slow"),
    "silent": lambda item, query: _file(item)._replace(pace="silent"),
    "endless": lambda item, query: _file(item)._replace(pace="endless"),
    "nothing": lambda item, query: _file(item, body=b""),
    "drawing": lambda item, query: _drawing(item),
    "bad_gzip": lambda item, query: _file(item, ("Content-Encoding", "gzip")),  # it is not
    "pixel_bomb": lambda item, query: _pixel_bomb(item),
    "html": lambda item, query: _html(item),
    "truncated": lambda item, query: _truncated(item),
    "tiny": lambda item, query: _resized(item, 24, 18),
    "extreme": lambda item, query: _resized(item, 1_000, 220),
    "octets": lambda item, query: _file(item)._replace(headers=(("Content-Type", "application/octet-stream"),)),
    "noai": lambda item, query: _file(item, ("X-Robots-Tag", "noai")),
    "scoped_noai": lambda item, query: _file(item, ("x-robots-tag", "otherbot: nofollow, PAIRMILL: NoImageAI")),
    "repeated_header": lambda item, query: _file(item, ("X-Robots-Tag", "nofollow"), ("X-Robots-Tag", "noindex")),
    "other_bot": lambda item, query: _file(item, ("X-Robots-Tag", "otherbot: noai, noindex")),
    "tdm_header": lambda item, query: _file(item, ("TDM-Reservation", "1")),
}
