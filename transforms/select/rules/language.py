"""Rule `language`."""

from typing import Literal

from filters.language import LanguageRules, judge_language
from filters.reasons import Drop
from transforms.records import Caption
from transforms.select.rules.base import TextRule


class LanguageStep(TextRule, LanguageRules):
    """Which languages stay."""

    rule: Literal["language"] = "language"

    def judge_text(self, caption: Caption) -> Drop | None:
        return judge_language(caption.language, caption.probability, self)
