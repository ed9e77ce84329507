"""`collect.judge_early`: the rules of `select` that need a caption alone, applied before the request. Pure."""

from collections.abc import Sequence
from typing import Any

from filters.reasons import Drop
from transforms.keep import Judgement
from transforms.records import Occurrence


def early_judgements(rules: Sequence[Any]) -> list[Judgement]:
    """Those of `rules` that judge a caption alone (`judge_text`), in their order. All are one step of the funnel."""
    return [Judgement("early", early_text, (rule,)) for rule in rules if hasattr(rule, "judge_text")]


def early_text(occurrence: Occurrence, rule: Any) -> Drop | None:
    return rule.judge_text(occurrence.caption)
