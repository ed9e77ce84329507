"""The header fields of an HTTP answer, live or archived: parsed as leniently as browsers do, looked up (RFC 9110)."""

import re
from collections.abc import Iterable

Headers = tuple[tuple[str, str], ...]  # (name as sent, value), in order
WHOLE_ANSWERS = (200, 203)  # 203: a proxy has touched it on the way (RFC 9110, 15.3.4); the content is there as in 200

_NOT_ASCII = re.compile(rb"[\x80-\xff]")


def parse_fields(lines: Iterable[bytes]) -> Headers:
    """Header lines as fields. Folded lines are one (RFC 9112, 5.2); lines without a colon or a name are left out."""
    fields: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in (b" ", b"\t") and fields:
            name, value = fields[-1]
            fields[-1] = (name, f"{value} {_value(name, line)}".strip())
            continue
        raw_name, colon, raw_value = line.partition(b":")
        if colon and raw_name.strip():
            name = _text(raw_name)
            fields.append((name, _value(name, raw_value)))
    return tuple(fields)


def _value(name: str, octets: bytes) -> str:
    """A value as text. In a Location raw octets are percent-encoded as they are, as browsers do: whatever encoding a
    server has its file names in, it gets back what it sent."""
    if name.lower() == "location":
        octets = _NOT_ASCII.sub(lambda found: b"%%%02X" % found[0][0], octets)
    return _text(octets)


def _text(octets: bytes) -> str:
    """Header octets as text: UTF-8 where they are, else the Latin-1 of the old HTTP."""
    try:
        return octets.strip().decode("utf-8")
    except UnicodeDecodeError:
        return octets.strip().decode("latin-1")


def values_of(headers: Iterable[tuple[str, str]], name: str) -> list[str]:
    """The values of every field called `name` (in lower case), in order."""
    return [value for key, value in headers if key.lower() == name]


def joined(headers: Iterable[tuple[str, str]], name: str) -> str:
    """The values of a field that is a list (RFC 9110, 5.3): joined by ", "; "" where it is absent."""
    return ", ".join(values_of(headers, name))


def first(headers: Iterable[tuple[str, str]], name: str) -> str:
    """The value of a field that is no list, such as Location: the first one counts; "" where it is absent."""
    return next(iter(values_of(headers, name)), "")
