"""What a later round asks again of the rows of an earlier one, and what its answers mean. Pure, but for the reading."""

import hashlib
from collections.abc import Iterator, Mapping

from filters.reasons import ASKED_AGAIN, Drop, Reason, may_pass
from transforms.records import WARC, Candidate, Image, PlanRow, Source
from transforms.rounds import Request, live_images, note_again
from transforms.web.client import Answer
from transforms.web.polite import NOT_MODIFIED


def is_wanted(image: Image, request: Request) -> bool:
    """Whether a round asks again for a row. Bytes of archives are never asked for."""
    if image.source.encoding == WARC or not image.url:
        return False
    if request.kind == "refresh":
        return image.status == "success"
    if request.kind == "redirects":
        return was_redirected_away(image)
    return image.reason in (request.reasons or ASKED_AGAIN)


def at_most(request: Request, counts: Mapping[str, int]) -> int:
    """A bound of how many rows a round asks, by how many ended for each reason; "" is success."""
    if request.kind == "refresh":
        return counts.get("", 0)
    if request.kind == "redirects":
        return counts.get(Reason.HANDED_OVER, 0)
    return sum(n for reason, n in counts.items() if reason in (request.reasons or ASKED_AGAIN))


def rows_again(stem: str, run: str, round_: int, request: Request) -> Iterator[PlanRow]:
    """The rows of a part that a round asks again, noted in `images/rounds/`. Raises StorageError."""
    wanted = [(number, image) for number, image in live_images(run, stem, round_) if is_wanted(image, request)]
    note_again(run, round_, stem, [number for number, _ in wanted])
    for _, image in wanted:
        if was_redirected_away(image):  # its page's host was asked in the round that it comes from
            yield PlanRow(0, candidate_of(image), "", None, "", image)
        else:
            yield PlanRow(0, candidate_of(image), None, None, "", image if request.kind == "refresh" else None)


def candidate_of(image: Image) -> Candidate:
    """What is asked again is asked of the web, whoever asked before."""
    return Candidate(image.uid, image.url, Source(), image.captions, 1, image.source_uid, image.extra)


def was_redirected_away(image: Image) -> bool:
    """Whether a redirect led to a host that another task owns; `final_url` names it."""
    return image.reason == Reason.HANDED_OVER


def previous_image(row: PlanRow) -> Image | None:
    """The image that a refresh holds the answer against, also where a round in between was led on."""
    before = row.before
    if before is None or not was_redirected_away(before):
        return before
    if before.tar is None:
        return None
    return before._replace(status="success", error_message=None, reason="", value=None, detail="")


def conditions(before: Image) -> tuple[tuple[str, str], ...]:
    """The headers that ask only for what has changed (RFC 9110, 13.1)."""
    said = (("If-None-Match", before.etag), ("If-Modified-Since", before.last_modified))
    return tuple((name, value) for name, value in said if value)


def judge_refreshed(before: Image, answer: Answer) -> Drop | None:
    """Why an image that was fetched before must go: its bytes are others now, or the web says no. None: it stays.

    What may pass says nothing: a host that is down for an hour takes no image away.
    """
    if answer.drop is not None:
        unchanged = answer.status == NOT_MODIFIED and answer.drop.reason is Reason.HTTP_STATUS
        return None if unchanged or may_pass(answer.drop) else answer.drop
    digest = hashlib.sha256(answer.body).hexdigest()
    if digest == before.sha256:
        return None
    return Drop(Reason.HASH_MISMATCH, None, f"now {digest}")
