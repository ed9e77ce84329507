"""Classes of the zero-shot test, and which sample is of which class by the words of its caption. Pure."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from trainer.errors import InputError

DERIVED_CLASSES = 20
PROMPTS = ("{}", "a {}", "a photo of a {}", "a picture of {}")
WORD = re.compile(r"[^\W\d_]{4,}")  # four letters: most of the little words of languages in Latin script are shorter
SHARES = (0.01, 0.2)  # of the captions: rarer is no class, more frequent says nothing
# Thai, Lao, Burmese, Khmer; kana; Chinese characters with their extensions: words without spaces between them.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


class Class(NamedTuple):
    """How a class is asked for, and by which words a caption says that it is there."""

    name: str
    prompts: tuple[str, ...]
    words: tuple[str, ...]


def read_classes(path: str) -> list[Class]:
    """A JSON list of {"name", "prompts": [...], "words": [...]}. Raises InputError."""
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise InputError(f'{path}: expected a list of {{"name", "prompts": [...], "words": [...]}}')
    return [_class(path, number, entry) for number, entry in enumerate(entries)]


def _class(path: str, number: int, entry: object) -> Class:
    if isinstance(entry, dict) and isinstance(entry.get("name"), str):
        lists = [entry.get(key) for key in ("prompts", "words")]
        if all(isinstance(v, list) and v and all(isinstance(w, str) and w for w in v) for v in lists):
            return Class(entry["name"], tuple(lists[0] or ()), tuple(lists[1] or ()))
    raise InputError(f"{path}: entry {number}: expected a name, and lists of prompts and words that are not empty")


def derived_classes(captions: Sequence[str]) -> list[Class]:
    """The most frequent words of the captions: at least four letters, in 1 to 20 % of the captions, each a class."""
    counts = Counter(word for caption in captions for word in set(WORD.findall(caption.casefold())))
    low, high = (share * len(captions) for share in SHARES)
    usual = [w for w, n in sorted(counts.items(), key=lambda e: (-e[1], e[0])) if max(low, 2) <= n <= high]
    return [Class(word, tuple(p.format(word) for p in PROMPTS), (word,)) for word in usual[:DERIVED_CLASSES]]


def labels_of(captions: Sequence[str], classes: Sequence[Class]) -> list[int]:
    """(n,) the number of the one class whose words a caption has; -1 where it is none or several."""
    patterns = [pattern_of(c.words) for c in classes]
    found = [[i for i, p in enumerate(patterns) if p.search(caption.casefold())] for caption in captions]
    return [hits[0] if len(hits) == 1 else -1 for hits in found]


def pattern_of(words: Sequence[str]) -> re.Pattern[str]:
    """Matches case-folded text: whole words; parts of the text in scripts without spaces."""
    return re.compile("|".join(_one(word.casefold()) for word in words))


def _one(word: str) -> str:
    escaped = re.escape(word)
    return escaped if UNSPACED.search(word) else rf"(?<!\w){escaped}(?!\w)"
