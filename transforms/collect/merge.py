"""The url merge: one row an image, with all that the web says of it. Associative, and blind to arrival order."""

from collections.abc import Iterable

from transforms.records import Candidate, Merged, Occurrence, PlacedCaption, kind_rank


def merged(occurrence: Occurrence) -> Merged:
    return Merged(occurrence, (PlacedCaption(occurrence.position, occurrence.caption),), 1)


def merge(parts: Iterable[Merged]) -> Merged:
    """Several `Merged` of one uid as one: captions add up by id, the smallest position speaks."""
    parts = list(parts)
    if len(parts) == 1:
        return parts[0]  # as most are: captions are in order already
    known: dict[bytes, PlacedCaption] = {}
    for part in parts:
        for placed in part.captions:
            known[placed.caption.id] = _together(known.get(placed.caption.id), placed)
    captions = tuple(known[i] for i in sorted(known))
    first = min((p.first for p in parts), key=lambda o: o.position)
    return Merged(first, captions, sum(p.occurrences for p in parts))


def _together(known: PlacedCaption | None, placed: PlacedCaption) -> PlacedCaption:
    """One text from two places: counts add up, the better kind stays, for the rest the smaller position speaks."""
    if known is None:
        return placed
    count = known.caption.count + placed.caption.count
    first = min(known, placed, key=lambda p: p.position)
    kind = min(known.caption.kind, placed.caption.kind, key=lambda kind: (kind_rank(kind), kind))
    return first._replace(caption=first.caption._replace(count=count, kind=kind))


def candidate_of(uid: bytes, whole: Merged, max_captions: int) -> Candidate:
    """The finished row: the `max_captions` most frequent captions, the longest of equally frequent ones."""
    captions = sorted((p.caption for p in whole.captions), key=lambda c: (-c.count, -len(c.text), c.id))
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
