"""What `collect` makes of one source, without a pipeline: the same judgements and the same merge."""

from collections import Counter, defaultdict
from typing import NamedTuple

from filters.url import UrlRules
from transforms.collect import merge
from transforms.collect.transform import judgements, reject
from transforms.html.page import HtmlSettings
from transforms.records import Candidate, Occurrence, PageSeen, Reject, Unit
from transforms.sources.base import CandidateSource, Reading
from transforms.web.settings import WebSettings

READING = Reading(HtmlSettings(), WebSettings(), lambda text: ("und", 0.0))


class Collected(NamedTuple):
    rows_in: int  # as the source counts them
    candidates: list[Candidate]
    rejects: list[Reject]
    pages: list[PageSeen]

    @property
    def merged(self) -> int:
        return sum(c.occurrences - 1 for c in self.candidates)

    @property
    def reasons(self) -> Counter:
        return Counter(row.reason for row in self.rejects)

    def texts(self) -> dict[str, list[str]]:
        """The captions by url."""
        return {c.url: sorted(caption.text for caption in c.captions) for c in self.candidates}

    def lost(self) -> tuple[int, int]:
        """(bytes, members) of damage."""
        return sum(p.lost_bytes for p in self.pages), sum(p.lost_members for p in self.pages)


def collected(source: CandidateSource) -> Collected:
    kept, rejects, pages = defaultdict(list), [], []
    for number, path in enumerate(source.files()):
        for row in source.read(Unit("x", path, number), path, READING):
            if isinstance(row, PageSeen):
                pages.append(row)
            elif isinstance(row, Occurrence) and (drop := dropped(row)) is None:
                kept[row.uid].append(merge.merged(row))
            else:
                rejects.append(drop if isinstance(row, Occurrence) else row)
    candidates = [merge.candidate_of(uid, merge.merge(parts), 8) for uid, parts in kept.items()]
    return Collected(sum(p.occurrences for p in pages), candidates, rejects, pages)


def dropped(occurrence: Occurrence) -> Reject | None:
    for step, judge, rules in judgements(UrlRules(), ()):
        drop = judge(occurrence, *rules)
        if drop is not None:
            return reject(occurrence, step, drop)
    return None
