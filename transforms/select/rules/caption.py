"""Rule `caption`."""

from typing import Literal

from filters.caption import CaptionRules, judge_caption
from filters.reasons import Drop
from transforms.records import Caption
from transforms.select.rules.base import TextRule


class CaptionStep(TextRule, CaptionRules):
    """Length, words, boilerplate, file names and urls."""

    rule: Literal["caption"] = "caption"

    def judge_text(self, caption: Caption) -> Drop | None:
        return judge_caption(caption.text, self)
