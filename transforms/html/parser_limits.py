"""Pages made to hurt: cut where parsing them would take far more than their size. Linear, and blind to most pages.

An HTML parser looks at its stack of open elements again and again, and opens forgotten `<b>` and `<font>` anew in
every paragraph. A megabyte of `<ul><li>` keeps it busy for minutes; 60 kB of `<p><font size=1>` with other sizes make
gigabytes of nodes. Browsers cap the depth at 512 (Blink) for the same reason. Here the work is estimated from the tags
alone, and the page ends where its budget does.
"""

import re

MIN_TAGS = 3_000  # below it, no page of any form costs more than a few hundred milliseconds
MAX_STACK_STEPS = 50_000_000  # elements looked at; about 0.7 s of the parser. A page of 10,000 tags, 30 deep: 0.3 M
MAX_CLONES = 500_000  # elements opened anew; 350 bytes each
LONG_TAG = 50_000  # characters
MAX_ATTRIBUTES = 5_000  # of one tag: the parser compares each with all before it

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_WHOLE_TAG = re.compile(r"<[a-zA-Z](?:[^>\"']++|\"[^\"]*+\"|'[^']*+')*+")
_QUOTED = re.compile(r"\"[^\"]*+\"|'[^']*+'")
_SEPARATED = re.compile(r"[\s/\"']+")

# Never on the stack for long: void elements, and those that the next of their kind closes.
_FLAT = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
     "p", "li", "dt", "dd", "option", "tr", "td", "th", "thead", "tbody", "tfoot", "html", "head", "body", "script",
     "style", "title", "a")
)  # fmt: skip
_FORMATTING = frozenset(
    ("b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u")
)  # fmt: skip


def cut_hostile(html: str, max_characters: int) -> str:
    """`html`, or its beginning where it is too long or would take the parser too long."""
    html = html[:max_characters]
    if len(html) > LONG_TAG:
        html = _cut_at_attributes(html)
    if html.count("<") > MIN_TAGS or _has_many_clones(html):
        html = _cut_at_depth(html)
    return html


def _has_many_clones(html: str) -> bool:
    """Formatting alone can hurt with fewer tags, as every paragraph opens all of it again."""
    tags = html.count("<")
    return tags > 1_000 and tags > 3 * html.count("</")


def _cut_at_depth(html: str) -> str:
    depth = formatting = steps = clones = 0
    for tag in _TAG.finditer(html):
        name = tag.group(2).lower()
        change = -1 if tag.group(1) else 1
        if name in _FORMATTING:
            formatting = max(0, formatting + change)
        elif change > 0:
            clones += formatting
        if name not in _FLAT:
            depth = max(0, depth + change)
        steps += depth
        if steps > MAX_STACK_STEPS or clones > MAX_CLONES:
            return html[: tag.start()]
    return html


def _cut_at_attributes(html: str) -> str:
    for tag in _WHOLE_TAG.finditer(html):
        if tag.end() - tag.start() > LONG_TAG:
            outside = _QUOTED.sub('"', tag.group())
            if len(_SEPARATED.findall(outside)) > MAX_ATTRIBUTES:
                return html[: tag.start()]
    return html
