"""XHTML as HTML: what an XML parser reads otherwise, written so that an HTML parser reads the same.

In XML `<script src="x.js"/>` is whole; in HTML it hides all that follows. Nothing has to be well-formed: browsers show
such a page up to its first error, here all of it is read.
"""

import re

TYPES = ("application/xhtml+xml", "application/xml", "text/xml")

_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr")
)
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_EMPTY = re.compile(r"<([a-zA-Z_][\w.:-]*+)((?:[^<>\"']++|\"[^\"]*+\"|'[^']*+')*+)>")
_PREFIX = re.compile(r"\sxmlns:([\w.-]+)\s*=\s*[\"']http://www\.w3\.org/1999/xhtml[\"']")


def is_xml(content_type: str) -> bool:
    """Whether a Content-Type makes browsers read a page as XML."""
    return content_type.partition(";")[0].strip().lower() in TYPES


def as_html(text: str) -> str:
    """The page with its CDATA as text, its empty elements closed and its XHTML prefix gone."""
    prefix = _PREFIX.search(text[:10_000])
    if prefix:
        text = re.sub(rf"(</?){re.escape(prefix.group(1))}:", r"\1", text)
    text = _CDATA.sub(lambda found: found.group(1).replace("&", "&amp;").replace("<", "&lt;"), text)
    return _EMPTY.sub(_closed, text)


def _closed(tag: re.Match[str]) -> str:
    name, attributes = tag.groups()
    if not attributes.endswith("/") or name.lower() in _VOID:
        return tag.group()
    return f"<{name}{attributes[:-1]}></{name}>"
