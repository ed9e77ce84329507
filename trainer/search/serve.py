"""The search page: one form, one grid, no script. Answers to this machine only by default.

Captions and urls come from the web and are hostile until escaped. The page loads nothing but its own images and style
(Content-Security-Policy), and the server asks for no url: pictures come out of the shards.
"""

import argparse
import json
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

from trainer.data import read_bytes
from trainer.errors import InputError, ShardError
from trainer.model import Clip
from trainer.search.page import STYLE, render
from trainer.search.query import Hit, Index, search

PAGE_RESULTS = 24
MAX_TEXT_CHARACTERS = 500
TIMEOUT_S = 30
CONTENT_TYPES = {"jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
}


class Search:
    """An index and its model. One text is embedded at a time."""

    def __init__(self, index: Index, clip: Clip) -> None:
        self.index, self._clip = index, clip
        self._lock = threading.Lock()

    def find(self, text: str, k: int) -> list[Hit]:
        with self._lock:
            return search(self.index, self._clip, text, k)


class Server(ThreadingHTTPServer):
    """Serves one `Search`. `daemon_threads`: a slow reader does not keep the process alive."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], found: Search) -> None:
        super().__init__(address, Handler)
        self.search = found
        self.loopback = is_loopback(address[0])


class Handler(BaseHTTPRequestHandler):
    """GET / (the page), /style.css, /image/ROW, /search.json."""

    server: Server
    server_version = "pairmill-search"
    sys_version = ""
    timeout = TIMEOUT_S

    def do_GET(self) -> None:
        if not self._is_addressed():
            return self._send(HTTPStatus.FORBIDDEN, "text/plain", b"ask for this page by the server's own address\n")
        url = urlsplit(self.path)
        if url.path == "/":
            return self._page(url.query)
        if url.path == "/style.css":
            return self._send(HTTPStatus.OK, "text/css; charset=utf-8", STYLE.encode())
        if url.path == "/search.json":
            return self._json(url.query)
        return self._image(url.path)

    do_HEAD = do_GET

    def _is_addressed(self) -> bool:
        """On loopback, the name asked for must be loopback too: a foreign page cannot read us by rebinding its name."""
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        return not self.server.loopback or is_loopback(host)

    def _page(self, query: str) -> None:
        text, hits, error = text_of(query), [], ""
        if text:
            try:
                hits = self.server.search.find(text, PAGE_RESULTS)
            except InputError as problem:
                error = str(problem)
        page = render(text, hits, error, self.server.search.index.about["samples"])
        self._send(HTTPStatus.OK, "text/html; charset=utf-8", page.encode("utf-8", "replace"))

    def _json(self, query: str) -> None:
        try:
            k = parse_qs(query).get("k", [str(PAGE_RESULTS)])[0]
            hits = self.server.search.find(text_of(query), int(k) if k.isascii() and k.isdigit() else 0)
        except InputError as error:
            return self._send(HTTPStatus.BAD_REQUEST, "application/json", json.dumps({"error": str(error)}).encode())
        return self._send(HTTPStatus.OK, "application/json", json.dumps([h._asdict() for h in hits]).encode())

    def _image(self, path: str) -> None:
        row = path.removeprefix("/image/")
        known = path.startswith("/image/") and row.isascii() and row.isdigit() and len(row) < 12
        found = self.server.search.index.image_of(int(row)) if known else None
        if found is None or found[2] not in CONTENT_TYPES:
            return self._send(HTTPStatus.NOT_FOUND, "text/plain", b"there is nothing here\n")
        try:
            data = read_bytes(found[0], found[1])
        except (OSError, ShardError):
            return self._send(HTTPStatus.NOT_FOUND, "text/plain", b"the shard is gone; make the index again\n")
        return self._send(HTTPStatus.OK, CONTENT_TYPES[found[2]], data)

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Queries are nobody's business: no log."""


def text_of(query: str) -> str:
    return " ".join(parse_qs(query).get("q", [""])[0].split())[:MAX_TEXT_CHARACTERS]


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def make_server(index: str, host: str = "127.0.0.1", port: int = 0, device: str = "auto") -> Server:
    """A server that listens; port 0 takes a free one. Raises InputError, ModelError, ShardError."""
    opened = Index(index)
    found = Search(opened, opened.load_model(device))
    try:
        return Server((host, port), found)
    except (OSError, OverflowError) as error:
        raise InputError(f"cannot listen on {host}:{port}: {error}; choose another --port") from error


def main(args: argparse.Namespace) -> int:
    """`pairmill search serve INDEX`. Returns the exit code when it is interrupted."""
    with make_server(args.index, args.host, args.port, args.device) as server:
        print(f"http://{args.host}:{server.server_address[1]}/  (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0
