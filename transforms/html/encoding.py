"""The bytes of a page to text, as browsers do it: byte order mark, HTTP charset, meta charset, then a guess.

Labels are those of the WHATWG Encoding Standard (https://encoding.spec.whatwg.org/#names-and-labels), each under the
Python codec that comes closest. A label that is not in the table is ignored; no other codec can be reached.
"""

import codecs
import re
from typing import NamedTuple

from charset_normalizer import from_bytes

PRESCAN_BYTES = 4_096  # the standard says 1,024; pages with long comments or scripts first need more
UTF8_SAMPLE_BYTES = 1_000_000
SAMPLE_BYTES = 16_384  # for the guess, whose cost grows with the sample

# codec: labels. Python's own aliases are not used: they differ (and hold "rot13" and "zip").
_LABELS = {
    "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8",
    "cp866": "866 cp866 csibm866 ibm866",
    "iso8859-2": "csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2",
    "iso8859-3": "csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3",
    "iso8859-4": "csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4",
    "iso8859-5": "csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988",
    "iso8859-6": "arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 iso-8859-6-e "
    "iso-8859-6-i iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987",
    "iso8859-7": "csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 iso88597 iso_8859-7 "
    "iso_8859-7:1987 sun_eu_greek",
    "iso8859-8": "csiso88598e csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e iso-ir-138 iso8859-8 iso88598 iso_8859-8 "
    "iso_8859-8:1988 visual csiso88598i iso-8859-8-i logical",
    "iso8859-10": "csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6",
    "iso8859-13": "iso-8859-13 iso8859-13 iso885913",
    "iso8859-14": "iso-8859-14 iso8859-14 iso885914",
    "iso8859-15": "csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9",
    "iso8859-16": "iso-8859-16",
    "koi8-r": "cskoi8r koi koi8 koi8-r koi8_r",
    "koi8-u": "koi8-ru koi8-u",
    "mac-roman": "csmacintosh mac macintosh x-mac-roman",
    "cp874": "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874",
    "cp1250": "cp1250 windows-1250 x-cp1250",
    "cp1251": "cp1251 windows-1251 x-cp1251",
    "cp1252": "ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 "
    "iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252",
    "cp1253": "cp1253 windows-1253 x-cp1253",
    "cp1254": "cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5 "
    "windows-1254 x-cp1254",
    "cp1255": "cp1255 windows-1255 x-cp1255",
    "cp1256": "cp1256 windows-1256 x-cp1256",
    "cp1257": "cp1257 windows-1257 x-cp1257",
    "cp1258": "cp1258 windows-1258 x-cp1258",
    "mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "gbk": "chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk",
    "gb18030": "gb18030",
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
    "euc-jp": "cseucpkdfmtjapanese euc-jp x-euc-jp",
    "iso2022-jp": "csiso2022jp iso-2022-jp",
    "cp932": "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis",
    "cp949": "cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 "
    "windows-949",
    "utf-16-be": "unicodefffe utf-16be",
    "utf-16-le": "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le",
}
_DECODED_AS = {"gbk": "gb18030"}  # they are encoded apart, says the standard
_CODECS = {label: codec for codec, labels in _LABELS.items() for label in labels.split()}

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_BARE_UTF16 = ((b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"))  # "<" at the start, without a mark
_COMMENT = re.compile(rb"<!--.*?(?:-->|$)", re.DOTALL)
_META = re.compile(rb"<meta[\s/]([^>]*)", re.IGNORECASE)
_XML = re.compile(rb"<\?xml[^>]*?\sencoding\s*=\s*[\"']([^\"'>]*)", re.IGNORECASE)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([^\s\"';>/]+)", re.IGNORECASE)

# What the guess may answer: the encodings that pages without a label are really in.
_GUESSES = ["cp1252", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254", "cp1255", "cp1256", "gb18030", "big5",
            "cp932", "euc_jp", "cp949", "cp874"]  # fmt: skip
_OUTSIDE_ASCII = re.compile(rb"[\x80-\xff]")
_UTF8 = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|\xed[\x80-\x9f][\x80-\xbf]|"
    rb"[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|"
    rb"\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
_HIRAGANA = re.compile(rb"\x82[\x9f-\xf1]")
_BY_GUESS = {"gb18030": "gbk", "big5": "big5hkscs", "koi8_r": "koi8-r", "euc_jp": "euc-jp"}


def codec_of(label: str) -> str | None:
    """The Python codec of an encoding label such as "iso-8859-1"; None for a label that the standard does not know."""
    return _CODECS.get(label.strip("\t\n\f\r \"'").lower())


class PageText(NamedTuple):
    """The text of a page, and the Python codec in which its urls' queries are encoded."""

    text: str
    codec: str


def decode(body: bytes, content_type: str = "") -> PageText:
    """The text of a page. `content_type` is the HTTP header, or "". Never raises: what does not decode is U+FFFD."""
    for mark, marked in _MARKS:
        if body.startswith(mark):
            return PageText(body[len(mark) :].decode(marked, "replace"), marked)
    codec = _http_codec(content_type) or _bare_utf16(body) or _declared_codec(body[:PRESCAN_BYTES])
    if codec is None or codec == "cp1252":
        # Servers say iso-8859-1 by default. Bytes outside ASCII that are valid UTF-8 are never that by chance.
        text = _valid_utf8(body)
        if text is not None:
            return PageText(text, "utf-8")
    codec = codec or _guess(body)
    return PageText(body.decode(_DECODED_AS.get(codec, codec), "replace"), codec)


def _http_codec(content_type: str) -> str | None:
    found = _CHARSET.search(content_type)
    return codec_of(found.group(1)) if found else None


def _bare_utf16(body: bytes) -> str | None:
    return next((codec for start, codec in _BARE_UTF16 if body.startswith(start)), None)


def _declared_codec(head: bytes) -> str | None:
    """What the page says of itself: `<meta charset>`, `<meta http-equiv>`, or the XML declaration."""
    head = _COMMENT.sub(b"", head)
    for attributes in _META.findall(head):
        found = _CHARSET.search(attributes.decode("latin-1"))
        codec = codec_of(found.group(1)) if found else None
        if codec is not None:
            return _readable_as_ascii(codec)
    xml = _XML.match(head.lstrip())
    codec = codec_of(xml.group(1).decode("latin-1")) if xml else None
    return _readable_as_ascii(codec) if codec else None


def _readable_as_ascii(codec: str) -> str:
    """A page whose label could be read as ASCII is not UTF-16, whatever it says: the standard takes UTF-8."""
    return "utf-8" if codec.startswith("utf-16") else codec


def _valid_utf8(body: bytes) -> str | None:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        whole = body[: error.start]
        if error.reason == "unexpected end of data" and not whole.isascii():
            return whole.decode("utf-8")  # a page that ends inside a character
    return body.decode("utf-8", "replace") if _is_mostly_utf8(body[:UTF8_SAMPLE_BYTES]) else None


def _is_mostly_utf8(sample: bytes) -> bool:
    """Whether the bytes outside ASCII are UTF-8 but for some strays.

    In a legacy encoding few of them make UTF-8 by chance: a capital before a sign in the western ones, one pair in
    three at most in the eastern ones. There each whole character stands beside more than one broken byte.
    """
    whole = len(_UTF8.findall(sample))
    broken = len(_OUTSIDE_ASCII.findall(_UTF8.sub(b"", sample)))
    return whole >= 2 * broken and whole > 0


def _guess(body: bytes) -> str:
    sample = body[:SAMPLE_BYTES]
    if len(sample) < len(body):  # end before a tag: never inside a character
        sample = sample[: sample.rfind(b"<")] or sample
    if _is_shift_jis(sample):
        return "cp932"
    found = [match.encoding for match in from_bytes(sample, cp_isolation=_GUESSES)]
    if not found or (found[0] == "cp1250" and "cp1252" in found):
        return "cp1252"  # the browsers' default; short western texts read well in both
    return _BY_GUESS.get(found[0], found[0])


def _is_shift_jis(sample: bytes) -> bool:
    """Hiragana are common in Japanese text and, in Shift_JIS, bytes that no other encoding uses much together."""
    outside_ascii = len(_OUTSIDE_ASCII.findall(sample))
    if len(_HIRAGANA.findall(sample)) * 8 < outside_ascii:
        return False
    try:
        sample.decode("cp932")
    except UnicodeDecodeError:
        return False
    return True
