"""Bytes that can be stored as they are: nothing in them but the picture. Pure."""

import re

_MARKER = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)
_AFTER_SCAN = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)
_EOI, _SOS, _APP0, _APP14 = 0xD9, 0xDA, 0xE0, 0xEE
_TABLES_AND_FRAMES = {0xC0, 0xC1, 0xC2, 0xC4, 0xDB, 0xDD, _SOS, _APP14}  # T.81; APP14 tells how colours are coded
_JFIF_BYTES = 16  # of a segment without thumbnail, its length included
_PNG_CHUNKS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})


def bare(body: bytes, name: str) -> bytes | None:
    """`body` up to its end, where it holds no metadata, thumbnail or profile; None where it does, or may."""
    check = {"JPEG": _bare_jpeg, "PNG": _bare_png, "WEBP": _bare_webp}.get(name)
    return check(body) if check else None


def _bare_jpeg(body: bytes) -> bytes | None:
    place, scanned = 2, False
    while (found := (_AFTER_SCAN if scanned else _MARKER).search(body, place)) is not None:
        marker, place = found[1][0], found.end()
        if marker == _EOI:
            return body[:place]
        length = int.from_bytes(body[place : place + 2], "big")
        if marker not in _TABLES_AND_FRAMES and (marker != _APP0 or length != _JFIF_BYTES):
            return None
        place += length
        scanned = scanned or marker == _SOS
    return None


def _bare_png(body: bytes) -> bytes | None:
    place = 8
    while place + 12 <= len(body):
        kind = body[place + 4 : place + 8]
        if kind not in _PNG_CHUNKS:
            return None
        place += 12 + int.from_bytes(body[place : place + 4], "big")
        if kind == b"IEND":
            return body[:place]
    return None


def _bare_webp(body: bytes) -> bytes | None:
    """The simple formats: one chunk of VP8 or VP8L, no room for metadata."""
    end = 8 + int.from_bytes(body[4:8], "little")
    chunk = 20 + int.from_bytes(body[16:20], "little")
    simple = body[12:16] in (b"VP8 ", b"VP8L") and chunk + chunk % 2 == end
    return body[:end] if simple else None
