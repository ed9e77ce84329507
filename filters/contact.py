"""E-mail addresses and telephone numbers in captions. A drop never holds what was found."""

import re


from filters.reasons import Drop, Reason
from filters.rules import Rules

_DOMAIN = r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+(?:[^\W\d_]{2,24}|xn--[a-z0-9-]{2,59})"
_EMAIL = re.compile(rf"(?<![\w.+-])[\w.!#$%&'*+/=?^`{{|}}~-]{{1,64}}@{_DOMAIN}(?![\w-])", re.IGNORECASE)
_AT = r"\s*(?:\(\s*(?:at|ät|a)\s*\)|\[\s*(?:at|ät|a)\s*\]|\{\s*at\s*\}|\s+at\s+|＠)\s*"
_DOT = r"\s*(?:\(\s*(?:dot|punkt|point|punto)\s*\)|\[\s*(?:dot|punkt|point|punto)\s*\]|\{\s*dot\s*\}|\s+(?:dot|punkt)\s+|\.)\s*"
_SPELT_EMAIL = re.compile(
    rf"(?<![\w.])[\w.+-]{{1,64}}{_AT}[\w-]{{1,63}}(?:{_DOT}[\w-]{{1,63}}){{0,3}}{_DOT}"
    r"(?:com|org|net|edu|gov|info|io|co|de|fr|es|it|uk|eu|nl|ch|at|pl|ru|cn|jp|us|ca|au|br|in)\b",
    re.IGNORECASE,
)
# +49 30 123456, 0049-30-1234567: an international prefix says what it is.
_INTERNATIONAL = re.compile(r"(?<![\w+.])(?:\+|00)\s?[1-9]\d{0,2}(?:[\s./()‐-–-]{0,3}\d){6,13}(?![\w])")
# 555-123-4567, (555) 123-4567, 555.123.4567: North America.
_NORTH_AMERICAN = re.compile(r"(?<![\w.\-/])(?:1[\s.-])?(?:\(\d{3}\)\s?|\d{3}([\s.-]))\d{3}[\s.-]\d{4}(?![\w\-/])")
# 030 / 1234567, 06 12 34 56 78, 020 7946 0958: a national number begins with one 0 and has groups.
_NATIONAL = re.compile(r"(?<![\w.,\-/:])\(?0[1-9]\d{0,4}\)?(?:\s?[\s./-]\s?\d{2,8}){1,5}(?![\w\-/:])")
# Tel.: 123 45 67, phone 5551234: a word says what it is.
_NAMED = re.compile(
    r"(?:\b(?:tel|telefon|telephone|téléphone|teléfono|phone|mobile|mobil|handy|cell|call|fax|whatsapp)\b|тел|电话|電話|☎|📞)"
    r"[\s.:：#-]{0,4}(?:\+?\(?\d\)?[\s./()-]{0,2}){6,15}",
    re.IGNORECASE,
)
_DATE = re.compile(r"(?:0[1-9]|[12]\d|3[01])[./ -](?:0[1-9]|1[0-2])[./ -](?:\d{4}|\d{2})")
MIN_DIGITS, MAX_DIGITS = 7, 15  # E.164


class ContactRules(Rules):
    """What happens to captions that tell how to reach a person."""

    emails: bool = True
    phones: bool = True


def judge_contact(caption: str, rules: ContactRules) -> Drop | None:
    """Whether `caption` holds an address or a number; the detail says which kind, never which one."""
    if rules.emails and find_emails(caption):
        return Drop(Reason.CAPTION_CONTACT, detail="email")
    if rules.phones and find_phones(caption):
        return Drop(Reason.CAPTION_CONTACT, detail="phone")
    return None


def find_emails(text: str) -> list[tuple[int, int]]:
    """(start, end) of every e-mail address, plain or spelt out."""
    if "@" not in text and "＠" not in text and not re.search(r"\b(?:at|ät|a)\b", text, re.IGNORECASE):
        return []
    return [m.span() for pattern in (_EMAIL, _SPELT_EMAIL) for m in pattern.finditer(text)]


def find_phones(text: str) -> list[tuple[int, int]]:
    """(start, end) of every telephone number."""
    if sum(c.isdigit() for c in text) < MIN_DIGITS:
        return []
    patterns = (_INTERNATIONAL, _NORTH_AMERICAN, _NATIONAL, _NAMED)
    return [m.span() for pattern in patterns for m in pattern.finditer(text) if _is_number(m.group())]


def _is_number(text: str) -> bool:
    digits = sum(c.isdigit() for c in text)
    return MIN_DIGITS <= digits <= MAX_DIGITS and not _DATE.fullmatch(text.strip())


def redact(caption: str) -> str:
    """`caption` with [email] and [phone] in the places of what was found."""
    spans = [(s, e, "[email]") for s, e in find_emails(caption)] + [(s, e, "[phone]") for s, e in find_phones(caption)]
    for start, end, mark in reversed(_without_overlaps(sorted(spans))):
        caption = caption[:start] + mark + caption[end:]
    return caption


def _without_overlaps(spans: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    kept: list[tuple[int, int, str]] = []
    for start, end, mark in spans:
        if kept and start < kept[-1][1]:
            kept[-1] = (kept[-1][0], max(end, kept[-1][1]), kept[-1][2])
        else:
            kept.append((start, end, mark))
    return kept
