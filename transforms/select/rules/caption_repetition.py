"""Rule `caption_repetition`."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Literal, NamedTuple

from pydantic import Field

from filters.contact import redact
from filters.reasons import Drop, Reason
from transforms.records import Pair
from transforms.select.rules.base import CrossPairRule, GroupResult, Judge


class CaptionCount(NamedTuple):
    """How many images of a part have a caption."""

    part: str
    count: int  # type: ignore[assignment]


class RepetitionStep(CrossPairRule):
    """A text on more than `max_images` images says nothing about any of them."""

    key_type: ClassVar[type] = bytes  # caption id
    aggregate_type: ClassVar[type] = CaptionCount
    rule: Literal["caption_repetition"] = "caption_repetition"
    max_images: int = Field(10, ge=1)  # COYO-700M

    def map_part(self, part: str, pairs: Sequence[Pair]) -> list[tuple[bytes, CaptionCount]]:
        counts = Counter(scored.caption.id for pair in pairs for scored in pair.captions)
        return [(caption, CaptionCount(part, count)) for caption, count in counts.items()]

    def combine(self, key: bytes, aggregates: Iterable[CaptionCount]) -> Iterator[tuple[str, GroupResult]]:
        """How many images have a caption, for every part that has it; nothing where they are few enough."""
        counts = list(aggregates)
        total = sum(count.count for count in counts)
        if total > self.max_images:
            result = GroupResult(key, float(total))
            yield from ((count.part, result) for count in counts)

    def apply(self, results: Sequence[GroupResult]) -> Judge:
        counts = {result.key: int(result.value) for result in results}  # images by caption id

        def judge(pair: Pair) -> Pair | Drop:
            left = tuple(s for s in pair.captions if s.caption.id not in counts)
            if left:
                return pair._replace(captions=left)
            worst = max(counts[s.caption.id] for s in pair.captions)
            return Drop(Reason.CAPTION_REPEATED, float(worst), redact(pair.captions[0].caption.text))

        return judge
