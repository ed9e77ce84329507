"""The demo's pages and images as a WARC file, written by warcio: an archive that is not ours."""

import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from pipeline.demo.answers import Answer, answer
from pipeline.demo.kinds import BY_NAME
from pipeline.demo.plan import Item
from pipeline.demo.settings import DemoSettings
from pipeline.demo.web import Web, build_web

DATE = "2026-01-01T00:00:00Z"
MAX_REDIRECTS = 5
STATUS_LINES = {200: "200 OK", 302: "302 Found"}


def write_warc(path: Path, settings: DemoSettings) -> int:
    """Write request-less response records, one gzip member each; returns how many. Needs warcio."""
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    records = 0
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for url, reply in archived(build_web(settings)):
            headers = [*reply.headers, ("Content-Length", str(len(reply.body)))]
            record = writer.create_warc_record(
                url,
                "response",
                payload=io.BytesIO(reply.body),
                http_headers=StatusAndHeaders(STATUS_LINES[reply.status], headers, protocol="HTTP/1.1"),
                warc_headers_dict={"WARC-Date": DATE},
            )
            writer.write_record(record)
            records += 1
    return records


def archived(web: Web) -> Iterator[tuple[str, Answer]]:
    """What an archiver keeps that obeys what we obey: whole, readable answers, with the redirects that lead to them."""
    for url in (*web.pages, *(item.url for item in web.items.values() if not _is_refused(item))):
        hops = _followed(web, url)
        last = hops[-1][1]
        if last.status == 200 and not last.pace and "Content-Encoding" not in dict(last.headers):
            yield from hops


def _is_refused(item: Item) -> bool:
    """By robots.txt or tdmrep.json: an archive has no place that says so."""
    return BY_NAME[item.kind].fate == "robots" or item.kind == "tdm_file"


def _followed(web: Web, url: str) -> list[tuple[str, Answer]]:
    """(url, answer) from `url` to the end of its redirects, or to the fifth."""
    hops = [(url, _ask(web, url))]
    while hops[-1][1].status == 302 and len(hops) <= MAX_REDIRECTS:
        target = urljoin(hops[-1][0], dict(hops[-1][1].headers)["Location"])
        hops.append((target, _ask(web, target)))
    return hops


def _ask(web: Web, url: str) -> Answer:
    parts = urlsplit(url)
    if parts.scheme != "http":
        return Answer(404)
    return answer(web, parts.netloc, parts.path + (f"?{parts.query}" if parts.query else ""))
