"""Which of an image's captions becomes its text, where scores say nothing or the same."""

from functools import partial
from itertools import permutations

import pytest
from helpers.samples import caption, pair

from filters.language import LanguageRules
from transforms.records import ScoredCaption
from transforms.select.caption_choice import Preference, caption_order, frequent
from transforms.select.pairs import kept

ENGLISH_FIRST = Preference(("en",))


def first_of(*captions, first=ENGLISH_FIRST, similarities=None):
    similarities = similarities or [None] * len(captions)
    scored = [ScoredCaption(c, s) for c, s in zip(captions, similarities, strict=True)]
    firsts = {sorted(p, key=partial(caption_order, first=first))[0].caption for p in permutations(scored)}
    assert len(firsts) == 1  # whatever order they came in
    return firsts.pop()


EN, DE = caption("a red kite", language="en"), caption("ein roter Drachen am Himmel", language="de", count=9)


@pytest.mark.parametrize(("better", "worse"), [
    (EN, DE),  # language before count and length
    (EN, caption("cerf volant", language="en", probability=0.2)),  # not sure enough to be of the run's languages
    (caption("a kite"), caption("a long title of the whole page", kind="title", count=9)),
    (caption("a kite"), caption("from the preview of the page", kind="og", count=9)),
    (caption("a kite", kind="table"), caption("a longer caption below", kind="figcaption")),
    (caption("a kite", count=3), caption("a longer text that was found once")),
    (caption("a red kite over the sea"), caption("kite")),
    (caption("y" * 200, count=2), caption("x" * 5_000)),
])  # fmt: skip
def test_one_goes_before_the_other(better, worse):
    assert first_of(better, worse) == better


def test_scores_decide_before_all():
    assert first_of(EN, DE, similarities=(0.2, 0.3)) == DE
    assert first_of(EN, DE, similarities=(0.3, 0.3)) == EN


def test_without_preferred_languages_none_goes_first():
    assert first_of(EN, DE, first=Preference()) == DE


def test_the_rule_says_how_sure_a_language_must_be():
    unsure = caption("a red kite", language="en", probability=0.4)
    for floor, best in ((0.3, unsure), (0.5, DE)):
        assert first_of(unsure, DE, first=Preference(("en",), LanguageRules(min_probability=floor))) == best


def test_longer_than_enough_is_no_better():
    texts = [caption("x" * n) for n in (200, 900)]
    assert first_of(*texts) == min(texts, key=lambda c: c.id)


def test_kept_pairs_hold_them_in_that_order():
    both = pair()._replace(captions=(ScoredCaption(DE, None), ScoredCaption(EN, None)))
    assert kept(both, 4, Preference(("en",))).caption_ids == (EN.id, DE.id)
    assert kept(both, 1, Preference(("de",))).caption_ids == (DE.id,)


@pytest.mark.parametrize(("counts", "languages"), [
    ({}, ()),
    ({"und": 9}, ()),
    ({"en": 700, "und": 900, "de": 90}, ("en",)),
    ({"en": 700, "fr": 351, "de": 350}, ("en", "fr")),
])  # fmt: skip
def test_the_languages_of_a_run(counts, languages):
    assert frequent(counts) == languages
