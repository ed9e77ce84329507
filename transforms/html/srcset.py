"""`srcset` as the HTML standard parses it (https://html.spec.whatwg.org/#parsing-a-srcset-attribute)."""

import re
from typing import NamedTuple

_SPACE = "\t\n\f\r "
_NEXT_URL = re.compile(r"[\t\n\f\r ,]*([^\t\n\f\r ]+)")
_FLOAT = re.compile(r"-?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?")
_DIGITS = re.compile(r"\d+", re.ASCII)


class SrcsetCandidate(NamedTuple):
    """One image of a `srcset`. A candidate without descriptor has density 1."""

    url: str
    width: int  # pixels, 0 where the descriptor is a density
    density: float  # 0 where the descriptor is a width


def parse_srcset(text: str) -> list[SrcsetCandidate]:
    """The candidates of a `srcset` attribute, in order; those whose descriptors are wrong are left out."""
    candidates = []
    descriptors: list[str]
    offset = 0
    while found := _NEXT_URL.match(text, offset):
        url, offset = found.group(1), found.end()
        if url.endswith(","):
            url, descriptors = url.rstrip(","), []
        else:
            descriptors, offset = _read_descriptors(text, offset)
        candidate = _candidate(url, descriptors) if url else None
        if candidate is not None:
            candidates.append(candidate)
    return candidates


def _read_descriptors(text: str, offset: int) -> tuple[list[str], int]:
    """The words up to the next comma outside brackets, and the offset behind that comma."""
    end = _descriptors_end(text, offset)
    words: list[str] = []
    start, depth = offset, 0
    for i in range(offset, end):
        mark = text[i]
        if mark == "(":
            depth += 1
        elif mark == ")" and depth:
            depth = 0  # the standard does not nest them
        elif mark in _SPACE and not depth:
            words.append(text[start:i])
            start = i + 1
    words.append(text[start:end])
    return [word for word in words if word], end + 1


def _descriptors_end(text: str, offset: int) -> int:
    """The offset of the next comma outside brackets, or of the end of the text."""
    while True:
        comma = text.find(",", offset)
        bracket = text.find("(", offset, comma if comma >= 0 else len(text))
        if bracket < 0:
            return comma if comma >= 0 else len(text)
        close = text.find(")", bracket)
        if close < 0:
            return len(text)
        offset = close + 1


def _candidate(url: str, descriptors: list[str]) -> SrcsetCandidate | None:
    width: int | None = None
    height: int | None = None
    density: float | None = None
    for word in descriptors:
        value, unit = word[:-1], word[-1]
        if unit == "w" and _DIGITS.fullmatch(value) and width is None and density is None and _bounded(value) > 0:
            width = _bounded(value)
        elif unit == "x" and _FLOAT.fullmatch(value) and density is None and width is None and height is None:
            density = float(value)
        elif unit == "h" and _DIGITS.fullmatch(value) and height is None and density is None and _bounded(value) > 0:
            height = _bounded(value)
        else:
            return None
    if (height is not None and width is None) or (density is not None and density < 0):
        return None
    if width is not None:
        return SrcsetCandidate(url, width, 0.0)
    return SrcsetCandidate(url, 0, 1.0 if density is None else density)


def _bounded(digits: str) -> int:
    """The number; a hostile one of a thousand digits counts as a billion."""
    return int(digits) if len(digits) < 10 else 10**9
