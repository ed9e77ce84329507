"""E-mail addresses and telephone numbers in captions. A drop never holds what was found.

Numbers are recognised by their shape and the words before them, not by a register of valid ones: a wrong number is
another person's. The register decides only where a word such as "cell" may mean something else.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

import phonenumbers
from phonenumbers import PhoneNumberType

from filters.reasons import Drop, Reason
from filters.rules import Rules

MIN_DIGITS, MAX_DIGITS = 7, 15  # E.164
Span = tuple[int, int]

# Host names may be written in any script; vowel signs of Indic scripts are no \w.
_L = r"\w\u0300-\u036f\u064b-\u065f\u0900-\u0dff\u0e31-\u0e4e"
_HOST = rf"(?:[{_L}](?:[{_L}-]{{0,61}}[{_L}])?\.)+"
_TLD = rf"(?!(?:png|jpe?g|gif|webp|svg|avif|bmp|ico|css|js)\b)(?:[^\W\d_][{_L}]{{1,23}}|xn--[a-z0-9-]{{2,59}})"
_EMAIL = re.compile(
    rf"(?<![\w.+@-])(?:mailto:)?(?:[{_L}.!#$%&'*+/=?^`{{|}}~-]{{1,64}}|\"[^\"@]{{1,64}}\")@{_HOST}{_TLD}(?![\w-])",
    re.IGNORECASE,
)
# name (at) host.org, name [at] host [dot] org, name at host dot org; a bare "at" needs a spelt dot behind it, for
# "now at example.com" is no address.
_OPEN, _SHUT = r"[(\[{<]\s?", r"\s?[)\]}>]"
_AT = rf"\s?{_OPEN}(?:at|ät|a|arroba|@|kukac|собака){_SHUT}\s?"
_DOT_WORD = r"(?:dot|punkt|point|punto|ponto|точка|\.)"
_DOT = rf"(?:\s?{_OPEN}{_DOT_WORD}{_SHUT}\s?|\s?\.\s?|\s(?:dot|punkt|point|punto|ponto|точка)\s)"
_SPELT_DOT = rf"(?:\s?{_OPEN}{_DOT_WORD}{_SHUT}\s?|\s(?:dot|punkt|point|punto|ponto)\s)"
_KNOWN = r"(?:com|org|net|edu|gov|info|io|co|de|fr|es|uk|eu|nl|ch|pl|ru|cn|jp|ca|au|br)(?![\w-])"  # no English words
_LABEL, _LAST = r"[\w-]{1,63}", r"[^\W\d_]{2,24}(?![\w-])"
_BRACKETED = re.compile(rf"(?<![\w.])[\w.+-]{{1,64}}{_AT}{_LABEL}(?:{_DOT}{_LABEL}){{0,3}}{_DOT}{_LAST}", re.IGNORECASE)
_SPELT = re.compile(
    rf"(?<![\w.])[\w.+-]{{1,64}}\s(?:at|ät|arroba)\s{_LABEL}(?:{_SPELT_DOT}{_LABEL}){{0,3}}{_SPELT_DOT}{_KNOWN}",
    re.IGNORECASE,
)
# first.last @ host.org, name@ host.org; "live @ example.com" is no address.
_SPACED = re.compile(
    rf"(?<![\w.])(?=\w*[\d._+-])[\w.+-]{{1,64}}\s@\s{_HOST}{_TLD}(?![\w-])|(?<![\w.])[\w.+-]{{1,64}}@\s{_HOST}{_TLD}(?![\w-])"
)

# In the patterns below the text has ASCII digits, hyphens and brackets only (`_plain`), and \w means ASCII: Chinese
# follows a number without a space.
_SEP = r"[\s./()-]{0,3}"
_ALONE, _END = r"(?<![\w.+,])", r"(?![\w]|[-./:,]\d)"
# +49 30 123456, 0049 30 1234567, +44 (0)20 7946 0958: an international prefix says what it is.
_PLUS = re.compile(rf"(?<![\w+.])\(?\+\s?\(?[1-9](?:{_SEP}\d){{7,14}}{_END}", re.ASCII)
_DOUBLE_ZERO = re.compile(rf"{_ALONE}(?<!\d[\s-])00\s?[1-9]\d{{0,2}}(?:{_SEP}\d){{7,12}}{_END}", re.ASCII)
# 555-123-4567, (555) 123-4567, 555.123.4567, 1-800-555-0199: North America.
_NORTH_AMERICAN = re.compile(
    rf"{_ALONE}(?<!\d[\s/-])(?:1[\s.-])?(?:\(\d{{3}}\)[\s-]?\d{{3}}[\s.-]|\d{{3}}([\s.-])\d{{3}}\1|\d{{3}}/\d{{3}}-)\d{{4}}{_END}",
    re.ASCII,
)
# 030 / 1234567, 06 12 34 56 78, 020 7946 0958, 03-1234-5678: a national number begins with one 0 and has groups.
_NATIONAL = re.compile(
    rf"{_ALONE}(?<![/:-])(?<!\d[\s])\(?0[1-9]\d{{0,4}}\)?(?:\s?[\s./-]\s?\d{{2,8}}){{1,5}}{_END}", re.ASCII
)
# (022) 12345, 08-12 34 56: shorter ones, which an area code in brackets or groups of two behind a hyphen give away.
_SHORT_NATIONAL = re.compile(
    rf"{_ALONE}(?<![/:-])(?<!\d[\s])(?:\(0[1-9]\d{{0,3}}\)\s?\d{{5,6}}|0[1-9]\d{{0,2}}-\d\d\d?\s\d\d\s\d\d){_END}",
    re.ASCII,
)
# 612 34 56 78: Spain writes nine digits so.
_SPANISH = re.compile(rf"{_ALONE}(?<!\d[\s-])[6-9]\d\d(?:\s\d\d){{3}}{_END}(?!\s\d)", re.ASCII)
# 07700900123, 0612345678, 015112345678, 13812345678: mobile numbers in one piece; 138 1234 5678 in China's groups.
_MOBILE = re.compile(
    rf"{_ALONE}(?<![/:#-])(?:07\d{{9}}|0[67]\d{{8}}|01[5-7]\d{{8,9}}|0[789]0\d{{8}}|010\d{{8}}|1[3-9]\d{{9}}|"
    rf"(?<!\d[\s-])1[3-9]\d([\s-])\d{{4}}\1\d{{4}}){_END}",
    re.ASCII,
)
# 8 (495) 123-45-67, (495) 123-45-67: Russia and its neighbours. (11) 98765-4321: Brazil.
_RUSSIAN = re.compile(
    rf"{_ALONE}(?:8[\s-]?)?(?:\(\d{{3,5}}\)|(?<=[8][\s-])\d{{3}})[\s-]?\d{{2,3}}[\s-]\d{{2}}[\s-]\d{{2}}{_END}",
    re.ASCII,
)
_BRAZILIAN = re.compile(rf"{_ALONE}(?:\(\d{{2}}\)\s?9?\d{{4}}|\d{{2}}\s9\d{{4}})-\d{{4}}{_END}", re.ASCII)
# Tel.: 123 45 67, phone 5551234: a word says what it is.
_NAMED = re.compile(
    r"(?:(?<![\w])(?P<word>tel|telef|telefon|telefono|telefone|telephone|teleph|t[eé]l[eé]phone|tel[eé]fono|phone|mobile|mobil|m[oó]vil|"
    r"handy|cell|call|fax|whatsapp|hotline|tlf|puh|gsm|telp|hp)(?![\w])|(?:[Тт]ел|[Тт]елефон|[Фф]акс|[Мм]об|[Ττ]ηλ|電話|电话|手机|手機|热线|"
    r"전화|연락처|โทร|هاتف|تلفن|موبايل|جوال|טלפון|[Đđ]iện thoại|☎|📞|📱|☏))"
    r"(?P<mark>(?:\.|\s?(?:no|nr|number|at|us|on|me)\b){0,2}[\s.:：#-]{0,4})(?P<number>\+?\(?\d(?:[\s./()-]{0,2}\d){6,14})"
    + _END,
    re.IGNORECASE | re.ASCII,
)
# Words that mean much else too ("cell 1234567" of a microscope, "mobile 3310 1100 6310" of models): without a colon or
# the like, the number behind one must be dialled somewhere.
_AMBIGUOUS = frozenset({"cell", "mobile", "mobil", "handy", "hp", "gsm", "puh"})
# Where mobile numbers are given without any prefix and have nine digits or more: eight are too few to be told.
_REGIONS_WITHOUT_ZERO = ("IN", "BR", "ES", "PT", "PL", "CN", "MX", "CO", "CZ", "GR")
_MOBILE_KINDS = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)
_SHAPES = (
    _PLUS, _DOUBLE_ZERO, _NORTH_AMERICAN, _NATIONAL, _SHORT_NATIONAL, _SPANISH, _MOBILE, _RUSSIAN, _BRAZILIAN,
)  # fmt: skip

# A word before the digits that says they count something else.
_SERIAL = re.compile(
    r"(?:\b(?:isbn(?:-1[03])?|issn|ean|upc|gtin|asin|doi|sku|serial|s/n|sn|p/n|part|item|article|model|invoice|inv|"
    r"id|ref|reference|lot|chapters?|chap|ch|chapitre|kapitel|cap[ií]tulo|capitolo|pages?|pp?|seiten?|figures?|figs?|abb|"
    r"tables?|tab|plates?|episodes?|ep|seasons?|levels?|lessons?|lektion|steps?|volumes?|series|slides?|no|nr|catalog(?:ue)?|accession|acc|patent|vol|version|v|iban|"
    r"account|konto|isrc|oclc|lccn|pmid|barcode|code|inventar|inv\.-nr|coordinates|gps|lat|lon)[.:#]?\s?(?:no|nr|number|id)?"
    r"[.:#]?|[#№]|,\s(?-i:[A-Z]{2}))\s?[:=]?\s?$",  # Boston, MA 02110-1301
    re.IGNORECASE,
)
_YEAR = r"(?:1[0-9]|20)\d\d"
_DATES = re.compile(
    rf"\(?(?:{_YEAR}[\s./-]+\d{{1,2}}[\s./-]+\d{{1,2}}|\d{{1,2}}[\s./-]+\d{{1,2}}[\s./-]+{_YEAR}|\d\d\s(?:19|20)\d\d)(?!\d)"
)
_YEARS = re.compile(rf"\(?{_YEAR}\)?(?:\D+(?:{_YEAR}|\d\d?))*")
_THOUSANDS = re.compile(
    r"[1-9]\d{0,2}(?:([\s.])000|(?:[\s.]\d{3})*[\s.]000)+|[1-9]\d{0,2}(?:\s\d{3}){2,}|[1-9]\d{0,2}(?:\.\d{3}){2,}"
)
_POINT_ON_EARTH = re.compile(r"\+\d{4}(?:\d\d)?-\d{5}(?:\d\d)?")  # ISO 6709: +175805-0764736
_CLOCKS = re.compile(r"(?:[01]\d|2[0-3])[.:][0-5]\d\s?-\s?(?:[01]\d|2[0-4])[.:][0-5]\d")


class ContactRules(Rules):
    """What happens to captions that tell how to reach a person."""

    emails: bool = True  # drop captions with an e-mail address
    phones: bool = True  # drop captions with a telephone number


def judge_contact(caption: str, rules: ContactRules) -> Drop | None:
    """Whether `caption` holds an address or a number; the detail says which kind, never which one."""
    if rules.emails and find_emails(caption):
        return Drop(Reason.CAPTION_CONTACT, detail="email")
    if rules.phones and find_phones(caption):
        return Drop(Reason.CAPTION_CONTACT, detail="phone")
    return None


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


def find_emails(text: str) -> list[Span]:
    """(start, end) of every e-mail address, plain or spelt out."""
    plain = _plain(text)
    patterns = [_EMAIL, _SPACED] if "@" in plain else []
    if any(c in plain for c in "([{<"):
        patterns.append(_BRACKETED)
    if re.search(r"\s(?:at|ät|arroba)\s", plain, re.IGNORECASE):
        patterns.append(_SPELT)
    return [m.span() for pattern in patterns for m in pattern.finditer(plain)]


def find_phones(text: str) -> list[Span]:
    """(start, end) of every telephone number."""
    if sum(c.isdigit() for c in text) < MIN_DIGITS:
        return []
    plain = _plain(text)
    found = [m.span("number") for m in _NAMED.finditer(plain) if _may_be_called(m)]
    found += [span for pattern in _SHAPES for span in _shaped(pattern, plain)]
    return sorted(found)


def _shaped(pattern: re.Pattern[str], plain: str) -> Iterator[Span]:
    for match in pattern.finditer(plain):
        serial = pattern is not _PLUS and _SERIAL.search(plain[max(0, match.start() - 24) : match.start()])
        if not serial and _is_number(match.group(), pattern):
            yield match.span()


def _may_be_called(named: re.Match[str]) -> bool:
    """After a word such as "mobile" a number may still be a list of years, or a count, or that of a cell or a model."""
    number = named["number"]
    if _YEARS.fullmatch(number) or _DATES.match(number) or _counts_on(number):
        return False
    is_sure = (named["word"] or "").lower() not in _AMBIGUOUS or bool(named["mark"].strip()) or number[0] in "+(0"
    if _THOUSANDS.fullmatch(number) and (number.endswith("000") or not is_sure):
        return False
    return is_sure or _is_dialled(number)


def _is_dialled(number: str) -> bool:
    """Whether a number without a prefix is as long as North America's, or a mobile one of some region."""
    if len(re.sub(r"\D", "", number)) == 10 and number[0] in "23456789":
        return True
    for region in _REGIONS_WITHOUT_ZERO:
        parsed = phonenumbers.parse(number, region)
        if phonenumbers.is_valid_number(parsed) and phonenumbers.number_type(parsed) in _MOBILE_KINDS:
            return True
    return False


def _counts_on(number: str) -> bool:
    """01 02 03 04 05: each group is the one before it and one."""
    groups = [int(group) for group in re.findall(r"\d+", number)]
    return len(groups) > 2 and all(later == earlier + 1 for earlier, later in pairwise(groups))


def _is_number(text: str, pattern: re.Pattern[str]) -> bool:
    digits = sum(c.isdigit() for c in text)
    if not MIN_DIGITS <= digits <= MAX_DIGITS:
        return False
    if pattern is _PLUS:
        return not (re.fullmatch(r"\+\s?\d{1,3}(?:[\s.]?000)+", text) or _POINT_ON_EARTH.fullmatch(text))
    if set(re.sub(r"\D", "", text)) == {"0", "1"}:
        return False  # 0101 0110 0111
    if pattern is _NATIONAL and (digits < 9 or digits > 12 or _mixes_dots(text)):
        return False
    return not (_DATES.match(text) or _CLOCKS.search(text) or _ends_in_years(text) or _counts_on(text))


def _mixes_dots(text: str) -> bool:
    """Decimals and opening hours have dots beside other signs; numbers with dots have nothing else."""
    return "." in text and bool(re.search(r"[\s-]", text.strip()))


def _ends_in_years(text: str) -> bool:
    """(12) 1998-2004"""
    return re.search(rf"(?<!\d){_YEAR}\s?-\s?{_YEAR}$", text) is not None


def _plain(text: str) -> str:
    """The same length, with digits, hyphens, spaces and full-width signs of all scripts as ASCII writes them."""
    return text if text.isascii() else "".join(map(_plain_character, text))


def _plain_character(character: str) -> str:
    if character.isascii():
        return character
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    if character.isspace():
        return " "
    if unicodedata.category(character) == "Pd" or character == "−":
        return "-"
    return chr(ord(character) - 0xFEE0) if "！" <= character <= "～" else character
