"""The demo's pages and images as a WARC file, written by warcio: an archive that is not ours."""

import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.demo.answers import Answer, answer
from pipeline.demo.settings import DemoSettings
from pipeline.demo.web import Web, build_web

DATE = "2026-01-01T00:00:00Z"


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
                http_headers=StatusAndHeaders("200 OK", headers, protocol="HTTP/1.1"),
                warc_headers_dict={"WARC-Date": DATE},
            )
            writer.write_record(record)
            records += 1
    return records


def archived(web: Web) -> Iterator[tuple[str, Answer]]:
    """What an archiver that asks nobody twice would keep: whole, readable answers with status 200."""
    for url in (*web.pages, *web.items):
        target = url
        reply = _ask(web, target)
        for _ in range(5):
            if reply.status != 302:
                break
            target = _location(target, reply)
            reply = _ask(web, target)
        if reply.status == 200 and not reply.pace and not dict(reply.headers).get("Content-Encoding"):
            yield url, reply


def _ask(web: Web, url: str) -> Answer:
    parts = urlsplit(url)
    if parts.scheme != "http":
        return Answer(404)
    return answer(web, parts.netloc, parts.path + (f"?{parts.query}" if parts.query else ""))


def _location(url: str, reply: Answer) -> str:
    location = dict(reply.headers)["Location"]
    return location if "//" in location else f"http://{urlsplit(url).netloc}{location}"
