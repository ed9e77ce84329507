"""Media queries as the window of a desktop answers them (https://www.w3.org/TR/mediaqueries-5/). Pure.

The window is 1280 × 720 CSS pixels on a screen of 2 device pixels each. A feature that is not known here is false, as
browsers have it.
"""

import re

WIDTH, HEIGHT, DENSITY = 1280.0, 720.0, 2.0
MAX_CHARACTERS = 1_000  # of a query; a longer one counts as "all"

_UNITS = {"": 1.0, "px": 1.0, "em": 16.0, "rem": 16.0, "pt": 4 / 3, "pc": 16.0, "in": 96.0, "cm": 96 / 2.54,
          "mm": 96 / 25.4, "dppx": 1.0, "x": 1.0, "dpi": 1 / 96, "dpcm": 2.54 / 96}  # fmt: skip
_NUMBER = re.compile(r"([+-]?\d*\.?\d+)\s*(?:/\s*(\d*\.?\d+))?\s*([a-z]*)")
_RANGE = re.compile(r"\s*(?:(?P<low>[^<>=]+?)\s*(?P<first>[<>]=?|=)\s*)?(?P<name>[a-z-]+)\s*"
                    r"(?:(?P<second>[<>]=?|=)\s*(?P<high>[^<>=]+?)\s*)?")  # fmt: skip
_MEASURED = {
    "width": WIDTH, "device-width": WIDTH, "height": HEIGHT, "device-height": HEIGHT, "resolution": DENSITY,
    "device-pixel-ratio": DENSITY, "aspect-ratio": WIDTH / HEIGHT, "device-aspect-ratio": WIDTH / HEIGHT, "color": 8.0,
}  # fmt: skip
_SAID = {
    "orientation": "landscape", "prefers-color-scheme": "light", "prefers-reduced-motion": "no-preference",
    "prefers-contrast": "no-preference", "prefers-reduced-data": "no-preference", "hover": "hover",
    "any-hover": "hover", "pointer": "fine", "any-pointer": "fine", "scripting": "enabled", "update": "fast",
    "display-mode": "browser", "forced-colors": "none", "inverted-colors": "none",
}  # fmt: skip
_PART = re.compile(r"\(|\)|[^\s()]+|\s+")


def matches(query: str | None) -> bool:
    """Whether a list of media queries holds; an empty one does."""
    text = (query or "").strip().lower()
    if not text or len(text) > MAX_CHARACTERS:
        return True
    return any(_query(part.strip()) for part in text.split(","))


def _query(text: str) -> bool:
    """One query: `not screen and (min-width: 30em)`, or a condition."""
    found = re.match(r"(?:(not|only)\s+)?([a-z-]+)\b(?:\s+and\b|\s*$)", text)
    if found is None or found.group(2) == "not":
        return _condition(text)
    holds = found.group(2) in ("all", "screen")
    rest = text[found.end() :].strip()
    if rest:
        holds = holds and _condition(rest)
    return not holds if found.group(1) == "not" else holds


def _condition(text: str) -> bool:
    """Terms in brackets, joined by `and` or by `or`, each perhaps after `not`."""
    terms: list[bool] = []
    joint, negated, depth, start = "", False, 0, 0
    for part in _PART.finditer(text):
        word = part.group()
        if word == "(":
            start = part.end() if depth == 0 else start
            depth += 1
        elif word == ")":
            depth -= 1
            if depth < 0:
                return False
            if depth == 0:
                terms.append(_term(text[start : part.start()]) != negated)
                negated = False
        elif depth == 0 and word == "not":
            negated = True
        elif depth == 0 and word in ("and", "or"):
            joint = word
        elif depth == 0 and not word.isspace():
            return False
    return depth == 0 and bool(terms) and (any(terms) if joint == "or" else all(terms))


def _term(text: str) -> bool:
    text = text.strip()
    if text.startswith(("(", "not ")):
        return _condition(text) if text.count("(") < 20 else False  # nested deeper than any real query
    name, colon, value = (part.strip() for part in text.partition(":"))
    if colon:
        return _plain(name.removeprefix("-webkit-"), value)
    if any(mark in text for mark in "<>="):
        return _range(text)
    return name in _MEASURED or name in _SAID


def _plain(name: str, value: str) -> bool:
    if name in _SAID:
        return _SAID[name] == value
    bound, measured = name[:4], _MEASURED.get(re.sub(r"^(?:min|max)-", "", name))
    wanted = _number(value)
    if measured is None or wanted is None:
        return False
    if bound == "min-":
        return measured >= wanted
    return measured <= wanted if bound == "max-" else measured == wanted


def _range(text: str) -> bool:
    """`width >= 600px`, `400px < width <= 80em`."""
    found = _RANGE.fullmatch(text)
    measured = _MEASURED.get(found["name"]) if found else None
    if found is None or measured is None:
        return False
    low = found["first"] is None or _holds(_number(found["low"]), found["first"], measured)
    return low and (found["second"] is None or _holds(measured, found["second"], _number(found["high"])))


def _holds(left: float | None, sign: str, right: float | None) -> bool:
    if left is None or right is None:
        return False
    if left == right:
        return "=" in sign
    return left < right if sign[0] == "<" else left > right if sign[0] == ">" else False


def _number(text: str) -> float | None:
    found = _NUMBER.fullmatch(text.strip())
    if found is None or found[3] not in _UNITS or (found[2] and not float(found[2])):
        return None
    return float(found[1]) * _UNITS[found[3]] / float(found[2] or 1)
