"""Rule `size`."""

from typing import Literal

from filters.image import ImageRules, judge_size
from filters.reasons import Drop
from transforms.records import Pair
from transforms.select.rules.base import LocalRule


class SizeStep(LocalRule, ImageRules):
    """Sides, aspect and bytes of the original image."""

    rule: Literal["size"] = "size"

    def judge(self, pair: Pair) -> Pair | Drop:
        return judge_size(pair.width, pair.height, self, pair.size_bytes) or pair
