"""Rules over one pair: captions fall one by one, the pair falls with its last."""

import sys
import types

import pytest
from helpers.samples import caption, pair

from filters.reasons import Drop, Reason
from transforms.records import Pair, ScoredCaption
from transforms.select.settings import (
    CaptionStep,
    ContactStep,
    LanguageStep,
    ScoreStep,
    SelectSettings,
    SizeStep,
    UserStep,
)


def scored(*rows) -> tuple[ScoredCaption, ...]:
    return tuple(ScoredCaption(caption(text, language=language, probability=0.9), s) for text, language, s in rows)


def texts(answer) -> list[str]:
    assert isinstance(answer, Pair)
    return [s.caption.text for s in answer.captions]


def test_captions_fall_one_by_one():
    two = pair(captions=scored(("IMG_2041.JPG", "en", 0.9), ("a red kite over the sea", "en", 0.1)))
    assert texts(CaptionStep().judge(two)) == ["a red kite over the sea"]


def test_the_pair_falls_for_the_reason_of_its_best_caption():
    two = pair(captions=scored(("logo", "en", 0.9), ("IMG_2041.JPG", "en", 0.1)))
    assert CaptionStep().judge(two).reason is Reason.CAPTION_BOILERPLATE


@pytest.mark.parametrize(("changes", "step", "reason", "value"), [
    ({"captions": scored(("write to ann@example.org now", "en", 0.3))}, ContactStep(), Reason.CAPTION_CONTACT, None),
    ({"captions": scored(("ein roter Drache am Meer", "de", 0.3))}, LanguageStep(keep=["en"]), Reason.LANGUAGE, 0.9),
    ({"width": 640, "height": 63}, SizeStep(min_side=64), Reason.IMAGE_TOO_SMALL, 63),
    ({"width": 640, "height": 100}, SizeStep(), Reason.ASPECT_TOO_EXTREME, 6.4),
    ({"size_bytes": 10}, SizeStep(min_bytes=5000), Reason.TOO_FEW_BYTES, 10),
    ({"captions": scored(("a red kite over the sea", "en", 0.2))}, ScoreStep(min=0.28), Reason.SCORE_TOO_LOW, 0.2),
    ({"captions": scored(("a red kite over the sea", "en", None))}, ScoreStep(min=0.28), Reason.SCORE_MISSING, None),
])  # fmt: skip
def test_each_rule_names_reason_and_value(changes, step, reason, value):
    drop = step.judge(pair(**changes))
    assert isinstance(drop, Drop)
    assert (drop.reason, drop.value) == (reason, value)


def test_a_language_may_have_a_cut_of_its_own():
    german = pair(captions=scored(("ein roter Drache am Meer", "de", 0.27)))
    assert ScoreStep(min=0.28, languages={"de": 0.26}).judge(german) == german


@pytest.fixture
def user_module():
    module = types.ModuleType("a_users_rules")
    module.no_kites = lambda text, row, word: f"{word} in {row['url']}" if word in text else None
    sys.modules["a_users_rules"] = module
    yield "a_users_rules"
    del sys.modules["a_users_rules"]


def test_a_users_rule(user_module):
    step = UserStep(function=f"{user_module}:no_kites", settings={"word": "kite"})
    drop = step.judge(pair())
    assert drop.reason is Reason.USER_RULE
    assert "kite in http://site.example/a.jpg" in drop.detail
    assert isinstance(step.model_copy(update={"settings": {"word": "ship"}}).judge(pair()), Pair)


def test_a_users_rule_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="no_such_module:rule"):
        UserStep(function="no_such_module:rule").judge(pair())


def test_rules_have_names_of_their_own():
    settings = SelectSettings(rules=(CaptionStep(), LanguageStep(), CaptionStep(min_words=1)))
    assert settings.labels() == ["caption", "language", "caption_2"]
