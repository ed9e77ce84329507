"""what the judgements say of one thing, as JSON lines

The same functions as in a run. On standard input each line stands for itself: one that cannot be read is a row with
`line` and `error`.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from filters.caption import normalise_caption
from filters.reasons import Drop, Reason
from filters.robots import parse_robots
from pipeline import __version__, config
from pipeline.arguments import add_set
from pipeline.errors import DataError, PairmillError, UsageError
from pipeline.stages.contact import check_contact
from transforms.collect.language import load_identifier
from transforms.collect.transform import judgements
from transforms.coordination.error_boundary import ErrorBoundary
from transforms.formats.http_headers import first
from transforms.formats.warc import WarcEntry
from transforms.html.page import found_captions, read_body
from transforms.image.process import Processed, process_image
from transforms.records import Caption, Occurrence, Source
from transforms.select.rules.base import TextRule
from transforms.sources.base import caption_of
from transforms.sources.warc import judge_page
from transforms.web.client import Answer
from transforms.web.loop import run_async
from transforms.web.polite import PoliteWeb
from transforms.web.settings import Kind

Row = dict[str, Any]
DEFAULT_CONFIG = "site"
HAS_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
NOT_IN_A_LINE = re.compile("[\x85\u2028\u2029\ud800-\udfff]")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    things = parser.add_subparsers(required=True, metavar="THING", dest="thing")
    page = things.add_parser("page", help="the occurrences of a page and their drops; `-` reads JSON lines")
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


NOT_ECHOED = ("html", "url", "robots")  # what is large, or stands in the answer anyway


def answers(required: Sequence[str], optional: Sequence[str], answer: Callable[[Row], Iterable[Row]]) -> Iterator[Row]:
    """The rows for each JSON object of standard input, whose named fields hold text.

    A line that cannot be answered is a row with `line` and `error` and what it gave beside; the others go on.
    """
    for number, line in lines_of_input():
        if not line.strip():
            continue
        row: Row = {}
        try:
            row = parsed(line)
            missing = [f for f in required if f not in row]
            if missing:
                raise UsageError(f"{', '.join(missing)} missing; expected {', '.join(required)}")
            for field in (*required, *optional):
                if not isinstance(row.get(field, ""), str):
                    raise UsageError(f"{field} = {json.dumps(row[field])[:60]}: expected text")
            yield from list(answer(row))  # whole: a line has its rows, or its error
        except PairmillError as error:
            yield echoed(row) | {"line": number, "error": str(error)}


def echoed(row: Row) -> Row:
    """What a line gave of its own, such as an id, and finds again in its rows."""
    return {key: value for key, value in row.items() if key not in NOT_ECHOED}


def parsed(line: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not JSON: {error}") from error
    return row if isinstance(row, dict) else {}


def is_url(text: str) -> bool:
    return text[:8].lower().startswith(("http://", "https://"))


def read_file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise UsageError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


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
        return iter(page_rows(page_of(args, settings), settings))
    return answers(["url"], ["html", "path", "content_type"], lambda row: page_of_line(row, settings))


def page_of_line(row: Row, settings: config.Settings) -> Iterator[Row]:
    if "html" in row:
        body, content_type = row["html"].encode("utf-8", "replace"), "text/html; charset=utf-8"
    elif "path" in row:
        body, content_type = read_file(row["path"]), row.get("content_type", "")
    else:
        raise UsageError("expected the page under html, or its file under path")
    page = WarcEntry("page", row["url"], content_type, body=body)
    return (echoed(row) | found for found in page_rows(page, settings))


def page_of(args: argparse.Namespace, settings: config.Settings) -> WarcEntry:
    """A page from a file or from the web, as an archive would hold it."""
    if not is_url(args.input):
        body = read_file(args.input)
        return WarcEntry("page", args.url or Path(args.input).resolve().as_uri(), body=body)
    answer = ask(args.input, settings, "page")
    if answer.drop is not None:
        raise DataError(f"{args.input}: {answer.drop.reason} {answer.drop.detail}".rstrip())
    return WarcEntry("page", answer.final_url, first(answer.headers, "content-type"), answer.headers, answer.body)


def page_rows(entry: WarcEntry, settings: config.Settings) -> Iterator[Row]:
    """A row for each image and text, with the first reason of a run's collect and select to drop it, "" for none.

    What is judged by the page, the url and the text alone: what the image's host and the image itself say is not known.
    """
    page = read_body(entry.body, entry.content_type, entry.url, settings.collect.html)
    page_drop = judge_page(entry, page, settings.web)
    steps = judgements(settings.collect.url, settings.select.rules)
    identify = load_identifier(settings.collect.language)
    for found in found_captions(page):
        caption = caption_of(found.text, found.kind, entry.url, found.licence, identify)
        occurrence = Occurrence(b"", found.url, "", Source(), caption, "", "")
        drops = (judge(occurrence, *rules) for _, judge, rules in steps)
        drop = page_drop or next((drop for drop in drops if drop is not None), None)
        yield {
            "page_url": entry.url,
            "url": found.url,
            "caption": caption.text,
            "kind": found.kind,
            "license": found.licence,
            "drop": str(drop.reason) if drop else "",
            "detail": drop.detail if drop else "",
        }


# image


def inspect_images(args: argparse.Namespace, settings: config.Settings) -> Iterator[Row]:
    if args.input != "-":
        yield image_row(args.input, settings)
        return
    for number, source in lines_of_input():
        if source.strip():
            try:
                yield image_row(source, settings)
            except PairmillError as error:
                yield {"source": source, "line": number, "error": str(error)}


def image_row(source: str, settings: config.Settings) -> Row:
    """What can go wrong with one of many is an outcome too: it must not end the others."""
    scheme = HAS_SCHEME.match(source)
    if is_url(source):
        body = asked_bytes(source, settings)
    elif scheme is not None and not Path(source).exists():
        body = Drop(Reason.URL_SCHEME, None, f"{scheme[1].lower()}: an image is a path, or an http or https url")
    else:
        body = file_bytes(source)
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
        return answers(["robots", "agent", "url"], [], robots_rows)
    if not args.agent or not args.url:
        raise UsageError("inspect robots needs FILE AGENT URL, or JSON lines on standard input")
    body = sys.stdin.buffer.read() if args.input == "-" else read_file(args.input)
    return iter([robots_row(body, args.agent, args.url)])


def robots_rows(row: Row) -> Iterator[Row]:
    yield row | robots_row(row["robots"].encode("utf-8", "replace"), row["agent"], row["url"])


def robots_row(body: bytes, agent: str, url: str) -> Row:
    verdict = parse_robots(body).allows(agent, url)
    return {"agent": agent, "url": url, "allowed": verdict.allowed, "rule": verdict.rule}


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
