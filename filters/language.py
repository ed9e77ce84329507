"""Which languages stay."""

from typing import Annotated, Literal

from pydantic import Field

from filters.reasons import Drop, Reason
from filters.rules import Rules

UNDETERMINED = "und"  # ISO 639-2


Code = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]  # "EN" or "english" would silently drop everything


class LanguageRules(Rules):
    """Languages by ISO 639-1 code. Below `min_probability` a caption counts as undetermined."""

    keep: list[Code] | Literal["all"] = "all"  # ISO 639-1 codes, or all
    keep_undetermined: bool = True  # most captions are too short to tell: at 20 characters one in three is misjudged
    min_probability: float = Field(0.6, ge=0, le=1)  # the least that drops under 2 % of a kept language: 1.9 %


def effective_language(language: str, probability: float, rules: LanguageRules) -> str:
    """The language that counts: "und" where the engine is not sure enough."""
    return language if probability >= rules.min_probability else UNDETERMINED


def judge_language(language: str, probability: float, rules: LanguageRules) -> Drop | None:
    """Why a caption of that language falls, or None. The value is the probability."""
    effective = effective_language(language, probability, rules)
    if effective == UNDETERMINED:
        return None if rules.keep_undetermined else Drop(Reason.LANGUAGE, probability, UNDETERMINED)
    if rules.keep == "all" or effective in rules.keep:
        return None
    return Drop(Reason.LANGUAGE, probability, effective)
