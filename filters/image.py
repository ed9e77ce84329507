"""Sizes of images, as they were before any resizing."""

from pydantic import Field, field_validator

from filters.reasons import Drop, Reason
from filters.rules import Rules


class ImageRules(Rules):
    """Bounds of the original image; 0 sets none."""

    min_side: int = Field(0, ge=0)  # pixels; DataComp basic: 200
    max_aspect: float = Field(3.0, ge=0)  # ratio of longer to shorter side; DataComp basic and COYO-700M: 3
    min_bytes: int = Field(0, ge=0)  # LAION: 5,000

    @field_validator("max_aspect")
    @classmethod
    def _aspect_is_none_or_possible(cls, value: float) -> float:
        if 0 < value < 1:
            raise ValueError("no image is below 1 (longer side / shorter side); give 1 or more, or 0 for no bound")
        return value


def judge_size(width: int, height: int, rules: ImageRules, size_bytes: int | None = None) -> Drop | None:
    """Why an image of `width` x `height` pixels and `size_bytes` bytes falls, or None."""
    if size_bytes is not None and size_bytes < rules.min_bytes:
        return Drop(Reason.TOO_FEW_BYTES, size_bytes)
    short, long = sorted((width, height))
    if short < max(1, rules.min_side):
        return Drop(Reason.IMAGE_TOO_SMALL, short, f"{width}x{height}")
    if rules.max_aspect and long > rules.max_aspect * short:
        return Drop(Reason.ASPECT_TOO_EXTREME, round(long / short, 4), f"{width}x{height}")
    return None
