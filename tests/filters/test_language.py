import pytest

from filters.language import LanguageRules, effective_language, judge_language
from filters.reasons import Drop, Reason

SOME = LanguageRules(keep=["en", "de"])
STRICT = LanguageRules(keep=["en"], keep_undetermined=False, min_probability=0.8)


@pytest.mark.parametrize(
    ("language", "probability", "rules", "expected"),
    [
        ("th", 0.99, LanguageRules(), None),
        ("en", 0.9, SOME, None),
        ("fr", 0.9, SOME, Drop(Reason.LANGUAGE, 0.9, "fr")),
        ("fr", 0.59, SOME, None),
        ("fr", 0.6, SOME, Drop(Reason.LANGUAGE, 0.6, "fr")),
        ("und", 0.0, SOME, None),
        ("und", 0.0, STRICT, Drop(Reason.LANGUAGE, 0.0, "und")),
        ("en", 0.79, STRICT, Drop(Reason.LANGUAGE, 0.79, "und")),
        ("en", 0.8, STRICT, None),
        ("und", 1.0, LanguageRules(keep_undetermined=False), Drop(Reason.LANGUAGE, 1.0, "und")),
    ],
)
def test_languages_stay_or_fall(language, probability, rules, expected):
    assert judge_language(language, probability, rules) == expected


def test_below_the_least_probability_a_caption_is_undetermined():
    assert effective_language("de", 0.3, SOME) == "und"
    assert effective_language("de", 0.7, SOME) == "de"


@pytest.mark.parametrize("keep", [["EN"], ["english"], ["zh-CN"], [False], "en", ["e"]])
def test_what_is_no_code_is_refused(keep):
    with pytest.raises(ValueError, match="keep"):
        LanguageRules(keep=keep)
