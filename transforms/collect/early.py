"""`collect.judge_early`: the caption and language rules of `select`, applied before the request. Pure."""

from collections.abc import Sequence
from typing import Any

from filters.caption import CaptionRules, judge_caption
from filters.contact import ContactRules, judge_contact
from filters.language import LanguageRules, judge_language
from filters.reasons import Drop
from transforms.keep import Judgement
from transforms.records import Occurrence


def early_judgements(rules: Sequence[Any]) -> list[Judgement]:
    """Those of `rules` that need nothing but the caption, in their order. All are one step of the funnel."""
    judges = ((CaptionRules, early_caption), (ContactRules, early_contact), (LanguageRules, early_language))
    return [Judgement("early", judge, (rule,)) for rule in rules for kind, judge in judges if isinstance(rule, kind)]


def early_caption(occurrence: Occurrence, rules: CaptionRules) -> Drop | None:
    return judge_caption(occurrence.caption.text, rules)


def early_contact(occurrence: Occurrence, rules: ContactRules) -> Drop | None:
    return judge_contact(occurrence.caption.text, rules)


def early_language(occurrence: Occurrence, rules: LanguageRules) -> Drop | None:
    return judge_language(occurrence.caption.language, occurrence.caption.probability, rules)
