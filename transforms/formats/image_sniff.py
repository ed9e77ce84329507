"""What an image's bytes are, known by their first bytes and by whether their format's end is there. Pure.

Names and Content-Type are never asked: servers are often wrong about both.
"""

import struct
from collections.abc import Callable

from transforms.formats.image_structure import EOI, SOS, jpeg_segments, png_chunks, webp_end

_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"\0\0\1\0", "ICO"),
    (b"8BPS", "PSD"),
    (b"\0\0\0\x0cJXL ", "JXL"),
    (b"\xff\x0a", "JXL"),
    (b"\0\0\0\x0cjP  ", "JPEG2000"),
)
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}  # bytes, of the header after the file header: OS/2 and Windows
_BMP_RUN_LENGTHS = {1, 2}  # compressions whose end Pillow does not miss
_IEND = b"\0\0\0\0IEND\xaeB`\x82"


def sniff(body: bytes) -> str | None:
    """The format's name as Pillow spells it, or None where the bytes are no image."""
    for magic, name in _MAGIC:
        if body.startswith(magic):
            return name
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "WEBP"
    if body[4:8] == b"ftyp":
        return _iso_brand(body)
    if body[:2] == b"BM" and int.from_bytes(body[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    return "SVG" if _is_svg(body[:4096]) else None


def _iso_brand(body: bytes) -> str | None:
    size = int.from_bytes(body[:4], "big")
    brands = {body[8:12], *(body[at : at + 4] for at in range(16, min(size, 256), 4))}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIF" if brands & _HEIF_BRANDS else None


def _is_svg(head: bytes) -> bool:
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    opens = head.startswith((b"<svg", b"<?xml", b"<!--", b"<!doctype svg"))
    return opens and b"<svg" in head and b"<html" not in head.partition(b"<svg")[0]


def is_whole(body: bytes, name: str) -> bool:
    """Whether the bytes reach the end that their format prescribes. What follows the end is no matter.

    Of a JPEG and a GIF the pixels tell, not the end: `transforms.image.cut`.
    """
    check = _ENDS.get(name)
    return check is None or check(body)


def jpeg_scans(body: bytes) -> int | None:
    """How many scans come before the end-of-image marker; None where that marker is missing."""
    scans = 0
    for marker, _, _ in jpeg_segments(body):
        if marker == EOI:
            return scans
        scans += marker == SOS
    return None


def _png_ends(body: bytes) -> bool:
    last = next((start for kind, start, _ in png_chunks(body) if kind == b"IEND"), None)
    return last is not None and body.startswith(_IEND, last)


def _iso_ends(body: bytes) -> bool:
    """Every top-level box lies within the file, or the image's own boxes do (ISO/IEC 14496-12, 4.2)."""
    offset, seen = 0, set()
    while offset + 8 <= len(body):
        size = int.from_bytes(body[offset : offset + 4], "big")
        if size == 1 and offset + 16 <= len(body):
            (size,) = struct.unpack(">Q", body[offset + 8 : offset + 16])
        if size == 0:
            return True  # to the end of the file, wherever that is
        if size < 8 or offset + size > len(body):
            break
        seen.add(body[offset + 4 : offset + 8])
        offset += size
    return offset == len(body) or {b"meta", b"mdat"} <= seen


def _bmp_ends(body: bytes) -> bool:
    """Plain rows are counted by the decoder; run lengths are held against the file's own size."""
    compression, size_bytes = body[30:34], int.from_bytes(body[2:6], "little")
    return int.from_bytes(compression, "little") not in _BMP_RUN_LENGTHS or len(body) >= size_bytes


_ENDS: dict[str, Callable[[bytes], bool]] = {
    "PNG": _png_ends,
    "WEBP": lambda body: len(body) >= webp_end(body),
    "AVIF": _iso_ends,
    "BMP": _bmp_ends,
}
