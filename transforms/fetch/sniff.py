"""What an image's bytes are, told by their first bytes and by whether their format's end is there. Pure.

Names and Content-Type are never asked: servers are often wrong about both.
"""

import struct
from collections.abc import Callable

_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"\0\0\1\0", "ICO"),
    (b"8BPS", "PSD"),
    (b"\0\0\0\x0cJXL ", "JXL"),
    (b"\xff\x0a", "JXL"),
    (b"\0\0\0\x0cjP  ", "JPEG2000"),
)
_AVIF_BRANDS = (b"avif", b"avis")
_HEIF_BRANDS = (b"heic", b"heix", b"mif1", b"msf1", b"hevc")


def sniff(body: bytes) -> str | None:
    """The format's name as Pillow spells it, or None where the bytes are no image."""
    for magic, name in _MAGIC:
        if body.startswith(magic):
            return name
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "WEBP"
    if body[4:8] == b"ftyp":
        return _iso_brand(body)
    head = body[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    is_svg = head.startswith(b"<svg") or (head.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in head)
    return "SVG" if is_svg else None


def _iso_brand(body: bytes) -> str | None:
    size = int.from_bytes(body[:4], "big")
    brands = {body[8:12], *(body[at : at + 4] for at in range(16, min(size, 256), 4))}
    if brands & set(_AVIF_BRANDS):
        return "AVIF"
    return "HEIF" if brands & set(_HEIF_BRANDS) else None


def is_whole(body: bytes, name: str) -> bool:
    """Whether the bytes reach the end that their format prescribes. What follows the end is no matter."""
    check = _ENDS.get(name)
    return check is None or check(body)


def _jpeg_ends(body: bytes) -> bool:
    """An EOI marker after the first scan begins: coded data cannot hold one, a thumbnail before it can."""
    place = 2
    while place + 4 <= len(body):
        if body[place] != 0xFF:
            return b"\xff\xd9" in body[place:]
        marker = body[place + 1]
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:
            place += 1 if marker == 0xFF else 2
            continue
        if marker == 0xDA:
            return body.find(b"\xff\xd9", place) >= 0
        place += 2 + int.from_bytes(body[place + 2 : place + 4], "big")
    return False


def _png_ends(body: bytes) -> bool:
    return b"IEND\xaeB`\x82" in body


def _gif_ends(body: bytes) -> bool:
    """Walks the blocks to the trailer."""
    if len(body) < 13:
        return False
    place = 13 + _colour_table_bytes(body[10])
    while place < len(body):
        kind = body[place]
        if kind == 0x3B:
            return True
        if kind == 0x21:
            place = _after_sub_blocks(body, place + 2)
        elif kind == 0x2C and place + 9 < len(body):
            place = _after_sub_blocks(body, place + 11 + _colour_table_bytes(body[place + 9]))
        else:
            return kind != 0x2C  # garbage after a frame: decoders stop here too
    return False


def _colour_table_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _after_sub_blocks(body: bytes, place: int) -> int:
    while place < len(body) and body[place]:
        place += body[place] + 1
    return place + 1


def _webp_ends(body: bytes) -> bool:
    return len(body) >= 8 + int.from_bytes(body[4:8], "little")


def _iso_ends(body: bytes) -> bool:
    """Every top-level box lies within the file."""
    place = 0
    while place + 8 <= len(body):
        size = int.from_bytes(body[place : place + 4], "big")
        if size == 1 and place + 16 <= len(body):
            (size,) = struct.unpack(">Q", body[place + 8 : place + 16])
        if size == 0:
            return True
        if size < 8:
            return False
        place += size
    return place == len(body)


_ENDS: dict[str, Callable[[bytes], bool]] = {
    "JPEG": _jpeg_ends,
    "PNG": _png_ends,
    "GIF": _gif_ends,
    "WEBP": _webp_ends,
    "AVIF": _iso_ends,
}
