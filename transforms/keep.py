"""The one transform that applies judgements: in order, the first drop wins, every drop lands in one place."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from filters.reasons import Drop

REJECTS = "rejects"


class Judgement(NamedTuple):
    """A step's name, the judgement itself, and what it needs beside the value."""

    step: str
    judge: Callable[..., Drop | None]
    rules: tuple[Any, ...] = ()


class _Judge(beam.DoFn):
    def __init__(self, judgements: tuple[Judgement, ...], reject: Callable[[Any, str, Drop], Any]) -> None:
        self._judgements = judgements
        self._reject = reject

    def process(self, element: Any) -> Iterable[Any]:
        for step, judge, rules in self._judgements:
            drop = judge(element, *rules)
            if drop is not None:
                yield TaggedOutput(REJECTS, self._reject(element, step, drop))
                return
        yield element


class Keep(beam.PTransform):
    """Applies `judgements` to each element; gives (kept, rejects).

    `reject(element, step, drop)` makes the row that remembers the drop. Both outputs are typed, because a runner
    that merges collections needs the same types on every side.
    """

    def __init__(self, *judgements: Judgement, reject: Callable[..., Any], kept_type: type, reject_type: type) -> None:
        super().__init__()
        self._judgements = judgements
        self._reject = reject
        self._types = kept_type, reject_type

    def expand(self, elements: beam.PCollection) -> tuple[beam.PCollection, beam.PCollection]:
        judged = elements | beam.ParDo(_Judge(self._judgements, self._reject)).with_outputs(REJECTS, main="kept")
        kept_type, reject_type = self._types
        judged.kept.element_type = kept_type
        judged[REJECTS].element_type = reject_type
        return judged.kept, judged[REJECTS]
