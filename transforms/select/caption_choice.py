"""Which of an image's captions is its text: the order in which they are kept, and the languages that go first. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from filters.language import UNDETERMINED, LanguageRules, effective_language
from transforms.records import ScoredCaption, kind_rank

# Of languages with more than this share of the most frequent one's captions a run is made; the others are strays.
LARGE_SHARE = 0.5
ENOUGH_CHARACTERS = 200  # a longer caption is no better for being longer still
UNMEASURED = -2.0  # below every cosine


class Preference(NamedTuple):
    """The languages (ISO 639-1) whose captions go first, and the rules by which one is sure to be of a language."""

    languages: tuple[str, ...] = ()
    rules: LanguageRules = LanguageRules()


NO_PREFERENCE = Preference()


def caption_order(scored: ScoredCaption, first: Preference = NO_PREFERENCE) -> tuple[float, bool, int, int, int, bytes]:
    """Sorts the best caption first: by similarity, then one in a preferred language, then by kind, by how often the
    web says it, by length, and by its hash."""
    caption = scored.caption
    language = effective_language(caption.language, caption.probability, first.rules)
    return (
        -(scored.similarity if scored.similarity is not None else UNMEASURED),
        language not in first.languages,
        kind_rank(caption.kind),
        -caption.count,
        -min(len(caption.text), ENOUGH_CHARACTERS),
        caption.id,
    )


def frequent(counts: Mapping[str, int]) -> tuple[str, ...]:
    """The most frequent language, and those that come near it; sorted."""
    known = {language: n for language, n in counts.items() if language != UNDETERMINED}
    most = max(known.values(), default=0)
    return tuple(sorted(language for language, n in known.items() if n > LARGE_SHARE * most))
