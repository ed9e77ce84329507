"""what the judgements say of one thing, as JSON lines

The same functions as in a run.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from filters.caption import normalise_caption
from filters.reasons import Drop, Reason
from filters.robots import parse_robots
from pipeline import __version__, config
from pipeline.arguments import add_set
from pipeline.errors import DataError, UsageError
from pipeline.stages.contact import check_contact
from transforms.collect.language import load_identifier
from transforms.coordination.error_boundary import ErrorBoundary
from transforms.formats.http_headers import first
from transforms.html.page import HtmlSettings, found_captions, read_body
from transforms.image.process import Processed, process_image
from transforms.records import Caption
from transforms.select.rules.base import TextRule
from transforms.web.client import Answer
from transforms.web.loop import run_async
from transforms.web.polite import PoliteWeb
from transforms.web.settings import Kind

Row = dict[str, Any]
DEFAULT_CONFIG = "site"
NOT_IN_A_LINE = re.compile("[\x85\u2028\u2029\ud800-\udfff]")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    things = parser.add_subparsers(required=True, metavar="THING", dest="thing")
    page = things.add_parser("page", help="the occurrences of a page; `-` reads JSON lines")
    page.add_argument("input", nargs="?", default="-", metavar="FILE-OR-URL")
    page.add_argument("--url", default="", help="of the page, where it is a file")
    image = things.add_parser("image", help="whether an image would be kept; `-` reads a path or url a line")
    image.add_argument("input", nargs="?", default="-", metavar="FILE-OR-URL")
    robots = things.add_parser("robots", help="what a robots.txt says; `-` reads JSON lines")
    robots.add_argument("input", nargs="?", default="-", metavar="FILE")
    robots.add_argument("agent", nargs="?", default="")
    robots.add_argument("url", nargs="?", default="")
    caption = things.add_parser("caption", help="language and drops of a caption; `-` reads lines")
    caption.add_argument("input", nargs="?", default="-", metavar="TEXT")
    for thing in (page, image, robots, caption):
        thing.add_argument("--config", default=None, help="judge by this configuration's settings")
        add_set(thing, "fetch.image.size=256")


def run(args: argparse.Namespace) -> int:
    """Write one JSON object a line. Raises UsageError and DataError."""
    settings = config.load(args.config or DEFAULT_CONFIG, [*bare_source(args), *args.set])
    inspect = {"page": inspect_pages, "image": inspect_images, "robots": inspect_robots, "caption": inspect_captions}
    for row in inspect[args.thing](args, settings):
        print(json_line(row), flush=True)
    return 0


def bare_source(args: argparse.Namespace) -> list[str]:
    """`inspect` has a source of its own: the configuration's must not be in the way."""
    return [] if args.config else ["collect.crawl.seeds=[http://localhost/]"]


def json_line(row: Row) -> str:
    """One line for every reader: what some of them take for a line's end is escaped, and what no file can hold."""
    return NOT_IN_A_LINE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(row, ensure_ascii=False))


def lines_of_input() -> Iterator[tuple[int, str]]:
    """(number, line) of standard input. Only a newline ends a line; bytes that are no UTF-8 are replaced."""
    for number, line in enumerate(sys.stdin.buffer, 1):
        yield number, line.decode("utf-8", "replace").rstrip("\r\n")


def objects_of_input(required: Sequence[str], optional: Sequence[str] = ()) -> Iterator[tuple[str, Row]]:
    """(where, JSON object) of standard input; the named fields hold text. Raises UsageError naming the line."""
    for number, line in lines_of_input():
        if line.strip():
            where = f"standard input, line {number}"
            row = parsed(line, where)
            missing = [f for f in required if f not in row]
            if missing:
                raise UsageError(f"{where}: {', '.join(missing)} missing; expected {', '.join(required)}")
            for field in (*required, *optional):
                if not isinstance(row.get(field, ""), str):
                    raise UsageError(f"{where}: {field} = {json.dumps(row[field])[:60]}: expected text")
            yield where, row


def parsed(line: str, where: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: not JSON: {error}") from error
    return row if isinstance(row, dict) else {}


def is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def read_file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error


def ask(url: str, settings: config.Settings, kind: Kind) -> Answer:
    """One polite request. Raises UsageError where a contact is missing."""
    check_contact(url, settings.web)

    async def once() -> Answer:
        async with PoliteWeb(settings.web, __version__) as web:
            return await web.ask(url, kind=kind)

    return run_async(once())


# page


def inspect_pages(args: argparse.Namespace, settings: config.Settings) -> Iterator[Row]:
    if args.input != "-":
        yield from page_rows(*page_of(args, settings), settings.collect.html, {})
        return
    for where, row in objects_of_input(["url"], ["html", "path", "content_type"]):
        body = row["html"].encode("utf-8", "replace") if "html" in row else read_file(page_path(row, where))
        content_type = row.get("content_type", "")
        content_type = "text/html; charset=utf-8" if "html" in row else content_type
        echoed = {k: v for k, v in row.items() if k not in ("html", "url")}
        yield from page_rows(body, content_type, row["url"], settings.collect.html, echoed)


def page_path(row: Row, where: str) -> str:
    if "path" not in row:
        raise UsageError(f"{where}: expected the page under html, or its file under path")
    return row["path"]


def page_of(args: argparse.Namespace, settings: config.Settings) -> tuple[bytes, str, str]:
    """(body, content type, url) of a file or a url."""
    if not is_url(args.input):
        return read_file(args.input), "", args.url or Path(args.input).resolve().as_uri()
    answer = ask(args.input, settings, "page")
    if answer.drop is not None:
        raise DataError(f"{args.input}: {answer.drop.reason} {answer.drop.detail}".rstrip())
    return answer.body, first(answer.headers, "content-type"), answer.final_url


def page_rows(body: bytes, content_type: str, url: str, settings: HtmlSettings, echoed: Row) -> Iterator[Row]:
    page = read_body(body, content_type, url, settings)
    for found in found_captions(page):
        text = normalise_caption(found.text)
        yield echoed | {
            "page_url": url,
            "url": found.url,
            "caption": text,
            "kind": found.kind,
            "licence": found.licence,
        }


# image


def inspect_images(args: argparse.Namespace, settings: config.Settings) -> Iterator[Row]:
    sources = (line for _, line in lines_of_input() if line.strip()) if args.input == "-" else [args.input]
    for source in sources:
        yield image_row(source, settings)


def image_row(source: str, settings: config.Settings) -> Row:
    """What can go wrong with one of many is an outcome too: it must not end the others."""
    body = asked_bytes(source, settings) if is_url(source) else file_bytes(source)
    if isinstance(body, Drop):
        return {"source": source} | described(body)
    with ErrorBoundary(source) as caught:
        return {"source": source} | described(process_image(body, settings.fetch.image))
    assert caught.drop is not None
    return {"source": source} | described(caught.drop)


def asked_bytes(url: str, settings: config.Settings) -> bytes | Drop:
    answer = ask(url, settings, "image")
    return answer.body if answer.drop is None else answer.drop


def file_bytes(path: str) -> bytes | Drop:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        return Drop(Reason.STORED_RANGE_UNREADABLE, None, getattr(error, "strerror", None) or str(error))


def described(outcome: Processed | Drop) -> Row:
    row: Row = dict.fromkeys(("ok", "reason", "detail", "format", "width", "height", "sha256", "phash"))
    if isinstance(outcome, Drop):
        return row | {"ok": False, "reason": str(outcome.reason), "detail": outcome.detail}
    return row | {
        "ok": True,
        "reason": "",
        "detail": "",
        "format": outcome.format,
        "width": outcome.original_width,
        "height": outcome.original_height,
        "sha256": outcome.sha256,
        "phash": outcome.phash.hex() if outcome.phash else None,
    }


# robots


def inspect_robots(args: argparse.Namespace, settings: config.Settings) -> Iterator[Row]:
    if args.input == "-" and not args.agent:
        for _, row in objects_of_input(["robots", "agent", "url"]):
            yield robots_row(row["robots"].encode("utf-8", "replace"), row["agent"], row["url"], row)
        return
    if not args.agent or not args.url:
        raise UsageError("inspect robots needs FILE AGENT URL, or JSON lines on standard input")
    body = sys.stdin.buffer.read() if args.input == "-" else read_file(args.input)
    yield robots_row(body, args.agent, args.url, {})


def robots_row(body: bytes, agent: str, url: str, echoed: Row) -> Row:
    verdict = parse_robots(body).allows(agent, url)
    return echoed | {"agent": agent, "url": url, "allowed": verdict.allowed, "rule": verdict.rule}


# caption


def inspect_captions(args: argparse.Namespace, settings: config.Settings) -> Iterator[Row]:
    identify = load_identifier(settings.collect.language)
    texts = (line for _, line in lines_of_input()) if args.input == "-" else [args.input]
    for text in texts:  # an empty line is an empty caption
        caption = normalise_caption(text)
        language, probability = identify(caption) if caption else ("und", 0.0)
        drops = caption_drops(caption, language, probability, settings)
        yield {"text": text, "language": language, "probability": probability, "drops": drops}


def caption_drops(caption: str, language: str, probability: float, settings: config.Settings) -> list[str]:
    """The reasons of every caption rule of the configuration that says no."""
    stored = Caption(b"", caption, "", "", language, probability, 1, "")
    drops = [rule.judge_text(stored) for rule in settings.select.rules if isinstance(rule, TextRule)]
    return [str(drop.reason) for drop in drops if drop is not None]
