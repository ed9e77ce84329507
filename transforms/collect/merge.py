"""The url merge: one row an image, with all that the web says of it. Associative, and blind to arrival order."""

from collections.abc import Iterable

from transforms.records import Candidate, Caption, Merged, Occurrence


def merged(occurrence: Occurrence) -> Merged:
    return Merged(occurrence, ((occurrence.position, occurrence.caption),), 1)


def merge(parts: Iterable[Merged]) -> Merged:
    """Several `Merged` of one uid as one: captions add up by id, the smallest position speaks."""
    parts = list(parts)
    known: dict[bytes, tuple[str, Caption]] = {}
    for part in parts:
        for position, caption in part.captions:
            known[caption.id] = _together(known.get(caption.id), position, caption)
    captions = tuple(known[i] for i in sorted(known))
    first = min((p.first for p in parts), key=lambda o: o.position)
    return Merged(first, captions, sum(p.occurrences for p in parts))


def _together(known: tuple[str, Caption] | None, position: str, caption: Caption) -> tuple[str, Caption]:
    if known is None:
        return position, caption
    count = known[1].count + caption.count
    smallest = min(known, (position, caption), key=lambda pair: pair[0])
    return smallest[0], smallest[1]._replace(count=count)


def candidate_of(uid: bytes, whole: Merged, max_captions: int) -> Candidate:
    """The finished row: the `max_captions` most frequent captions, ties broken by their hash."""
    captions = sorted((c for _, c in whole.captions), key=lambda c: (-c.count, c.id))
    first = whole.first
    return Candidate(
        uid,
        first.url,
        first.source,
        tuple(captions[:max_captions]),
        whole.occurrences,
        first.source_uid,
        first.extra,
    )
