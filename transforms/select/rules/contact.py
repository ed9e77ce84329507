"""Rule `contact`."""

from typing import Literal

from filters.contact import ContactRules, judge_contact
from filters.reasons import Drop
from transforms.records import Caption
from transforms.select.rules.base import TextRule


class ContactStep(TextRule, ContactRules):
    """E-mail addresses and telephone numbers."""

    rule: Literal["contact"] = "contact"

    def judge_text(self, caption: Caption) -> Drop | None:
        return judge_contact(caption.text, self)
