"""The language engines as they are loaded: the right answers, the same ones again, and "und" for no text."""

import random

import pytest

from transforms.collect.language import LanguageSettings, load_identifier

TEXTS = {
    "en": "A small red boat on the lake in the early morning light",
    "de": "Ein kleines rotes Boot auf dem See im frühen Morgenlicht",
    "fr": "Un petit bateau rouge sur le lac dans la lumière du matin",
    "es": "Un pequeño barco rojo en el lago bajo la luz de la mañana",
    "ru": "Маленькая красная лодка на озере ранним утром",
    "th": "เรือสีแดงลำเล็กในทะเลสาบยามเช้า",
    "zh": "清晨湖面上的一艘红色小船",
    "ja": "早朝の湖に浮かぶ小さな赤いボート",
    "ar": "قارب أحمر صغير على البحيرة في ضوء الصباح",
}
NO_TEXT = ["", " ", "2026", "4711 / 12 - 3", "!?…", "★ ☆ ★", "🎉🎉", "½ × ½", "\u200d"]


@pytest.fixture(scope="module", params=["fasttext", "langdetect"])
def identify(request):
    return load_identifier(LanguageSettings(engine=request.param))


@pytest.mark.parametrize("language", TEXTS)
def test_sentences_are_told_apart(identify, language):
    answer, probability = identify(TEXTS[language])
    assert answer == language
    assert 0.5 <= probability <= 1.0
    assert probability == round(probability, 4)


@pytest.mark.parametrize("text", NO_TEXT)
def test_a_text_without_letters_is_undetermined(identify, text):
    assert identify(text) == ("und", 0.0)


def test_answers_do_not_depend_on_what_was_asked_before(identify):
    texts = [*TEXTS.values(), "boat", "Mond", "luna", "la casa", "no"]
    first = [identify(text) for text in texts]
    order = list(range(len(texts)))
    random.Random(0).shuffle(order)
    again = {n: identify(texts[n]) for n in order}
    assert [again[n] for n in range(len(texts))] == first
    fresh = load_identifier(LanguageSettings(engine="langdetect"))
    assert fresh("la casa") == load_identifier(LanguageSettings(engine="langdetect"))("la casa")


def test_case_and_line_breaks_do_not_matter_to_fasttext():
    identify = load_identifier(LanguageSettings())
    assert identify("EIN KLEINES ROTES BOOT\nAUF DEM SEE") == identify("ein kleines rotes boot auf dem see")


def test_a_text_of_any_length_is_answered(identify):
    assert identify(" ".join([TEXTS["de"]] * 500))[0] == "de"


def test_odd_characters_are_answered(identify):
    for text in ("a\0b", "\ufffd word \ufffd", "x" * 5_000, "𐍈𐍉𐍊", "e\u0301" * 50):
        language, probability = identify(text)
        assert 2 <= len(language) <= 3
        assert 0.0 <= probability <= 1.0


def test_an_unknown_engine_is_refused():
    with pytest.raises(ValueError, match="engine"):
        LanguageSettings(engine="guess")
