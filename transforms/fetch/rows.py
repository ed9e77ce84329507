"""The rows of an attempt: what an answer, and what a decoder made of it, come to in `images/`."""

import hashlib
from typing import NamedTuple

from filters.reasons import Drop, Reason
from filters.url import host_of
from transforms.fetch.adopted import DOWNLOAD_FAILED, RESIZE_FAILED, read_failure
from transforms.fetch.again import judge_refreshed
from transforms.formats.http_headers import values_of
from transforms.image.process import Processed
from transforms.records import Candidate, FetchLog, Image
from transforms.web.client import Answer, no_answer


class Fetched(NamedTuple):
    """What one candidate came to."""

    image: Image
    extension: str  # of the encoded image, "" where there is none
    log: FetchLog


def is_ours(reason: str) -> bool:
    return reason.startswith("local_")


def failed_elsewhere(candidate: Candidate) -> Fetched:
    """A failure of another tool, in its own words."""
    status, message, drop = read_failure(candidate.source)
    answer = no_answer(candidate.url)._replace(drop=drop)
    image, extension, log = fetched_row(candidate, answer, drop)
    code = int(drop.value) if drop.reason is Reason.HTTP_STATUS and drop.value else None
    return Fetched(image._replace(status=status, error_message=message, http_status=code), extension, log)


def _header(answer: Answer, name: str) -> str | None:
    values = values_of(answer.headers, name)
    return ", ".join(values) if values else None


def fetched_row(candidate: Candidate, answer: Answer, result: Processed | Drop) -> Fetched:
    image = _row(candidate, answer)
    log = log_of(candidate, answer)
    if isinstance(result, Drop):
        return Fetched(_failed(image, result, answer), "", log)
    return Fetched(_succeeded(image, result), result.extension, log)


def refreshed(candidate: Candidate, before: Image, answer: Answer) -> Fetched:
    """The row that was there, where nothing speaks against it; it names the tar in which its bytes are."""
    if answer.drop is not None and is_ours(str(answer.drop.reason)):
        return fetched_row(candidate, answer, answer.drop)
    if answer.drop is not None and answer.drop.reason is Reason.HANDED_OVER:
        led = before._replace(final_url=answer.final_url, redirects=answer.redirects)
        return Fetched(_failed(led, answer.drop, answer)._replace(sha256=before.sha256), "", log_of(candidate, answer))
    drop = judge_refreshed(before, answer)
    if drop is None:
        return unchanged(before, log_of(candidate, answer))
    image, extension, log = fetched_row(candidate, answer, drop)
    return Fetched(image._replace(status=DOWNLOAD_FAILED), extension, log)


def unchanged(before: Image, log: FetchLog) -> Fetched:
    return Fetched(before, "", log)


def log_of(candidate: Candidate, answer: Answer) -> FetchLog:
    host = host_of(answer.final_url or candidate.url)
    return FetchLog(candidate.uid, host, answer.address, answer.started_s, answer.duration_s, answer.bytes_received,
                    answer.loop_late_s)  # fmt: skip


def _failed(image: Image, drop: Drop, answer: Answer) -> Image:
    status = DOWNLOAD_FAILED if answer.drop is not None or not answer.body else RESIZE_FAILED
    message = f"{drop.reason}: {drop.detail}" if drop.detail else str(drop.reason)
    return image._replace(
        status=status,
        error_message=message,
        sha256=None if image.original_bytes is None else hashlib.sha256(answer.body).hexdigest(),
        reason=str(drop.reason),
        value=drop.value,
        detail=drop.detail,
    )


def _succeeded(image: Image, done: Processed) -> Image:
    return image._replace(
        status="success",
        reason="",
        value=done.decoded if done.decoded < 1 else None,
        width=done.width,
        height=done.height,
        original_width=done.original_width,
        original_height=done.original_height,
        exif=done.exif,
        sha256=done.sha256,
        format=done.format,
        phash=done.phash,
        phash_quality=done.phash_quality,
    )


def _row(candidate: Candidate, answer: Answer) -> Image:
    """The row of an attempt before its outcome is known. A body that was cut off by a clock leaves no trace in it."""
    whole = answer.body if answer.drop is None else b""
    was_led = answer.status is not None or answer.redirects > 0  # the last hop may be one that was refused
    return Image(
        url=candidate.url,
        caption=candidate.captions[0].text if candidate.captions else "",
        key=candidate.uid.hex(),
        status=DOWNLOAD_FAILED,
        error_message=None,
        width=None,
        height=None,
        original_width=None,
        original_height=None,
        exif=None,
        sha256=None,
        uid=candidate.uid,
        source_uid=candidate.source_uid,
        captions=candidate.captions,
        source=candidate.source,
        extra=candidate.extra,
        reason=str(Reason.INTERNAL_ERROR),
        value=None,
        detail="",
        http_status=answer.status,
        original_bytes=len(whole) or None,
        final_url=answer.final_url if was_led else None,
        redirects=answer.redirects if was_led else None,
        x_robots_tag=_header(answer, "x-robots-tag"),
        etag=_header(answer, "etag"),
        last_modified=_header(answer, "last-modified"),
        format=None,
        phash=None,
        phash_quality=None,
        tar=None,
        offset=None,
        length=None,
    )
