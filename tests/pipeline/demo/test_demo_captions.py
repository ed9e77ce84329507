"""Captions: right or wrong as planned, in languages that the language filter recognises."""

import random

import pytest

from filters.caption import CaptionRules, judge_caption
from filters.contact import ContactRules, judge_contact
from filters.language import LanguageRules, judge_language
from pipeline.demo.captions import describe, hard_swap, random_swap
from pipeline.demo.pictures import random_scene
from pipeline.demo.words import KEPT_LANGUAGES, LANGUAGES, NOUNS, OTHER_LANGUAGES, phrase
from transforms.collect.language import LanguageSettings, load_identifier

POLICY = LanguageRules(keep=list(KEPT_LANGUAGES))
SEVERAL = 1_500


@pytest.fixture(scope="module")
def identify():
    return load_identifier(LanguageSettings())


def sentences(language, count=SEVERAL, seed=5):
    rng = random.Random(seed)
    return [describe(random_scene(rng), language, rng) for _ in range(count)]


@pytest.mark.parametrize("language", KEPT_LANGUAGES)
def test_kept_languages_pass_the_policy(language, identify):
    dropped = [text for text in sentences(language) if judge_language(*identify(text), POLICY)]
    assert len(dropped) <= SEVERAL * 0.005


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_other_languages_fall_by_the_policy(language, identify):
    assert all(judge_language(*identify(text), POLICY) for text in sentences(language))


@pytest.mark.parametrize("language", LANGUAGES)
def test_true_captions_are_good_captions(language):
    for text in sentences(language, 300):
        assert judge_caption(text, CaptionRules()) is None
        assert judge_contact(text, ContactRules()) is None
        assert "  " not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_captions_name_the_shape_and_the_number(language):
    rng = random.Random(6)
    for _ in range(200):
        scene = random_scene(rng)
        text = describe(scene, language, rng)
        assert phrase(language, scene.shape, scene.colour, scene.number) in text


def test_a_hard_swap_is_wrong_in_the_shape_alone():
    rng = random.Random(7)
    for _ in range(200):
        scene = random_scene(rng)
        text = hard_swap(scene, "en", rng)
        right = NOUNS["en"][scene.shape]
        assert scene.colour in text
        assert f"{scene.colour} {right.one}" not in text


def test_a_random_swap_is_wrong_in_shape_and_colour():
    rng = random.Random(8)
    for _ in range(200):
        scene = random_scene(rng)
        text = random_swap(scene, "en", rng)
        assert scene.colour not in text
        assert f" {NOUNS['en'][scene.shape].one}" not in text


@pytest.mark.parametrize(
    ("language", "scene", "words"),
    [
        ("en", ("star", "orange", 1), "an orange star"),
        ("en", ("cross", "red", 3), "three red crosses"),
        ("de", ("square", "blue", 1), "ein blaues Quadrat"),
        ("de", ("circle", "green", 1), "einen grünen Kreis"),
        ("fr", ("star", "white", 1), "une étoile blanche"),
        ("fr", ("heart", "green", 4), "quatre cœurs verts"),
        ("es", ("moon", "yellow", 2), "dos medias lunas amarillas"),
        ("es", ("ring", "red", 1), "un anillo rojo"),
        ("zh", ("triangle", "black", 2), "两个黑色的三角形"),
        ("ru", ("star", "red", 2), "две красных звезды"),
    ],
)
def test_words_agree(language, scene, words):
    assert phrase(language, *scene) == words
