import pytest

from filters.image import ImageRules, judge_size
from filters.reasons import Drop, Reason

RULES = ImageRules(min_side=200, max_aspect=3.0, min_bytes=5_000)


@pytest.mark.parametrize(
    ("width", "height", "size_bytes", "expected"),
    [
        (600, 200, 5_000, None),
        (200, 600, 9_000, None),
        (200, 200, None, None),
        (199, 500, 9_000, Drop(Reason.IMAGE_TOO_SMALL, 199, "199x500")),
        (500, 10, 9_000, Drop(Reason.IMAGE_TOO_SMALL, 10, "500x10")),
        (601, 200, 9_000, Drop(Reason.ASPECT_TOO_EXTREME, 3.005, "601x200")),
        (200, 1_000, 9_000, Drop(Reason.ASPECT_TOO_EXTREME, 5.0, "200x1000")),
        (600, 200, 4_999, Drop(Reason.TOO_FEW_BYTES, 4_999)),
        (0, 200, 9_000, Drop(Reason.IMAGE_TOO_SMALL, 0, "0x200")),
    ],
)
def test_sizes_are_judged_with_the_measured_value(width, height, size_bytes, expected):
    assert judge_size(width, height, RULES, size_bytes) == expected


def test_zero_sets_no_bound_but_an_image_has_pixels():
    free = ImageRules(min_side=0, max_aspect=0.0, min_bytes=0)
    assert judge_size(1, 10_000, free, 0) is None
    assert judge_size(0, 10, free).reason is Reason.IMAGE_TOO_SMALL


@pytest.mark.parametrize("wrong", [{"max_aspect": 0.5}, {"min_side": -1}, {"min_bytes": "5000"}, {"min_sides": 3}])
def test_impossible_rules_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ImageRules(**wrong)
